import numpy as np
import pytest
from PIL import Image

from onestroke.cli.main import main as cli
from onestroke.errors import ConfigError
from onestroke.images import resize, resize_to
from onestroke.runtime.brush import Brush, enlarge, paint_with
from onestroke.samples.scenes import draw

PHOTO = draw(3, 240)[:180]


def levels(one, other):
    return np.abs(one.astype(int) - other)


@pytest.mark.parametrize(
    ("text", "side"), [("60", 60), ("60px", 60), ("25%", 60), (" 12.5 % ", 30), ("0.1%", 1), ("240", None), ("300%", None)]
)
def test_brushes_are_pixels_or_percent(text, side):
    assert Brush.parse(text).side(PHOTO) == side


@pytest.mark.parametrize("text", ["0", "0%", "-3", "wide", "", "5%%", "nan", "1e3", "12 34"])
def test_what_is_no_brush_is_one_clear_line(text, tiny, tmp_path, capfd):
    with pytest.raises(ConfigError, match=r"brush: .* is no size; use pixels \(512\) or percent"):
        Brush.parse(text)
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    assert cli(["stylize", str(tiny), str(tmp_path / "a.png"), f"--brush={text}"]) == 2
    assert "brush: " in capfd.readouterr().err


def test_a_brush_of_the_photos_size_or_more_is_native(painter):
    assert np.array_equal(painter(PHOTO, brush=Brush(240)), painter(PHOTO))
    assert np.array_equal(painter(PHOTO, brush=Brush(9000)), painter(PHOTO))


@pytest.mark.parametrize("shape", [(180, 240), (181, 77), (1, 200), (200, 1), (2, 2)])
@pytest.mark.parametrize("side", [1, 24])
def test_the_size_is_kept(painter, shape, side):
    photo = np.ascontiguousarray(resize_to(PHOTO, *shape))
    assert painter(photo, brush=Brush(side)).shape == photo.shape


def test_the_network_sees_the_reduced_photo():
    seen = []
    paint_with(Brush(60), PHOTO, lambda small: seen.append(small) or small)
    assert np.array_equal(seen[0], resize(PHOTO, longer=60))


def test_a_network_that_changes_nothing_gives_the_photo_back(painter):
    assert levels(paint_with(Brush(60), PHOTO, lambda small: small), PHOTO).max() <= 1
    assert levels(painter(PHOTO, strength=0.0, brush=Brush(60)), PHOTO).max() <= 1


@pytest.mark.parametrize("matrix", [-np.eye(3), np.full((3, 3), 1 / 3), np.diag([0.2, 0.5, 1.0])])
def test_a_network_that_only_changes_colours_loses_no_detail(matrix):
    """Negative, grey, tinted: painted small, they come out as if painted at full size."""

    def paint(pixels):
        return np.clip((pixels - 127.5) @ matrix + 128, 0, 255).astype(np.uint8)

    ours = levels(paint_with(Brush(60), PHOTO, paint), paint(PHOTO)).mean()
    plain = levels(resize_to(paint(resize(PHOTO, longer=60)), *PHOTO.shape[:2]), paint(PHOTO)).mean()
    assert ours < 1 and ours < plain / 4


def test_an_edge_that_the_painting_follows_stays_sharp_under_strokes():
    rng = np.random.default_rng(0)
    photo = np.full((160, 160, 3), 60, np.uint8)
    photo[:, 81:] = 190
    small = resize(photo, longer=40)
    painting = np.clip(255 - 0.8 * small + rng.normal(0, 6, small.shape), 0, 255).astype(np.uint8)
    ours, plain = enlarge(painting, small, photo), resize_to(painting, 160, 160)

    def step(picture):
        return abs(np.diff(picture.mean((0, 2))[76:86])).max()

    assert step(ours) > 85 and step(ours) > 2 * step(plain)  # of 104
    # Away from the edge there is nothing to put back: strokes as they were enlarged.
    assert levels(ours, plain)[:, :60].max() <= 2


def test_noise_of_the_photo_does_not_grow_where_it_is_calm():
    rng = np.random.default_rng(0)
    photo = np.clip(128 + rng.normal(0, 3, (160, 160, 3)), 0, 255).astype(np.uint8)
    small = resize(photo, longer=40)
    painting = np.clip(128 + rng.normal(0, 40, small.shape), 0, 255).astype(np.uint8)
    added = enlarge(painting, small, photo).astype(float) - resize_to(painting, 160, 160)
    assert added.std() < 3


@pytest.mark.parametrize("strip", [32 * 240, 60 * 240])
def test_strips_are_the_whole(strip):
    small = resize(PHOTO, longer=100)
    painting = np.ascontiguousarray(255 - small[::-1])
    assert levels(enlarge(painting, small, PHOTO, strip), enlarge(painting, small, PHOTO)).max() <= 1


def test_batches_and_kept_colours(painter):
    batch = np.stack([PHOTO, PHOTO[::-1]])
    painted = painter(batch, brush=Brush(60))
    assert np.array_equal(painted[0], painter(PHOTO, brush=Brush(60)))
    kept = Image.fromarray(painter(PHOTO, keep_colors=True, brush=Brush(60))).convert("YCbCr")
    assert levels(np.asarray(kept)[..., 1], np.asarray(Image.fromarray(PHOTO).convert("YCbCr"))[..., 1]).mean() < 3


def test_the_flag_paints_at_that_scale(tiny, painter, tmp_path):
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    assert cli(["stylize", str(tiny), str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png"), "--brush", "25%"]) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), painter(PHOTO, brush=Brush(60)))
