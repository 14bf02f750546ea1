import itertools
import math

import numpy as np
import onnx
import pytest
from PIL import Image

from onestroke.arrays import resize, resize_to
from onestroke.cli.main import main as cli
from onestroke.errors import ConfigError
from onestroke.grain import grain
from onestroke.inference import brush
from onestroke.inference.brush import AUTO, NATIVE, Brush, for_frames, paint_in_octaves
from onestroke.inference.stylizer import Stylizer
from onestroke.samples.scenes import draw

PHOTO = draw(3, 240)[:180]


def pixels(source):
    """All of a source, as an array of its own."""
    return source.rows(0, source.shape[0]).copy()


def levels(one, other):
    return np.abs(one.astype(int) - other)


@pytest.mark.parametrize(
    ("text", "first"), [("60", 60), ("60px", 60), ("25%", 60), (" 12.5 % ", 30), ("240", 240), ("300%", 240), ("native", 240)]
)
def test_brushes_are_pixels_or_percent(text, first):
    sizes = Brush.parse(text).sizes(180, 240)
    assert sizes[0][1] == first and sizes[-1] == (180, 240)


@pytest.mark.parametrize("text", ["0", "0%", "-3", "wide", "", "5%%", "nan", "1e3", "12 34"])
def test_what_is_no_brush_is_one_clear_line(text, tiny, tmp_path, capfd):
    with pytest.raises(ConfigError, match=r"brush: .* is no size; use auto, native, pixels \(512\) or percent"):
        Brush.parse(text)
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    assert cli(["stylize", str(tiny), str(tmp_path / "a.png"), f"--brush={text}"]) == 2
    assert "brush: " in capfd.readouterr().err


@pytest.mark.parametrize("brush", [AUTO, NATIVE, Brush(512), Brush(25, percent=True)])
def test_a_brush_says_itself_as_it_is_typed(brush):
    assert Brush.parse(str(brush)) == brush


