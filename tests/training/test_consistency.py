import numpy as np
import pytest
import torch
from torch import nn

from onestroke.training import consistency as disturb
from onestroke.training.step import TrainingStep


def smooth(height, width):
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([np.sin(x / 9 + i) * np.cos(y / 7 - i) for i in range(3)])
    return torch.from_numpy(0.5 + 0.3 * waves).float()[None]


def test_shifts_and_warps_come_by_turns_and_are_the_same_again():
    kinds = [disturb.draw(0, step, 64, 80) for step in range(4)]
    assert [type(kind) for kind in kinds] == [disturb.Shift, disturb.Warp] * 2
    again, other = disturb.draw(0, 1, 64, 80), disturb.draw(1, 1, 64, 80)
    assert torch.equal(kinds[1].grid, again.grid) and torch.equal(kinds[1].noise, again.noise)
    assert not torch.equal(kinds[1].grid, other.grid)


@pytest.mark.parametrize("step", range(6))
def test_a_painter_of_single_pixels_costs_no_more_than_the_light_and_noise(step):
    """What commutes with motion is steady: only what the warp adds to the photo may remain."""
    photo = smooth(96, 80)
    change = disturb.draw(0, step, 96, 80)
    left = disturb.inside(change.disturb(photo)) - disturb.inside(change.follow(photo))
    if isinstance(change, disturb.Shift):
        assert torch.equal(left, torch.zeros_like(left))
    else:
        assert float(left.abs().max()) <= disturb.LIGHT * 1.5 + 6 * disturb.NOISE


def test_a_pattern_that_stands_on_the_pixel_grid_costs_as_much_as_it_shows():
    grid = torch.zeros(1, 3, 64, 64)
    grid[..., ::4, :] = 1
    costs = []
    for step in range(0, 16, 2):
        change = disturb.draw(0, step, 64, 64)
        seen = grid[..., : len(change.rows), : len(change.columns)]  # painted anew, it stands where it stood
        costs.append(float((disturb.inside(seen) - disturb.inside(change.follow(grid))).abs().mean()))
    assert np.mean(costs) > 0.25


def test_a_strip_along_the_bottom_costs_unless_the_bottom_stays_in_view():
    def painted(photo):
        strip = photo.clone()
        strip[..., -16:, :] = 1
        return strip

    photo, cut = smooth(96, 80), set()
    for step in range(0, 200, 2):
        change = disturb.draw(0, step, 96, 80)
        below = 96 - 1 - int(change.rows[-1])
        gap = disturb.inside(painted(change.disturb(photo))) - disturb.inside(change.follow(painted(photo)))
        assert bool(gap.any()) == (below > 0)
        cut.add(below)
    assert cut == set(range(96 // disturb.CUT + 1))


def test_a_warp_moves_every_pixel_by_a_small_share_of_the_side():
    y, x = torch.meshgrid(torch.arange(100.0), torch.arange(100.0), indexing="ij")
    place = torch.stack([x, y, x])[None]
    moved = [disturb.inside(disturb.draw(2, step, 100, 100).follow(place) - place)[:, :2].abs() for step in range(1, 20, 2)]
    assert 0.5 < float(torch.stack([m.mean() for m in moved]).mean()) < 4
    assert float(torch.stack([m.max() for m in moved]).max()) < 100 * 4 * disturb.CORNER


def test_most_steps_train_full_strength_and_the_reference_no_other():
    drawn = [TrainingStep(nn.Identity(), strongest=1.5).strength_at(step) for step in range(400)]
    assert 0.6 < drawn.count(1.0) / 400 < 0.73
    assert min(drawn) >= 0.2 and 1.4 < max(drawn) <= 1.5
    assert {TrainingStep(nn.Identity(), strongest=1.0).strength_at(step) for step in range(50)} == {1.0}
