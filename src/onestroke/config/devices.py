"""What networks can paint, and train, on, by name: for flags, which must wait neither for ONNX Runtime nor for torch."""

CPU, CUDA, WEBGPU = "cpu", "cuda", "webgpu"
DEVICES = ("auto", CPU, CUDA, WEBGPU)
TORCH_DEVICES = ("auto", CPU, CUDA)
