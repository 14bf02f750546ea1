"""Strips against whole pictures. `model` is untrained; here its norms also move with the strength, and its head is louder."""

import tempfile

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper
from PIL import Image

from onestroke import memory
from onestroke.cli.main import main as cli
from onestroke.errors import ConfigError, ImageError, ModelError
from onestroke.images import read_image
from onestroke.inference.margin import MARGIN, Margined, Whole
from onestroke.inference.session import open_model
from onestroke.inference.stylizer import Stylizer
from onestroke.inference.tiling import executor as tiles
from onestroke.inference.tiling.executor import Tiler, strips
from onestroke.inference.tiling.rows import Rows
from onestroke.samples.scenes import draw

HEAD = ".15.weight"  # of the last convolution
RNG = np.random.default_rng(0)


def scene(height, width):
    """Dark above, light and busy below: no part of it has the statistics of the whole."""
    photo = np.concatenate([draw(1, width)] * (height // width + 1))[:height]
    slope = np.linspace(0.2, 1.5, height)[:, None, None]
    return np.clip(photo * slope + RNG.normal(0, 20, photo.shape) * slope, 0, 255).astype(np.uint8)


def shaken(source, target):
    """The model with random gains, slopes and final weights."""
    model = onnx.load(source)
    for value in model.graph.initializer:
        array = numpy_helper.to_array(value)
        if value.name.endswith(("affine", "slope")):
            array = array + RNG.normal(0, 0.3, array.shape).astype(np.float32)
        elif value.name.endswith(HEAD):
            array = array * 4
        value.CopyFrom(numpy_helper.from_array(array, value.name))
    onnx.save(model, target)
    return target


@pytest.fixture(scope="module")
def shaky(model, tmp_path_factory):
    return shaken(model, tmp_path_factory.mktemp("shaky") / "shaky.onnx")


@pytest.fixture(scope="module")
def whole(shaky):
    return Stylizer(shaky, "cpu", memory=100_000)


def in_strips(path, photo, strength, bytes_):
    """Through the tiler itself: whatever the budget, strips of the whole height are none."""
    result, seen = np.empty_like(photo), 0
    for top, rows in Tiler(open_model(path, "cpu"), path, strength).paint(Whole(photo), bytes_):
        assert top == seen
        result[top : top + len(rows)] = rows
        seen += len(rows)
    assert seen == len(photo)
    return result


def at_once(stylizer, photo, strength=1.0):
    """As the graph paints it, without the margin that a Stylizer adds."""
    return stylizer.model.run(photo[None], strength)[0].astype(int)


@pytest.mark.parametrize("strength", [0.3, 1.0, 1.5])
@pytest.mark.parametrize("size", [(301, 122), (96, 96), (163, 50), (25, 24), (250, 77)])
def test_strips_equal_the_whole(shaky, whole, size, strength):
    photo = scene(*size)
    wanted = at_once(whole, photo, strength)
    for megabytes in (0, 3):
        assert np.abs(in_strips(shaky, photo, strength, megabytes * 10**6) - wanted).max() <= 1


def test_naive_tiles_do_not(shaky, whole):
    """Tiles with a generous halo, but each with its own statistics: the difference that the tests above would see."""
    photo = scene(400, 96)
    parts = [photo[max(0, top - 48) : top + 148] for top in range(0, 400, 100)]
    naive = np.concatenate([at_once(whole, part)[min(100 * i, 48) :][:100] for i, part in enumerate(parts)])
    assert np.abs(naive - at_once(whole, photo)).max() > 40
    assert np.abs(in_strips(shaky, photo, 1.0, 0) - at_once(whole, photo)).max() <= 1


@pytest.mark.parametrize("photo", [np.full((90, 70, 3), 128, np.uint8), RNG.integers(127, 129, (90, 70, 3)).astype(np.uint8)])
def test_nothing_but_noise(shaky, whole, photo):
    """Norms divide by next to nothing: what rounds the kept features would show."""
    assert np.abs(in_strips(shaky, photo, 1.0, 0) - at_once(whole, photo)).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize(("network", "io"), [("johnson", "uint8"), ("tiny", "float")])
def test_other_networks(network, io, moved_model):
    _, path = moved_model(network, io)
    photo = scene(131, 62)
    wanted = at_once(Stylizer(path, "cpu", memory=100_000), photo, 0.9)
    assert np.abs(in_strips(path, photo, 0.9, 0) - wanted).max() <= 1


@pytest.mark.parametrize("size", [(96, 120), (24, 25), (5, 40), (2, 3), (1, 1)])
def test_a_margin_is_mirrored_row_by_row_as_at_once(size):
    photo, more = scene(*size), [max(0, 70 - extent - 2 * MARGIN) for extent in size]
    wanted = np.pad(photo, ((MARGIN, MARGIN + more[0]), (MARGIN, MARGIN + more[1]), (0, 0)), "reflect")
    margined = Margined(Whole(photo), 70)
    assert margined.shape == wanted.shape
    for first in range(0, len(wanted), 7):
        assert np.array_equal(margined.rows(first, min(first + 9, len(wanted))), wanted[first : first + 9])


@pytest.mark.parametrize("size", [(96, 120), (5, 40), (1, 1)])
def test_a_stylizer_paints_over_the_border_and_cuts_it_off(whole, size):
    photo = scene(*size)
    beyond = np.pad(photo, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), "reflect")
    wanted = at_once(whole, beyond, 0.8)[MARGIN : MARGIN + size[0], MARGIN : MARGIN + size[1]]
    assert np.array_equal(whole(photo, 0.8), wanted)


def test_the_stylizer_cuts_what_does_not_fit(shaky, whole, monkeypatch):
    photo = np.stack([scene(200, 90), scene(200, 90)])
    calls = []
    monkeypatch.setattr(Tiler, "paint", lambda *a, paint=Tiler.paint: calls.append(a) or paint(*a))
    small = Stylizer(shaky, "cpu", memory=1)
    for keep in (False, True):
        assert np.abs(small(photo, 1.2, keep).astype(int) - whole(photo, 1.2, keep)).max() <= 1
    assert len(calls) == 4
    monkeypatch.setattr("onestroke.inference.stylizer.free_memory", lambda: 2 * 10**6)
    Stylizer(shaky, "cpu")(photo[0])
    assert len(calls) == 5
    whole(photo)
    small(photo[:, :8, :8])
    assert len(calls) == 5


@pytest.mark.parametrize("megabytes", [0, -5, float("nan"), "500"])
def test_memory_that_cannot_be_used_is_named(model, megabytes):
    with pytest.raises(ConfigError, match=f"memory: {megabytes!r} cannot be used; use MB, 1 or more"):
        Stylizer(model, "cpu", memory=megabytes)


def test_the_flag(model, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.fromarray(scene(120, 80)).save(photo)
    assert cli(["stylize", str(model), str(photo), "--memory", "0"]) == 2
    assert "memory: 0 cannot be used; use MB, 1 or more" in capsys.readouterr().err
    assert cli(["stylize", str(model), str(photo), "--memory", "1"]) == 0
    wanted = Stylizer(model, "cpu", memory=100_000)(read_image(photo).rgb).astype(int)
    assert np.abs(read_image(tmp_path / "photo-stripes.png").rgb - wanted).max() <= 1


def test_files_are_removed_even_after_an_error(shaky, tmp_path, monkeypatch):
    made = []

    def temporary(*arguments, create=tempfile.TemporaryFile, **options):
        made.append(create(*arguments, **options, dir=tmp_path))
        return made[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary)
    parts = Tiler(open_model(shaky, "cpu"), shaky, 1.0).paint(Whole(scene(300, 60)), 0)
    next(parts)
    assert made and not made[0].closed
    parts.close()
    assert all(file.closed for file in made) and not list(tmp_path.iterdir())
    monkeypatch.setattr(tiles.Moments, "scale", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        in_strips(shaky, scene(300, 60), 1.0, 0)
    assert all(file.closed for file in made) and not list(tmp_path.iterdir())


def test_a_full_disk_is_one_line(shaky, monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def seek(self, _):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(ImageError, match=r"no room for features \(No space left on device\).*TMPDIR"):
        in_strips(shaky, scene(100, 60), 1.0, 0)


def test_a_graph_that_looks_at_everything_in_another_way_is_refused(model, tmp_path):
    graph = onnx.load(model)
    relu = next(node for node in graph.graph.node if node.op_type == "Relu")
    relu.op_type = "Softmax"
    onnx.save(graph, tmp_path / "odd.onnx")
    with pytest.raises(ModelError, match="Softmax"):
        Tiler(open_model(tmp_path / "odd.onnx", "cpu"), tmp_path / "odd.onnx", 1.0)


def test_moments_add_up():
    values = RNG.normal(5, 3, (3, 1000)).astype(np.float32)
    moments = tiles.Moments(np.float32([4, 5, 6]))
    for part in np.split(values - moments.center[:, None], [10, 500], 1):
        moments.add(part.shape[1], part.mean(1), (part**2).sum(1))
    gain, bias = np.array([1.0, 2.0, 3.0]), np.array([0.0, 1.0, -1.0])
    wanted = (values - values.mean(1, keepdims=True)) / values.std(1, keepdims=True) * gain[:, None] + bias[:, None]
    for less in (False, True):
        factor, offset = moments.scale(gain, bias, 0.0, less)
        given = values - less * moments.center[:, None]
        assert np.allclose(given * factor[:, None] + offset[:, None], wanted, atol=1e-5)


def test_files_in_memory_count_as_free_in_a_container(tmp_path, monkeypatch):
    for name, text in (("max", "1000000"), ("current", "900000"), ("stat", "anon 300000\ninactive_file 500000\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path)
    assert memory.free_memory() == 600_000


def test_free_memory_is_a_sensible_number():
    assert 10**7 < memory.free_memory() < 10**14


@given(st.integers(1, 400), st.integers(1, 90), st.integers(0, 40))
def test_strips_have_every_position_once_and_halos_inside_the_picture(positions, step, halo):
    cut = strips(positions, step, halo)
    assert [place for strip in cut for place in range(strip.start, strip.stop)] == list(range(positions))
    for strip in cut:
        assert 0 <= strip.top <= strip.start < strip.stop <= strip.bottom <= positions
        assert strip.start - strip.top == min(halo, strip.start)
        assert strip.bottom - strip.stop == min(halo, positions - strip.stop)


OPERATORS = st.one_of(
    st.tuples(st.just("pad"), st.integers(0, 4), st.integers(0, 4)),
    st.tuples(st.just("convolve"), st.sampled_from([1, 3, 5, 9]), st.sampled_from([1, 2])),
    st.tuples(st.just("resize"), st.sampled_from([2, 3]), st.booleans()),
)


@given(st.integers(40, 60), st.sampled_from([1, 2, 4]), st.lists(OPERATORS, max_size=7))
def test_rows_said_to_be_right_are(positions, rate, operators):
    """Each row of a strip is true or not: not what was padded at an edge inside the picture, nor what looks at such rows."""
    rows, true = Rows(rate), np.ones(rate * positions, bool)
    for name, a, b in operators:
        if name == "pad":
            rows, true = rows.padded(a, b), np.pad(true, (a, b))
        elif name == "convolve" and rows.rate % b == 0:
            rows, true = rows.convolved(a, b), np.lib.stride_tricks.sliding_window_view(true, a)[::b].all(-1)
        elif name == "resize":
            seen = np.pad(true, 1) if b else np.pad(true, 1, constant_values=True)  # linear: also the rows beside it
            true = np.repeat(seen[:-2] & true & seen[2:] if b else true, a)
            rows = rows.resized(a, b)
    assert len(true) == rows.rate * positions + rows.extra
    assert true[rows.before : len(true) - rows.after].all()
    own = true[rows.rate * rows.halo : rows.rate * (positions - rows.halo)]  # the strip's own rows, its halo around them
    assert len(own) == 0 or own.all()
