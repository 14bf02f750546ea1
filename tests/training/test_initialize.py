"""Training that begins with the weights of an exported model."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from onestroke import bundled
from onestroke.card import ModelCard
from onestroke.cli.main import run as cli
from onestroke.config.schema import read_yaml
from onestroke.errors import ConfigError, ModelError
from onestroke.inference.session import open_model
from onestroke.networks import registry as networks
from onestroke.training import initialize
from onestroke.training.checkpoint import load_checkpoint, trained_network
from onestroke.training.initialize import initial_weights

SMALL = ["--network", "tiny", "--size", "32", "--batch", "2", "--style-size", "48", "--style-layers", "relu1_2",
         "--content-layers", "relu1_2", "--device", "cpu", "--save-every", "2"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "io", "precision", "close"),
    [
        ("tiny", "uint8", "fp32", 1e-6),
        ("tiny", "float", "fp32", 0),
        ("tiny", "uint8", "fp16", 1e-3),
        ("tiny", "uint8", "w8", 1e-2),
        ("johnson", "uint8", "fp32", 1e-6),  # whose input is not centered
    ],
)
def test_an_exported_model_gives_its_weights_back(network, io, precision, close, moved_model):
    net, path = moved_model(network, io, precision)
    found = initial_weights(str(path), network, ["new"])
    assert found.keys() == net.state_dict().keys()
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=close, atol=close, msg=name)


def test_by_itself_a_network_begins_with_the_base_or_with_nothing():
    for name, network in networks.NETWORKS.items():
        found = initial_weights("auto", name, ["new"])
        assert (found is not None) == network.from_base
        assert initial_weights("none", name, ["new"]) is None


def test_of_the_base_a_painting_it_knows_keeps_its_norms_and_another_gets_the_mean():
    known, new = (initial_weights("base", "onestroke", [name]) for name in ("the_scream", "new"))
    names = open_model(Path(initialize.__file__).with_name("base.onnx"), "cpu").card.styles
    all_of_them = initial_weights("base", "onestroke", names)
    norms = [name for name in known if name.endswith(".affine")]
    for name in norms:
        torch.testing.assert_close(all_of_them[name].mean(0, keepdim=True), new[name])
        assert not torch.equal(known[name], new[name])
    assert norms and torch.equal(known["body.2.weight"], new["body.2.weight"])


@pytest.mark.parametrize("style", bundled.names())
def test_what_is_read_paints_as_the_style_does(style):
    net = networks.build("onestroke").eval()
    net.load_state_dict(initial_weights(style, "onestroke", [style]))
    photo = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3)).astype(np.uint8)
    with torch.no_grad():
        wanted = net(torch.from_numpy(photo).permute(0, 3, 1, 2) / 255, torch.tensor(0.8)).permute(0, 2, 3, 1).numpy() * 255
    assert np.abs(open_model(style, "cpu").run(photo, 0.8) - wanted).max() <= 1.2


@pytest.mark.usefixtures("unexported")
def test_a_run_begins_there_and_goes_on_without_the_file(moved_model, tmp_path, painting, photos):
    net, path = moved_model("tiny")
    source, out = Path(shutil.copy(path, tmp_path / "begin.onnx")), tmp_path / "run"
    place = [str(painting), "--content", str(photos), "--out", str(out), "--initialize-from", str(source)]
    assert cli("train", [*place, *SMALL, "--rate", "1e-9", "--steps", "2"]) == 0
    reached = trained_network(load_checkpoint(out / "last.ckpt"), "tiny")
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(reached.state_dict()[name], tensor, rtol=1e-5, atol=1e-5, msg=name)
    assert read_yaml(out / "config.yaml")["initialize_from"] == str(source.resolve())
    source.unlink()
    assert cli("train", ["--out", str(out), "--resume", "--steps", "4"]) == 0
    assert load_checkpoint(out / "last.ckpt")["global_step"] == 4


def described(source, target, **changes):
    """A copy of a model whose card says something else."""
    model = onnx.load(source)
    card = ModelCard.from_metadata({entry.key: entry.value for entry in model.metadata_props}, "")
    onnx.helper.set_model_props(model, replace(card, **changes).to_metadata())
    onnx.save(model, target)


def test_what_cannot_be_begun_with_is_said_in_one_line(moved_model, tmp_path, painting, photos, capsys):
    shutil.copy(moved_model("johnson")[1], tmp_path / "other.onnx")
    described(tmp_path / "other.onnx", tmp_path / "bytes.onnx", precision="int8")
    described(tmp_path / "other.onnx", tmp_path / "newer.onnx", network="of_tomorrow")
    (tmp_path / "text.onnx").write_text("no model")
    for start, error, message in (
        (tmp_path / "other.onnx", ConfigError, "is a johnson, not a onestroke; use --network johnson"),
        (tmp_path / "newer.onnx", ModelError, "newer.onnx: its weights are not those of a of_tomorrow of today"),
        (tmp_path / "text.onnx", ModelError, "not an ONNX model"),
        ("no_such_style", ModelError, "no such model file, nor a bundled style"),
    ):
        with pytest.raises(error, match=message):
            initial_weights(str(start), "onestroke", ["new"])
    with pytest.raises(ConfigError, match="int8"):
        initial_weights(str(tmp_path / "bytes.onnx"), "johnson", ["new"])
    place = [str(painting), "--content", str(photos), "--out", str(tmp_path / "run")]
    assert cli("train", [*place, *SMALL, "--initialize-from", "no_such_style", "--steps", "1"]) == 2
    assert "no_such_style" in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_weights_of_another_version_are_refused(moved_model, monkeypatch):
    _, path = moved_model("tiny")
    wider = partial(
        networks.onestroke, half=32, quarter=64, inner=32, blocks=4, upper=16, eighth=32, deep_inner=8, deep_blocks=1
    )
    monkeypatch.setitem(networks.NETWORKS, "tiny", networks.Network(wider, 2, 8, 42))
    with pytest.raises(ModelError, match="export it again"):
        initial_weights(str(path), "tiny", ["new"])


def test_a_model_of_version_0_1_begins_its_own_kind_only(moved_model):
    _, path = moved_model("tiny-0.1")
    assert initial_weights(str(path), "tiny-0.1", ["new"])
    with pytest.raises(ConfigError, match=r"is a tiny-0\.1, not a tiny; use --network tiny-0\.1"):
        initial_weights(str(path), "tiny", ["new"])


@pytest.mark.slow
def test_styles_begin_with_their_own_norms_or_with_the_mean_of_all(two_styles, both):
    found = initial_weights(str(both), "tiny", ["scream", "new"])
    state = two_styles.state_dict()
    norms = [name for name in state if name.endswith("affine")]
    assert norms
    for name in norms:
        torch.testing.assert_close(found[name], torch.stack([state[name][1], state[name].mean(0)]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("style", bundled.names())
def test_the_recipes_in_the_box_can_be_followed_in_order(style):
    """Each begins with random weights, or with a style that can be made before it."""
    before = []
    while style != "none":
        assert style not in before
        before.append(style)
        style = read_yaml(f"configs/styles/{style}.yaml")["initialize_from"]
