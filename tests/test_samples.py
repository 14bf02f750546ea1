import numpy as np
import pytest

from onestroke.samples import etching, mosaic, painting, photos, scenes, watercolor


def test_the_painting_is_drawn_the_same_again():
    assert np.array_equal(painting.draw(scale=0.06, layers=1), painting.draw(scale=0.06, layers=1))
    assert not np.array_equal(painting.draw(scale=0.06, layers=1), painting.draw(seed=8, scale=0.06, layers=1))


def test_the_committed_painting_comes_from_the_program():
    """Its colors, at thumbnail scale, are those the program draws today."""
    committed = painting.picture()
    assert committed.shape == (768, 1024, 3)
    shrunk = committed.reshape(8, 96, 8, 128, 3).mean((1, 3))
    drawn = painting.draw(scale=0.25, layers=2).reshape(8, 24, 8, 32, 3).mean((1, 3))
    assert np.abs(shrunk - drawn).mean() < 12


def test_scenes_are_deterministic_and_varied():
    first = [scenes.draw(seed, 64) for seed in range(6)]
    assert np.array_equal(first[2], scenes.draw(2, 64))
    assert len({scene.tobytes() for scene in first}) == 6
    assert all(scene.std() > 5 for scene in first)


def test_held_out_photos_are_apart_from_the_training_photos():
    train, held_out = photos.train_photos(), photos.held_out_photos()
    assert len(train) >= 8 and len(held_out) == 2 and not set(train) & set(held_out)


@pytest.mark.parametrize(("style", "dark"), [(mosaic, mosaic.MORTAR), (etching, etching.INK), (watercolor, watercolor.INK)])
def test_style_images_are_drawn_the_same_again(style, dark, monkeypatch):
    """A sixteenth of them, with as many stones, strokes or washes a pixel: the whole takes seconds."""
    assert (style.HEIGHT, style.WIDTH) == (768, 1024)
    monkeypatch.setattr(style, "WIDTH", 256)
    monkeypatch.setattr(style, "HEIGHT", 192)
    monkeypatch.setattr(etching, "STROKES", etching.STROKES // 16)
    monkeypatch.setattr(watercolor, "LINES", watercolor.LINES // 16)
    monkeypatch.setattr(watercolor, "LAYERS", [(size, count // 16, *rest) for size, count, *rest in watercolor.LAYERS])
    drawn = style.draw()
    assert drawn.shape == (192, 256, 3) and np.array_equal(drawn, style.draw())
    assert not np.array_equal(drawn, style.draw(seed=1))
    near = np.abs(drawn.astype(int) - dark).max(-1) < 30
    assert 0.05 < near.mean() < 0.5  # joints between stones, lines of ink
