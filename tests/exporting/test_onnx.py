import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from onestroke.errors import ModelError
from onestroke.exporting import onnx as export
from onestroke.exporting import verify as parity
from onestroke.inference.session import open_model
from onestroke.networks import registry as networks
from onestroke.networks.wrappers import UInt8IO


def test_the_contract(model):
    graph = onnx.load(model).graph
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.input, *graph.output)}
    assert shapes == {"image": ["N", "H", "W", 3], "strength": [], "stylized": ["N", "H", "W", 3]}
    assert graph.input[0].type.tensor_type.elem_type == graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert not any(t.external_data for t in graph.initializer)


def test_strength_may_be_left_out(model):
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    photo = np.random.default_rng(0).integers(0, 256, (1, 40, 52, 3)).astype(np.uint8)
    full = session.run(None, {"image": photo, "strength": np.asarray(1, np.float32)})[0]
    none = session.run(None, {"image": photo, "strength": np.asarray(0, np.float32)})[0]
    assert np.array_equal(session.run(None, {"image": photo})[0], full)
    assert np.array_equal(none, photo)
    assert not np.array_equal(full, photo)


@pytest.mark.slow
@pytest.mark.parametrize("io", ["uint8", "float"])
@pytest.mark.parametrize("name", ["tiny", "johnson"])
def test_every_strength_is_what_torch_makes_of_it(name, io, moved_model):
    """Below `solid` the photo is blended in; above 1 only networks that are told a strength change."""
    net, path = moved_model(name, io)
    model = open_model(path, "cpu")
    photo = np.random.default_rng(0).integers(0, 256, (2, 40, 52, 3)).astype(np.uint8)
    for strength in (0.0, 0.25, 0.5, 0.8, model.card.strongest):
        with torch.no_grad():
            wanted = net(torch.from_numpy(photo).permute(0, 3, 1, 2).float() / 255, torch.tensor(strength)).permute(0, 2, 3, 1)
        assert np.abs(model.run(photo, strength) - wanted.numpy() * 255).max() <= 1.2, strength
    assert np.array_equal(model.run(photo, 0.0), photo)
    assert (model.card.strongest > 1) == (not np.array_equal(model.run(photo, 1.0), model.run(photo, 1.4)))


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_folding_the_input_scale_and_the_order_of_pixels_changes_nothing(name):
    torch.manual_seed(4)
    net = networks.build(name).eval()
    photo = torch.randint(0, 256, (2, 45, 62, 3), dtype=torch.uint8)
    with torch.no_grad():
        wanted = net(photo.permute(0, 3, 1, 2).float() / 255).permute(0, 2, 3, 1) * 255
        found = UInt8IO(net)(photo, torch.tensor(1.0))
    assert found.shape == photo.shape
    assert (found.float() - wanted).abs().max() <= 0.51


@pytest.mark.slow
@pytest.mark.parametrize("name", networks.NETWORKS)
def test_onnx_runtime_agrees_with_torch_at_five_sizes(name, tmp_path, parity_sizes, monkeypatch):
    sizes = [(n, h // 2, w // 2) if name == "johnson" and h == 1080 else (n, h, w) for n, h, w in parity_sizes]
    monkeypatch.setattr(parity, "PARITY_SIZES", sizes)  # of a video for johnson half, which takes half a minute else
    torch.manual_seed(2)
    net = networks.build(name).eval()
    card = export.export(net, export.make_card(name, name, net, painting="", license=""), tmp_path / "m.onnx")
    assert card.parity["most"] <= 1 and card.parity["mean"] < 0.05
    assert open_model(tmp_path / "m.onnx", "cpu").card == card


def test_a_graph_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "parity", lambda *a: {"most": 7.0, "mean": 0.5})
    net = networks.build("onestroke").eval()
    with pytest.raises(ModelError, match="differs from torch by 7 levels"):
        export.export(net, export.make_card("m", "onestroke", net, painting="", license=""), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())
