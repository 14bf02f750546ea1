"""A mirrored margin around a picture, which is painted and cut off, without a copy of the picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from onestroke.arrays import Array
from onestroke.grain import grain

# In pixels, a multiple of every network's stride: networks learn a muddy frame, since VGG, which judges them, sees zeros beyond
# a border (docs/experiments.md).
MARGIN = 24


class Source(Protocol):
    """A picture whose rows are read, or made, when they are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and 3."""

    def rows(self, first: int, last: int) -> Array:
        """Rows `first` to `last` (which is not one of them), uint8 [last - first, W, 3]."""


@dataclass(frozen=True)
class Whole:
    """A picture in memory, uint8 [H, W, 3], shown with grain of a standard deviation in levels (onestroke/grain.py)."""

    pixels: Array
    grain: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and 3."""
        return self.pixels.shape

    def rows(self, first: int, last: int) -> Array:
        """See Source."""
        rows = self.pixels[first:last]
        if not self.grain:
            return rows
        shown = rows + grain(self.grain, len(rows), rows.shape[1], first)[..., None]
        return np.clip(shown, 0, 255, out=shown).astype(np.uint8)


class Margined:
    """A Source with MARGIN pixels mirrored around it, more below and on the right where it would be smaller than `minimum`.

    inside: height and width without them.
    """

    def __init__(self, source: Source, minimum: int) -> None:
        self._source = source
        self.inside = height, width = source.shape[0], source.shape[1]
        down, self._right = (MARGIN + max(0, minimum - extent - 2 * MARGIN) for extent in self.inside)
        self.shape = (MARGIN + height + down, MARGIN + width + self._right, 3)

    def rows(self, first: int, last: int) -> Array:
        """See Source."""
        height = self.inside[0]
        turn = max(1, 2 * (height - 1))  # mirrored twice, the picture repeats
        places = (np.arange(first, last) - MARGIN) % turn
        places = np.minimum(places, turn - places) if height > 1 else np.zeros(last - first, np.intp)
        start = int(places.min())
        block = self._source.rows(start, int(places.max()) + 1)[places - start]
        return np.pad(block, ((0, 0), (MARGIN, self._right), (0, 0)), "reflect")
