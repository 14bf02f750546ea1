"""What networks can paint on, by name: for flags, which must not wait for ONNX Runtime, and for inference/devices.py."""

CPU, CUDA, WEBGPU = "cpu", "cuda", "webgpu"
DEVICES = ("auto", CPU, CUDA, WEBGPU)
