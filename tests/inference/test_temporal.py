import sys
from itertools import pairwise

import numpy as np
import pytest

from onestroke.arrays import resize
from onestroke.errors import ConfigError
from onestroke.inference.temporal import Steady

RNG = np.random.default_rng(0)


def scene(seed: int, height: int = 160, width: int = 200) -> np.ndarray:
    """Smooth structure that motion can be found in."""
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return resize(coarse, longer=width)


def noisy(picture: np.ndarray, levels: float) -> np.ndarray:
    return np.clip(picture + RNG.normal(0, levels, picture.shape), 0, 255).astype(np.uint8)


def test_flicker_of_a_still_scene_is_halved():
    photo, hold = scene(0), Steady()
    held = [hold(photo, noisy(photo, 12)) for _ in range(12)][6:]
    plain = [noisy(photo, 12) for _ in range(6)]
    change = [np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairwise(f)]) for f in (held, plain)]
    assert change[0] < 0.5 * change[1]


def test_paintings_follow_the_motion_of_the_film():
    """Mixed without motion, a scene that moves by 3 pixels a frame would be smeared."""
    whole, hold = scene(1, 160, 320), Steady()
    for i in range(10):
        view = np.ascontiguousarray(whole[:, 3 * i : 3 * i + 200])
        held = hold(view, 255 - view)
    middle = (slice(16, -16), slice(32, -32))
    assert np.abs(held.astype(int) - (255 - view))[middle].mean() < 3


def test_what_comes_into_view_is_painted_anew():
    hold = Steady()
    hold(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8))
    photo = np.full((64, 64, 3), 200, np.uint8)
    assert np.array_equal(hold(photo, photo), photo)


def test_a_still_painting_stays_as_it_is():
    photo, hold = scene(2), Steady()
    assert all(np.array_equal(hold(photo, photo), photo) for _ in range(5))


def test_without_opencv_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError, match="pip install opencv-python-headless"):
        Steady()
