"""Brush strokes of a chosen size: the photo is painted small, and the painting brought back to the photo's own size.

Enlarging alone would blur every edge. So the detail that the photo lost when it was reduced is added again, changed as the
network changed what was left: in small windows of the small pictures the painting is fitted as a linear function of the
photo's colours, and that function is applied to the lost detail (a guided filter, He 2010, that keeps what its model does
not explain, the strokes, as they are enlarged). An edge of the photo that the painting follows stays sharp; a stroke that
has nothing to do with the photo is as soft as enlarging makes it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onestroke.errors import ConfigError
from onestroke.images import Array, resize

# The window reaches this many pixels of the small photo to each side. Below 3, wheels lost their spokes and fur its hair.
RADIUS = 4
# Contrast, in levels squared, below which a window's own fit counts less than that of the whole picture: in calm skies
# strokes and sensor noise are alike by chance, and a fit of the window alone would add much noise.
CALM = 100.0
# What rounding and noise put into the colours of any photo, in levels squared.
NOISE = 1.0
# Pixels of the result that are worked on at a time; each takes about 80 bytes.
STRIP = 1 << 20
_LANCZOS, _LINEAR = Image.Resampling.LANCZOS, Image.Resampling.BILINEAR

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Brush:
    """The longer side that photos have while they are painted: in pixels, or in percent of their own."""

    length: float
    percent: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.length) and self.length > 0):
            raise ConfigError(f"brush: {self} is no size; use pixels (512) or percent (25%), more than 0")

    def __str__(self) -> str:
        return f"{self.length:g}" + "%" * self.percent

    @classmethod
    def parse(cls, text: str) -> Brush:
        """ "512" (pixels) or "25%". Raises ConfigError for anything else, and for 0."""
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%|px)?\s*", text)
        if not match:
            raise ConfigError(f"brush: {text!r} is no size; use pixels (512) or percent of the photo (25%)")
        return cls(float(match[1]), match[2] == "%")

    def side(self, photo: Array) -> int | None:
        """The longer side at which to paint `photo` [H, W, 3]; None where that is not below its own."""
        own = max(photo.shape[:2])
        side = max(1, round(own * self.length / 100 if self.percent else self.length))
        return side if side < own else None


def paint_with(brush: Brush, photo: Array, paint: Callable[[Array], Array]) -> Array:
    """`photo` uint8 [H, W, 3] to the same shape, painted by `paint` (uint8 [h, w, 3] to the same) at the brush's scale."""
    side = brush.side(photo)
    if side is None:
        return paint(photo)
    small = resize(photo, longer=side)
    return enlarge(paint(small), small, photo)


def enlarge(painting: Array, small: Array, photo: Array, strip: int = STRIP) -> Array:
    """A painting of `small`, both [h, w, 3], to the size of `photo` [H, W, 3], of which `small` is a reduction; all uint8.

    Worked through in strips of about `strip` pixels, which bounds the memory and changes nothing but a rare rounding.
    """
    height, width = photo.shape[:2]
    fits = _Fits(small, painting, strip)
    result = np.empty_like(photo)
    rows = max(32, strip // width)  # in lower strips Pillow turns its two passes round, and rounds in another place
    for top in range(0, height, rows):
        place = _Place(top, min(height, top + rows), height, width, len(small))
        painted = place.enlarged(painting[place.seen], _LANCZOS).astype(np.float32)
        lost = photo[top : place.bottom].astype(np.float32) - place.enlarged(small[place.seen], _LANCZOS)
        gains = fits.gains(place.seen)
        for source in range(3):
            for target in range(3):
                painted[..., target] += place.enlarged(gains[source, target], _LINEAR) * lost[..., source]
        result[top : place.bottom] = np.clip(painted + 0.5, 0, 255)
    return result


@dataclass(frozen=True)
class _Place:
    """Rows `top` to `bottom` of a picture of `height` x `width` that is enlarged from one of `small` rows."""

    top: int
    bottom: int
    height: int
    width: int
    small: int

    @property
    def seen(self) -> slice:
        """The rows of the small picture that a filter sees: Pillow would copy all of them for every strip."""
        scale = self.small / self.height
        return slice(max(0, int(self.top * scale) - 4), min(self.small, math.ceil(self.bottom * scale) + 4))

    def enlarged(self, seen: NDArray[Any], how: Image.Resampling) -> NDArray[Any]:
        """From those rows [h, w, ...] of the small picture."""
        scale, first = self.small / self.height, self.seen.start
        box = (0, self.top * scale - first, seen.shape[1], min(self.bottom * scale, self.small) - first)
        return np.asarray(Image.fromarray(seen).resize((self.width, self.bottom - self.top), how, box))


class _Fits:
    """How each channel of the painting follows each of the photo, both [h, w, 3].

    About `strip` / 8 pixels are worked on at a time.
    """

    def __init__(self, photo: Array, painting: Array, strip: int) -> None:
        self._height, self._width = photo.shape[:2]
        self._rows = max(1, strip // 8 // self._width)
        # Windows reach over the border, once for the fit and once for its smoothing.
        edge = (2 * RADIUS, 2 * RADIUS)
        self._both = np.pad(np.concatenate([photo, painting], -1), (edge, edge, (0, 0)), "edge")
        total = np.zeros((3, 6))
        for _, covariances in self._covariances(slice(0, self._height)):
            total += covariances[RADIUS:-RADIUS, RADIUS:-RADIUS].sum((0, 1)) / (self._height * self._width)
        self._whole = np.linalg.solve(total[:, :3] + NOISE * np.eye(3), total[:, 3:])

    def gains(self, rows: slice) -> NDArray[np.float32]:
        """Of these rows: [3, 3, rows, w], photo's channel first."""
        gains = np.empty((3, 3, rows.stop - rows.start, self._width), np.float32)
        calm = CALM * np.eye(3)
        for top, covariances in self._covariances(rows):
            fitted = np.linalg.solve(covariances[..., :3] + calm, covariances[..., 3:] + calm @ self._whole)
            smooth = _means(fitted)
            gains[:, :, top : top + len(smooth)] = smooth.transpose(2, 3, 0, 1)
        return gains

    def _covariances(self, rows: slice) -> Iterator[tuple[int, Floats]]:
        """A few rows at a time, and how far they are from the first; with RADIUS more on every side, for smoothing."""
        for top in range(rows.start, rows.stop, self._rows):
            end = min(rows.stop, top + self._rows)
            yield top - rows.start, _covariances(self._both[top : end + 4 * RADIUS])


def _covariances(both: Array) -> Floats:
    """Of photo and painting [h, w, 6] in windows: [h - 2 * RADIUS, w - 2 * RADIUS, 3, 6], photo's channels with all."""
    values = both.astype(np.float64)
    mean = _means(values)
    return _means(values[..., :3, None] * values[..., None, :]) - mean[..., :3, None] * mean[..., None, :]


def _means(values: Floats) -> Floats:
    """Over windows: [h, w, ...] to [h - 2 * RADIUS, w - 2 * RADIUS, ...], by running sums, whose cost no radius changes."""
    side = 2 * RADIUS + 1
    for axis in (0, 1):
        sums = np.cumsum(values, axis).swapaxes(0, axis)
        means = sums[side - 1 :].copy()
        means[1:] -= sums[:-side]
        values = (means / side).swapaxes(0, axis)
    return values
