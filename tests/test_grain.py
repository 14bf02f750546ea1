import numpy as np
import pytest

from onestroke.grain import SIDE, grain


def test_a_place_always_has_the_same_grain():
    whole = grain(4.0, 700, 600)
    assert np.array_equal(grain(4.0, 33, 90, 650, 500), whole[650:683, 500:590])
    assert np.array_equal(whole[SIDE:], whole[: 700 - SIDE])


@pytest.mark.parametrize("deviation", [1.5, 4.0, 10.0])
def test_it_is_as_strong_as_asked_for_and_neither_light_nor_dark(deviation):
    levels = grain(deviation, SIDE, SIDE)
    assert levels.std() == pytest.approx(np.sqrt(deviation**2 + 1 / 12), rel=0.01)  # rounding adds a twelfth
    assert abs(levels.mean()) < 0.02
    assert 4 * deviation < np.abs(levels).max() < 6 * deviation


def test_none_is_none():
    assert not grain(0.0, 8, 8).any()


def test_it_has_no_grid_and_is_as_soft_as_1_2_1_makes_it():
    levels = grain(10.0, SIDE, SIDE).astype(float)
    near = [(levels * np.roll(levels, step, 1)).mean() / levels.var() for step in range(6)]
    assert near[1:3] == pytest.approx([2 / 3, 1 / 6], abs=0.02) and max(map(abs, near[3:])) < 0.02
    cells = levels.reshape(SIDE // 4, 4, SIDE // 4, 4).mean((0, 2))  # as a pattern that repeats every four pixels would be seen
    assert np.abs(cells).max() < 0.5


def test_the_browser_page_makes_the_same():
    """Numbers from web/src/engine/grain.ts."""
    assert grain(4.0, 1, 140)[0, ::7].tolist() == [3, 0, 0, 0, -6, 1, 6, 3, 2, -9, -7, -4, 4, -3, -8, 0, 3, -4, 0, -3]
