"""Every reader, on a small file (the first block of VGG) that the test writes in that format."""

import pickle
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import scipy.io
import torch
from onnx import helper, numpy_helper
from safetensors.numpy import save_file

from onestroke.cli.main import main
from onestroke.errors import WeightsError
from onestroke.losses import formats, weights

RNG = np.random.default_rng(0)
# Caffe lineage in RGB order; the first values are VGG16's published ones, by which the lineage is recognized.
KERNELS = [RNG.normal(0, 0.1, (64, i, 3, 3)).astype(np.float32) for i in (3, 64)]
KERNELS[0][0, :, 0, 0] = weights.FINGERPRINTS["vgg16", "caffe"]
BIASES = [RNG.normal(0, 1, 64).astype(np.float32) for _ in KERNELS]
BGR = [KERNELS[0][:, ::-1].copy(), KERNELS[1]]


def write_pth(path, kernels):
    torch.save({f"features.{n}.{part}": torch.from_numpy(a) for n, k, b in zip((0, 2), kernels, BIASES, strict=True)
                for part, a in (("weight", k), ("bias", b))} | {"classifier.0.weight": torch.zeros(2)}, path)  # fmt: skip


def write_safetensors(path, kernels):
    save_file({f"features.{n}.{part}": a for n, k, b in zip((0, 2), kernels, BIASES, strict=True)
               for part, a in (("weight", k), ("bias", b))}, path)  # fmt: skip


def write_keras_tensorflow(path, kernels):
    with h5py.File(path, "w") as file:
        for i, (kernel, bias) in enumerate(zip(kernels, BIASES, strict=True), 1):
            file[f"block1_conv{i}/block1_conv{i}_W_1:0"] = kernel.transpose(2, 3, 1, 0)
            file[f"block1_conv{i}/block1_conv{i}_b_1:0"] = bias


def write_keras_theano(path, kernels):
    with h5py.File(path, "w") as file:
        for i, (kernel, bias) in enumerate(zip(kernels, BIASES, strict=True), 1):
            file[f"model_weights/block1_conv{i}/kernel"] = kernel[:, :, ::-1, ::-1]
            file[f"model_weights/block1_conv{i}/bias"] = bias


def write_matconvnet(path, kernels):
    layers = np.empty(3, object)
    for i, (kernel, bias) in enumerate(zip(kernels, BIASES, strict=True)):
        pair = np.empty(2, object)
        pair[:] = kernel.transpose(2, 3, 1, 0), bias[:, None]
        layers[i] = {"name": f"conv1_{i + 1}", "type": "conv", "weights": pair}
    layers[2] = {"name": "relu1_1", "type": "relu"}
    scipy.io.savemat(path, {"layers": layers})


def write_onnx(path, kernels):
    nodes, tensors, last = [], [], "x"
    for i, (kernel, bias) in enumerate(zip(kernels, BIASES, strict=True)):
        tensors += [numpy_helper.from_array(kernel, f"k{i}"), numpy_helper.from_array(bias, f"b{i}")]
        nodes.append(helper.make_node("Conv", [last, f"k{i}", f"b{i}"], [f"y{i}"], pads=[1, 1, 1, 1]))
        last = f"y{i}"
    value = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in ("x", last)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "vgg", value[:1], value[1:], tensors)), path)


WRITERS = {
    "torchvision.pth": (write_pth, KERNELS),
    "jcjohnson.pth": (write_pth, BGR),
    "plain.safetensors": (write_safetensors, KERNELS),
    "tensorflow.h5": (write_keras_tensorflow, BGR),
    "theano.h5": (write_keras_theano, BGR),
    "matconvnet.mat": (write_matconvnet, KERNELS),
    "graph.onnx": (write_onnx, BGR),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_function(tmp_path, name):
    write, kernels = WRITERS[name]
    write(tmp_path / name, kernels)
    found = weights.resolve("vgg16", tmp_path / name)
    assert np.allclose(found.convolutions["conv1_1"][0], 255 * KERNELS[0], rtol=1e-6)
    assert np.allclose(found.convolutions["conv1_2"][0], KERNELS[1])
    assert np.allclose(found.convolutions["conv1_1"][1], BIASES[0])
    assert np.allclose(255 * found.mean.numpy(), [123.68, 116.779, 103.939])


def test_torchvisions_own_training_is_recognized(tmp_path):
    kernels = [KERNELS[0].copy(), KERNELS[1]]
    kernels[0][0, 0, 0, 0] = -0.5537
    write_pth(tmp_path / "v1.pth", kernels)
    found = weights.resolve("vgg16", tmp_path / "v1.pth")
    assert np.allclose(found.mean.numpy(), [0.485, 0.456, 0.406])
    assert np.allclose(found.convolutions["conv1_1"][0][:, 0], kernels[0][:, 0] / 0.229, rtol=1e-6)


def test_the_wrong_variant_is_refused(tmp_path):
    write_safetensors(tmp_path / "w.safetensors", KERNELS)
    with pytest.raises(WeightsError, match="not vgg19 but vgg16"):
        weights.resolve("vgg19", tmp_path / "w.safetensors")


@pytest.mark.parametrize("suffix", formats.READERS)
def test_a_damaged_file_is_one_clear_line(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"this is no weights file")
    with pytest.raises(WeightsError, match="weights") as caught:
        weights.resolve("vgg16", path)
    assert "\n" not in str(caught.value)


def test_a_pickle_with_code_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("code in a weights file was run",))

    torch.save({"features.0.weight": Bomb()}, tmp_path / "bomb.pth")
    with pytest.raises(WeightsError, match="code besides tensors"):
        weights.resolve("vgg16", tmp_path / "bomb.pth")


