"""Grain: what a network follows where a photo is smooth.

A network that is shown a smooth sky paints it smooth, or with lines along its own pixel grid. With a little grain under the
photo it draws strokes there; one that has learned with grain does so best (noise as an input: Ulyanov 2016, Texture
Networks). The browser page makes the same grain (web/src/engine/grain.ts).
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

# The side of the tile that repeats, in pixels.
SIDE = 512


def grain(deviation: float, height: int, width: int, top: int = 0, left: int = 0) -> NDArray[np.int16]:
    """Whole levels [height, width] of a standard deviation, from a place of an endless tile; always the same there."""
    places = np.arange(top, top + height)[:, None] % SIDE, np.arange(left, left + width) % SIDE
    found: NDArray[np.int16] = _levels(deviation)[places]
    return found


@lru_cache(4)
def _levels(deviation: float) -> NDArray[np.int16]:
    rounded: NDArray[np.float64] = np.rint(_tile() * (deviation / _tile().std()))
    return rounded.astype(np.int16)


@cache
def _tile() -> NDArray[np.int32]:
    """Integers [SIDE, SIDE], about normal, of mean 0: hashes of their places (MurmurHash3's last step), softened by 1 2 1."""
    bits: NDArray[np.uint32] = np.arange(1, SIDE * SIDE + 1, dtype=np.uint32) * np.uint32(0x9E3779B1)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    bits ^= bits >> np.uint32(16)
    # The sum of a hash's four bytes is nearly normal.
    noise: NDArray[np.int32] = bits.view(np.uint8).reshape(SIDE, SIDE, 4).sum(-1, dtype=np.int32) - np.int32(510)
    for axis in (0, 1):
        noise = np.roll(noise, 1, axis) + 2 * noise + np.roll(noise, -1, axis)
    return noise
