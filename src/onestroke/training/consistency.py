"""Small changes of a photo that must cause equally small changes of its painting: shifts, warps, light and noise.

A network that works at a quarter of the resolution likes to paint a pattern that stands still on the pixel grid while the
photo moves under it: a grid in pictures, flicker in videos. Asking for the same painting after a known motion takes both
away, and needs neither video nor optical flow (as ReCoNet, Gao 2018, does). Parts of a photo must look as they do in the whole:
so a network paints no frame either, and no strip along the bottom because the style image has a meadow there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Pixels along each edge that are not compared: the mirrored border moves in its own way.
EDGE = 8
# A shift leaves all but a sixth of each side in view: what lies at a border of the one painting lies inside the other.
CUT = 6
# A warp moves each corner by up to this share of the side, the light changes by up to LIGHT, the noise by NOISE (of 1).
CORNER, LIGHT, NOISE = 0.04, 0.06, 0.02


class Shift(NamedTuple):
    """A move by whole pixels: exact, nothing is interpolated.

    Given as the rows and columns that stay in view, always as many, so that a step's shapes do not change (graphs.py).
    """

    rows: Tensor  # int64 [H - H // CUT]
    columns: Tensor  # int64 [W - W // CUT]

    def disturb(self, photos: Tensor) -> Tensor:
        """Photos [N, 3, H, W] to [N, 3, H - H // CUT, W - W // CUT]."""
        return photos.index_select(2, self.rows).index_select(3, self.columns)

    def follow(self, painted: Tensor) -> Tensor:
        """What a painting [N, 3, H, W] of the photos should have become."""
        return self.disturb(painted)


class Warp(NamedTuple):
    """A homography near the identity (zoom, rotation, tilt, shifts of parts of a pixel), smooth light, and sensor noise."""

    grid: Tensor  # [1, H, W, 2], as grid_sample wants it
    light: Tensor  # [1, 1, H, W], added
    noise: Tensor  # [1, 3, H, W], added

    def disturb(self, photos: Tensor) -> Tensor:
        """Photos [N, 3, H, W] in [0, 1] to the same shape."""
        return (self._sampled(photos) + self.light + self.noise).clamp(0, 1)

    def follow(self, painted: Tensor) -> Tensor:
        """What a painting [N, 3, H, W] of the photos should have become: moved, its light and grain as they were."""
        return self._sampled(painted)

    def _sampled(self, x: Tensor) -> Tensor:
        grid = self.grid.expand(len(x), -1, -1, -1)
        return F.grid_sample(x.float(), grid, "bicubic", "reflection", align_corners=False)


Disturbance = Shift | Warp


def draw(seed: int, step: int, height: int, width: int) -> Disturbance:
    """The disturbance of one training step, a pure function of its arguments: shifts and warps by turns. On the CPU."""
    rng = np.random.default_rng((seed, 3, step))
    if step % 2 == 0:
        below, beside = height // CUT, width // CUT
        down, right = (int(n) for n in rng.integers(0, (below + 1, beside + 1)))
        return Shift(down + torch.arange(height - below), right + torch.arange(width - beside))
    y, x = torch.meshgrid(_centers(height), _centers(width), indexing="ij")
    along, down, turn, light = rng.uniform(-1, 1, (4, 3))
    scale_x, skew_x, move_x = (along * CORNER).tolist()
    skew_y, scale_y, move_y = (down * CORNER).tolist()
    depth = 1 + CORNER / 2 * (float(turn[0]) * x + float(turn[1]) * y)
    moved_x, moved_y = x * (1 + scale_x) + y * skew_x + move_x, x * skew_y + y * (1 + scale_y) + move_y
    grid = torch.stack([moved_x / depth, moved_y / depth], -1)
    shade = LIGHT * (float(light[0]) + float(light[1]) * x + float(light[2]) * y) / 2
    noise = torch.from_numpy(rng.normal(0, NOISE * rng.random(), (1, 3, height, width)).astype(np.float32))
    return Warp(grid[None], shade[None, None], noise)


def _centers(length: int) -> Tensor:
    """Where pixel centers lie, from -1 to 1."""
    return (2 * torch.arange(length) + 1) / length - 1


def inside(x: Tensor) -> Tensor:
    """Without the pixels along the edges: [N, C, H, W] to [N, C, H - 2 * EDGE, W - 2 * EDGE]."""
    return x[..., EDGE:-EDGE, EDGE:-EDGE]