def test_missing_and_unknown_files_are_named(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        weights.resolve("vgg16", tmp_path / "gone.pth")
    with pytest.raises(WeightsError, match="unknown kind"):
        weights.resolve("vgg16", tmp_path / "weights.txt")


class Payload:
    def __reduce__(self):
        return Path.touch, (Path("pwned"),)


def changed(kernel):
    """Writes a file of the format whose second kernel is another one."""
    return lambda write, kernels, path: write(path, [kernels[0], kernel])


def cut(share):
    def write_part(write, kernels, path):
        write(path, kernels)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return write_part


DAMAGE = {
    "empty": lambda write, kernels, path: path.write_bytes(b""),
    "noise": lambda write, kernels, path: path.write_bytes(RNG.bytes(5000)),
    "a pickle": lambda write, kernels, path: path.write_bytes(pickle.dumps(Payload())),
    "torch's, with a payload": lambda write, kernels, path: torch.save({"features.0.weight": Payload()}, path),
    "torch's of old, with a payload": lambda write, kernels, path: torch.save(
        {"features.0.weight": Payload()}, path, _use_new_zipfile_serialization=False
    ),
    "cut at the beginning": cut(0.01),
    "cut in the middle": cut(0.5),
    "cut near the end": cut(0.99),
    "no numbers": changed(np.full((64, 64, 3, 3), np.nan, np.float32)),
    "complex": changed(np.full((64, 64, 3, 3), 1j, np.complex64)),
    "another shape": changed(np.zeros((64, 65, 3, 3), np.float32)),
}


@pytest.mark.parametrize("name", ["torchvision.pth", "torchvision.pt", *[name for name in WRITERS if "pth" not in name]])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_weights_are_refused(damage, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write, kernels = WRITERS.get(name, (write_pth, KERNELS))
    DAMAGE[damage](write, kernels, Path(name))
    with pytest.raises(WeightsError, match=name):
        weights.resolve("vgg16", Path(name))
    assert not Path("pwned").exists()


def test_a_file_that_announces_more_than_memory_holds_is_refused(tmp_path):
    write_keras_tensorflow(tmp_path / "w.h5", BGR)
    with h5py.File(tmp_path / "w.h5", "a") as file:
        file.create_dataset("block1_conv3/kernel", (3, 3, 2**14, 2**14), np.float32, chunks=(3, 3, 64, 64))  # never written
    with pytest.raises(WeightsError, match="which no VGG has"):
        weights.resolve("vgg16", tmp_path / "w.h5")


@pytest.mark.parametrize("name", ["jcjohnson.pth", "plain.safetensors", "theano.h5", "matconvnet.mat", "graph.onnx"])
def test_a_training_with_damaged_weights_is_not_begun(name, painting, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--size", "32", "--batch", "1", "--steps", "1", "--style-layers", "relu1_2", "--content-layers", "relu1_2"]
    given = ["--content", str(photos), "--out", "run", "--device", "cpu", "--initialize-from", "none", *small]
    for damage in ("torch's, with a payload", "cut in the middle"):
        DAMAGE[damage](*WRITERS[name], Path(name))
        assert main(["train", str(painting), "--vgg-weights", name, *given]) == 2
        error = capsys.readouterr().err
        assert name in error and error.count("\n") == 1
    assert not Path("run").exists() and not Path("pwned").exists()
