"""A style image drawn by this program: the scene of the sample painting as a window of stained glass.

    python -m onestroke.samples.stained_glass stained_glass.png

Panes are cells along the flow of the scene, as the stones of the mosaic are, but larger and longer; lead holds them together.
The same seed draws the same picture.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onestroke.arrays import Array
from onestroke.samples.mosaic import cells, settled
from onestroke.samples.painting import HEIGHT, WIDTH, scene_color, scene_flow
from onestroke.saving import save_image

PANE, STRETCH = 36, 1.7  # pixels across a pane; how many times as long it is
LEAD, ROUND = 5.5, (24, 22, 26)  # half the width of the lead in pixels, and its color
DEEPER = 1.75  # the glass's saturation against the scene's

Field = NDArray[Any]


def draw(seed: int = 11) -> Array:
    """Glaze it: uint8 [768, 1024, 3]."""
    rng = np.random.default_rng(seed)
    sites = settled(rng, PANE, STRETCH)
    owner, nearest, second = cells(sites, PANE, STRETCH)
    glass = _panes(rng, sites)[owner] * _grain(rng)[..., None]
    depth = second - nearest
    glow = 0.86 + 0.3 * np.clip(depth / (1.6 * PANE), 0, 1)  # light comes through the middle, dirt sits at the lead
    lit = np.clip((depth - LEAD) / 2, 0, 1)[..., None]
    ridge = np.clip(1 - np.abs(depth - 0.45 * LEAD) / 2.2, 0, 1)[..., None]  # lead is round, and catches light along it
    window = glass * glow[..., None] * lit + (np.array(ROUND) + 34 * ridge) * (1 - lit)
    return np.clip(window, 0, 255).astype(np.uint8)


def _panes(rng: np.random.Generator, sites: Field) -> Field:
    """The color of each pane [N, 3]: deeper than the scene's there, and now and then another's."""
    color = scene_color(sites[:, 1] / WIDTH, sites[:, 0] / WIDTH) * 1.1 + rng.normal(0, 26, (len(sites), 3))
    swapped = np.flatnonzero(rng.random(len(sites)) < 0.12)
    color[swapped] = color[rng.integers(0, len(sites), len(swapped))]
    gray = color.mean(1, keepdims=True)
    return np.clip(gray + DEEPER * (color - gray), 6, 255) * (1 + rng.normal(0, 0.1, (len(sites), 1)))


def _grain(rng: np.random.Generator) -> Field:
    """Streaks of the molten glass along the flow, [H, W] around 1."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / WIDTH
    u, v = scene_flow(x, y)
    wave = np.sin(190 * (u * y - v * x) + 5 * np.sin(23 * x + 17 * y))
    return 1 + 0.07 * wave + 0.025 * rng.normal(size=(HEIGHT, WIDTH))


if __name__ == "__main__":
    save_image(sys.argv[1], draw())