def test_octaves_are_steps_of_about_two_and_cost_half_as_much_again():
    for width in range(64, 12_000, 37):
        sizes = AUTO.sizes(width // 2, width)
        assert sizes[-1] == (width // 2, width)
        steps = [b[1] / a[1] for a, b in itertools.pairwise(sizes)]
        assert all(1.4 < step < 3.62 for step in steps)
        if len(sizes) > 1:
            assert abs(sizes[0][1] - brush.AUTO_LENGTH) <= 1
        assert sum(w**2 for _, w in sizes) <= 1.51 * width**2


def test_a_brush_of_about_the_photos_size_is_native(painter):
    assert np.array_equal(painter(PHOTO, brush=Brush(200)), painter(PHOTO, brush=NATIVE))
    assert np.array_equal(painter(PHOTO, brush=Brush(9000)), painter(PHOTO, brush=NATIVE))
    assert np.array_equal(painter(PHOTO), painter(PHOTO, brush=NATIVE))
    assert not np.array_equal(painter(PHOTO, brush=Brush(60)), painter(PHOTO, brush=NATIVE))


@pytest.fixture(scope="module")
def grained(tiny, tmp_path_factory):
    """A network that has learned with grain."""
    model = onnx.load(tiny)
    next(entry for entry in model.metadata_props if entry.key == "grain").value = "6.0"
    path = tmp_path_factory.mktemp("grained") / "grained.onnx"
    onnx.save(model, path)
    return path


def test_photos_get_the_grain_that_a_network_has_learned_with(grained, painter):
    paint = Stylizer(grained, "cpu")
    shown = np.clip(PHOTO + grain(6.0, *PHOTO.shape[:2])[..., None], 0, 255).astype(np.uint8)
    assert np.array_equal(paint(PHOTO), painter(shown))
    assert not np.array_equal(paint(PHOTO), painter(PHOTO))
    octaves = paint(PHOTO, brush=Brush(60))
    assert not np.array_equal(octaves, painter(PHOTO, brush=Brush(60)))
    assert levels(paint(PHOTO), Stylizer(grained, "cpu", memory=1)(PHOTO)).max() <= 1  # in strips


@pytest.mark.parametrize("brush", [NATIVE, for_frames(AUTO), for_frames(Brush(60))])
def test_neither_native_pictures_nor_frames_get_grain(grained, painter, brush):
    assert np.array_equal(Stylizer(grained, "cpu")(PHOTO, brush=brush), painter(PHOTO, brush=brush))


def test_grain_fades_with_the_painting(grained, painter):
    paint, solid = Stylizer(grained, "cpu"), painter.card.solid
    assert np.array_equal(paint(PHOTO, 0.0), PHOTO)
    shown = np.clip(PHOTO + grain(3.0, *PHOTO.shape[:2])[..., None], 0, 255).astype(np.uint8)
    assert np.array_equal(paint(PHOTO, solid / 2), painter(shown, solid / 2))


@pytest.mark.parametrize("shape", [(180, 240), (181, 77), (1, 200), (200, 1), (2, 2)])
@pytest.mark.parametrize("side", [1, 24])
def test_the_size_is_kept(painter, shape, side):
    photo = np.ascontiguousarray(resize_to(PHOTO, *shape))
    assert painter(photo, brush=Brush(side)).shape == photo.shape


def test_the_network_sees_the_reduced_photo_first():
    seen = []
    paint_in_octaves(Brush(60).sizes(180, 240), PHOTO, lambda small: seen.append(pixels(small)) or pixels(small))
    halved = Image.fromarray(PHOTO).resize((120, 90), Image.Resampling.BICUBIC).resize((60, 45), Image.Resampling.BICUBIC)
    assert np.array_equal(seen[0], np.asarray(halved))
    assert [picture.shape[1] for picture in seen] == [60, 120, 240]


def test_a_network_that_changes_nothing_gives_nearly_the_photo_back(painter, monkeypatch):
    sizes = Brush(60).sizes(180, 240)
    monkeypatch.setattr(brush, "GRAIN", 0.0)
    plain = levels(resize_to(resize(PHOTO, longer=60), 180, 240), PHOTO).mean()
    assert levels(paint_in_octaves(sizes, PHOTO, pixels), PHOTO).mean() < plain / 2
    assert np.array_equal(painter(PHOTO, strength=0.0, brush=Brush(60)), PHOTO)


def test_reduced_the_result_is_the_small_painting():
    """Strokes that the network draws anew at each octave do not replace those of the octave before."""
    rng = np.random.default_rng(0)

    def strokes(source):
        photo = pixels(source)
        return np.clip(photo + rng.normal(0, 40, photo.shape), 0, 255).astype(np.uint8)

    seen = []
    photo = resize_to(PHOTO, 720, 960)
    result = paint_in_octaves(Brush(240).sizes(720, 960), photo, lambda small: seen.append(strokes(small)) or seen[-1].copy())
    reduced = resize(result, longer=240).astype(float) - resize(photo, longer=240)
    drawn = seen[0].astype(float) - resize(photo, longer=240)
    assert (reduced * drawn).mean() / (drawn**2).mean() > 0.4
    fine = result.astype(float) - resize_to(resize(result, longer=240), 720, 960)
    assert fine.std() > 15  # crisp at full size


def test_what_is_painted_over_is_the_same_in_whatever_parts_it_is_read():
    guide = brush._Guide(resize(PHOTO, longer=120), np.full((90, 120), 99, np.uint8), resize_to(PHOTO, 700, 300))
    whole = pixels(guide)
    for first, last in ((0, 1), (255, 257), (100, 613), (699, 700)):
        assert np.array_equal(guide.rows(first, last), whole[first:last])


@pytest.mark.parametrize("rows", [32, 60])
def test_strips_are_the_whole(rows, monkeypatch):
    def run():
        return paint_in_octaves(Brush(100).sizes(180, 240), PHOTO, lambda small: 255 - pixels(small))

    whole = run()
    monkeypatch.setattr(brush, "ROWS", rows)
    assert levels(run(), whole).max() <= 2


def test_batches_and_kept_colors(painter):
    batch = np.stack([PHOTO, PHOTO[::-1]])
    painted = painter(batch, brush=Brush(60))
    assert np.array_equal(painted[0], painter(PHOTO, brush=Brush(60)))
    kept = Image.fromarray(painter(PHOTO, keep_colors=True, brush=Brush(60))).convert("YCbCr")
    assert levels(np.asarray(kept)[..., 1], np.asarray(Image.fromarray(PHOTO).convert("YCbCr"))[..., 1]).mean() < 3


def test_the_flag_paints_at_that_scale(tiny, painter, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    assert cli(["stylize", str(tiny), str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png"), "--brush", "25%"]) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), painter(PHOTO, brush=Brush(60)))


def test_a_length_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="brush: nan"):
        Brush(math.nan)
