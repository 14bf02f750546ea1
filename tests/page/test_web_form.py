"""The web form of a model: the same pictures, and a graph as browsers want it."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from onestroke import bundled
from onestroke.cli.main import main
from onestroke.errors import ModelError
from onestroke.exporting import web
from onestroke.inference.session import open_model
from onestroke.inference.stylizer import Stylizer
from onestroke.samples import scenes

STRENGTHS = (0.3, 1.0, 1.3)


@pytest.fixture(scope="module")
def photo():
    return scenes.draw(3, 161)[None, :, :130].copy()


def same_picture(plain, changed, photo):
    """Both files, at all strengths that they can."""
    ordinary, browser = open_model(plain, "cpu"), open_model(changed, "cpu")
    for strength in STRENGTHS:
        if strength > ordinary.card.strongest:
            continue
        difference = np.abs(ordinary.run(photo, strength).astype(int) - browser.run(photo, strength))
        assert difference.max() <= 1, strength


@pytest.mark.parametrize("name", ["starry_night", "great_wave"])
def test_bundled_styles_paint_the_same(name, photo, tmp_path):
    card = web.convert_file(bundled.path(name), tmp_path / "web.onnx")
    assert card.name == name
    same_picture(bundled.path(name), tmp_path / "web.onnx", photo)


def test_other_networks_and_an_exported_file_paint_the_same(tiny, model, photo, tmp_path):
    for file in (tiny, model):
        web.convert_file(file, tmp_path / "web.onnx")
        same_picture(file, tmp_path / "web.onnx", photo)


def test_several_styles_are_asked_for(both, photo, tmp_path):
    web.convert_file(both, tmp_path / "web.onnx")
    graph = onnx.load(tmp_path / "web.onnx").graph
    assert "styles" in {value.name for value in graph.input}
    assert "styles" not in {value.name for value in graph.initializer}
    painted = []
    for style in ("", "wave", "scream", "wave:0.5,scream:0.5"):
        ordinary, browser = (Stylizer(file, "cpu", style=style) for file in (both, tmp_path / "web.onnx"))
        painted.append(ordinary(photo[0]).astype(int))
        assert np.abs(painted[-1] - browser(photo[0])).max() <= 1, style
    assert np.array_equal(painted[0], painted[1]) and np.abs(painted[1] - painted[2]).mean() > 2
    strips = Stylizer(tmp_path / "web.onnx", "cpu", memory=8)
    assert np.abs(strips(photo[0]).astype(int) - painted[0]).max() <= 2


def test_the_graph_is_as_browsers_want_it(tmp_path):
    web.convert_file(bundled.path("mosaic"), tmp_path / "web.onnx")
    graph = onnx.load(tmp_path / "web.onnx").graph
    assert "strength" not in {value.name for value in graph.initializer}
    assert {value.name for value in graph.input} == {"image", "strength"}
    assert not {node.op_type for node in graph.node} & {"If", "GreaterOrEqual"}
    readers = [node.op_type for node in graph.node if "image" in node.input]
    assert set(readers) <= {"Shape", "Cast"}, "uint8 goes into nothing else"
    assert graph.node[-1].op_type == "Cast" and graph.node[-1].output[0] == "stylized"


def test_converting_twice_changes_nothing(tmp_path):
    web.convert_file(bundled.path("mosaic"), tmp_path / "once.onnx")
    web.convert_file(tmp_path / "once.onnx", tmp_path / "twice.onnx")
    assert (tmp_path / "once.onnx").read_bytes() == (tmp_path / "twice.onnx").read_bytes()


def test_strips_of_the_web_form_show_no_seam(tmp_path):
    """It opens wherever the ordinary file does, in tiles too."""
    web.convert_file(bundled.path("mosaic"), tmp_path / "web.onnx")
    photo = scenes.draw(5, 600)
    whole = Stylizer(tmp_path / "web.onnx", "cpu")(photo)
    strips = Stylizer(tmp_path / "web.onnx", "cpu", memory=30)(photo)
    assert np.abs(whole.astype(int) - strips).max() <= 2


def test_what_is_no_model_of_ours_is_one_line(tmp_path):
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ModelError, match=r"text\.onnx: ") as caught:
        web.convert_file(tmp_path / "text.onnx", tmp_path / "web.onnx")
    assert "\n" not in str(caught.value) and not (tmp_path / "web.onnx").exists()
    with pytest.raises(ModelError, match="not an ONNX model"):
        web.read(tmp_path / "none.onnx")


def test_a_run_is_exported_for_the_web(tmp_path, photo):
    run = shutil.copytree(Path(__file__).parents[1] / "fixtures/run_0_1", tmp_path / "run")
    assert main(["export", str(run), "-o", str(tmp_path / "plain.onnx")]) == 0
    assert main(["export", str(run), "-o", str(tmp_path / "web.onnx"), "--target", "web"]) == 0
    same_picture(tmp_path / "plain.onnx", tmp_path / "web.onnx", photo)
