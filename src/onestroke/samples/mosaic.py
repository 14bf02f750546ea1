"""A style image drawn by this program: the scene of the sample painting, laid in stones.

    python -m onestroke.samples.mosaic mosaic.png

Stones are the cells of a centroidal Voronoi diagram whose distance is measured along and across the flow of the scene, in the
maximum norm, so that they become squares in rows (Hausner 2001). The same seed draws the same picture.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onestroke.arrays import Array
from onestroke.samples.painting import HEIGHT, WIDTH, scene_color, scene_flow
from onestroke.saving import save_image

STONE = 21  # pixels from one stone to the next
ROUNDS = 12
JOINT = 0.13  # of a stone's side
MORTAR = (64, 56, 50)
# Stones that are cut from few quarries: marble, limestone, sandstone, brick, basalt, lapis, malachite, glass.
QUARRY = np.array([
    (238, 228, 206), (214, 196, 160), (226, 178, 72), (204, 116, 52), (160, 58, 38), (104, 40, 34), (40, 38, 44), (24, 44, 104),
    (38, 96, 162), (104, 164, 196), (32, 84, 72), (84, 130, 84), (168, 184, 150), (122, 96, 70),
], float)  # fmt: skip

Field = NDArray[Any]


def draw(seed: int = 3) -> Array:
    """Lay it: uint8 [768, 1024, 3]."""
    rng = np.random.default_rng(seed)
    sites = settled(rng, STONE)
    owner, nearest, second = cells(sites, STONE)
    stones = _stones(rng, sites)[owner] * (1 + 0.05 * rng.normal(size=(HEIGHT, WIDTH, 1)))
    inside = np.clip((second - nearest) / (JOINT * STONE) - 0.4, 0, 1)[..., None]
    slope = np.gradient(inside[..., 0], axis=0) + np.gradient(inside[..., 0], axis=1)  # stones stand out of the mortar
    laid = stones * inside + np.array(MORTAR) * (1 - inside) + 60 * slope[..., None]
    return np.clip(laid, 0, 255).astype(np.uint8)


def settled(rng: np.random.Generator, pitch: float, stretch: float = 1.0) -> Field:
    """Sites [N, (y, x)], `pitch` pixels apart, that lie in the middle of their cells."""
    ys, xs = np.mgrid[pitch / 2 : HEIGHT : pitch, pitch / 2 : WIDTH : pitch]
    sites = np.stack([ys.ravel(), xs.ravel()], 1) + rng.uniform(-pitch / 2, pitch / 2, (ys.size, 2))
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    for _ in range(ROUNDS):
        owner = cells(sites, pitch, stretch)[0].ravel()
        count = np.bincount(owner, minlength=len(sites)).clip(1)
        sites = np.stack([np.bincount(owner, of.ravel(), len(sites)) / count for of in (y, x)], 1)
    return sites


def cells(sites: Field, pitch: float, stretch: float = 1.0) -> tuple[Field, Field, Field]:
    """Of each pixel: the nearest site, and its distance and that of the second nearest, in pixels across the flow.

    Cells are `stretch` times as long along the flow as across it.
    """
    owner = np.zeros((HEIGHT, WIDTH), int)
    nearest, second = np.full((2, HEIGHT, WIDTH), np.inf)
    reach = round(2 * pitch * stretch)
    u, v = scene_flow(sites[:, 1] / WIDTH, sites[:, 0] / WIDTH)
    for i, (cy, cx) in enumerate(sites):
        top, left = max(0, int(cy) - reach), max(0, int(cx) - reach)
        y, x = np.mgrid[top : min(HEIGHT, int(cy) + reach), left : min(WIDTH, int(cx) + reach)]
        along = np.abs((x - cx) * u[i] + (y - cy) * v[i]) / stretch
        across = np.abs((y - cy) * u[i] - (x - cx) * v[i])
        distance = np.maximum(along, across)
        place = slice(top, top + y.shape[0]), slice(left, left + y.shape[1])
        closer = distance < nearest[place]
        second[place] = np.where(closer, nearest[place], np.minimum(second[place], distance))
        owner[place] = np.where(closer, i, owner[place])
        nearest[place] = np.where(closer, distance, nearest[place])
    return owner, nearest, second


def _stones(rng: np.random.Generator, sites: Field) -> Field:
    """The color of each stone [N, 3]: the quarry's nearest to the scene there, none like another."""
    wanted = scene_color(sites[:, 1] / WIDTH, sites[:, 0] / WIDTH) * 1.12 + rng.normal(0, 22, (len(sites), 3))
    chosen = QUARRY[np.square(wanted[:, None] - QUARRY).sum(-1).argmin(1)]
    return chosen * (1 + rng.normal(0, 0.07, (len(sites), 1))) + rng.normal(0, 5, chosen.shape)


if __name__ == "__main__":
    save_image(sys.argv[1], draw())
