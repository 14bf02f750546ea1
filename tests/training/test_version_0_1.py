"""What version 0.1 left: a run of two steps of its `tiny`, and the model that it exported."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from onestroke.cli.main import run as cli
from onestroke.config.training import load, read_settings
from onestroke.inference.stylizer import Stylizer
from onestroke.training.checkpoint import load_checkpoint

RUN = Path(__file__).parents[1] / "fixtures" / "run_0_1"
PHOTO = np.random.default_rng(0).integers(0, 256, (50, 67, 3)).astype(np.uint8)


@pytest.fixture
def run(tmp_path):
    return Path(shutil.copytree(RUN, tmp_path / "run"))


def test_its_models_paint():
    stylizer = Stylizer(RUN / "stripes.onnx", "cpu")
    assert (stylizer.card.network, stylizer.card.steps, stylizer.card.styles) == ("tiny", 2, [])
    assert np.abs(stylizer(PHOTO).astype(int) - PHOTO).mean() > 5


def test_its_runs_are_exported_as_they_were(run, tmp_path):
    assert cli("export", [str(run), "-o", str(tmp_path / "again.onnx")]) == 0
    again, before = Stylizer(tmp_path / "again.onnx", "cpu"), Stylizer(RUN / "stripes.onnx", "cpu")
    assert again.card.network == "tiny-0.1"
    assert np.abs(again(PHOTO).astype(int) - before(PHOTO)).max() <= 1


def test_its_runs_go_on(run, painting, photos):
    """With the moments that their optimizer had."""
    before = load_checkpoint(run / "last.ckpt")["state_dict"]
    given = [str(painting), "--content", str(photos), "--out", str(run), "--resume", "--steps", "4"]
    text = (
        (run / "config.yaml").read_text().replace("stripes.png", str(painting)).replace("content: photos", f"content: {photos}")
    )
    (run / "config.yaml").write_text(text)
    assert cli("train", given) == 0
    after = load_checkpoint(run / "last.ckpt")
    assert after["global_step"] == 4
    for name, value in after["state_dict"].items():
        if name.startswith("net.") and name.endswith("affine"):
            assert torch.isfinite(value).all() and (value[0] - before[name]).abs().max() < 0.1


def test_its_settings_have_todays_names_wherever_they_are_read(run):
    """A file of settings begins a run, or is given along with --resume."""
    text = (run / "config.yaml").read_text()
    assert "painting:" in text and "licence:" in text and "start: none" in text
    settings = read_settings(run / "config.yaml")
    assert settings["initialize_from"] == "none" and {"style_image", "license"} <= settings.keys()
    assert load(run / "config.yaml").initialize_from == "none"
