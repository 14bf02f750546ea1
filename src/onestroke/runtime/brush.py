"""Brush strokes of a chosen size on photos of any size: painted small, then enlarged and painted over, octave by octave.

A network's strokes have a fixed size in pixels, so on a large photo they shrink to nothing. The photo is painted at the
scale at which strokes are to be seen; the painting is enlarged, gets back some of the detail that the photo had lost,
and is painted over, which makes soft enlarged strokes into crisp ones; and so on up to full size. Reduced to the first
scale, the result looks like the first painting; at full size it shows brush marks. (The idea is that of octaves in
DeepDream, Mordvintsev 2015, and of coarse-to-fine style transfer, Gatys 2017.)
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from onestroke.errors import ConfigError
from onestroke.images import Array, resize_to

# The longer side at which "auto" begins, as a multiple of the crops that the network was trained on.
AUTO_CROPS = 3
# Photos less than this many times larger than the brush's scale are painted at once.
NEAR = 1.42
# An octave enlarges by this much at least: so all of them together cost 1.5 times the last at most.
STEP = 1.74
# How much of the photo's lost luminance each octave gets back before it is painted over, and how much of the result is
# the painting over, the rest being the enlarged painting (docs/experiments.md).
DETAIL, OVER = 0.7, 0.5
# Rows that are mixed at a time.
ROWS = 256

Paint = Callable[[Array], Array]


@dataclass(frozen=True)
class Brush:
    """The longer side at which a photo is painted first: `length` in pixels or percent of its own; 0: "auto"; inf: "native"."""

    length: float = 0.0
    percent: bool = False

    def __post_init__(self) -> None:
        if math.isnan(self.length) or self.length < 0:
            raise ConfigError(f"brush: {self.length:g} is no size; use auto, native, pixels (512) or percent (25%)")

    def __str__(self) -> str:
        names = {0.0: "auto", math.inf: "native"}
        return names.get(self.length) or f"{self.length:g}" + "%" * self.percent

    @classmethod
    def parse(cls, text: str) -> Brush:
        """ "auto", "native", "512" (pixels) or "25%". Raises ConfigError for anything else, and for 0."""
        if text in ("auto", "native"):
            return AUTO if text == "auto" else NATIVE
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%|px)?\s*", text)
        if not match or not float(match[1]):
            raise ConfigError(f"brush: {text!r} is no size; use auto, native, pixels (512) or percent of the photo (25%)")
        return cls(float(match[1]), match[2] == "%")

    def sizes(self, height: int, width: int, crop: int) -> list[tuple[int, int]]:
        """Heights and widths at which to paint a photo, the last its own; `crop`: side of the network's training crops."""
        own = max(height, width)
        if self.percent:
            first = own * self.length / 100
        else:
            first = self.length or AUTO_CROPS * crop
        ratio = own / max(1.0, first)
        if ratio < NEAR:
            return [(height, width)]
        octaves = max(1, int(math.log(ratio) / math.log(STEP)))
        shares = [ratio ** (step / octaves - 1) for step in range(octaves)]
        smaller = [(max(1, round(height * share)), max(1, round(width * share))) for share in shares]
        return [*smaller, (height, width)]


AUTO, NATIVE = Brush(), Brush(math.inf)


def paint_in_octaves(sizes: list[tuple[int, int]], photo: Array, paint: Paint, over: Paint) -> Array:
    """`photo` uint8 [H, W, 3] to the same shape, painted at each of `sizes` in turn (see Brush.sizes).

    paint, over: uint8 [h, w, 3] to the same, the network for the first size and for all further ones.
    """
    before = resize_to(photo, *sizes[0])
    painting = paint(before)
    for size in sizes[1:]:
        now = resize_to(photo, *size)
        large = _enlarged(painting, size)
        guide = _with_detail(large, _luminance(now), _enlarged(_luminance(before), size))
        painting = _mixed(large, over(guide))
        before = now
    return painting


def _enlarged(pixels: Array, size: tuple[int, int]) -> Array:
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BICUBIC))


def _luminance(photo: Array) -> Array:
    return np.asarray(Image.fromarray(photo).convert("L"))


def _with_detail(painting: Array, photo: Array, small: Array) -> Array:
    """`painting` [H, W, 3] with DETAIL of the luminance that `photo` [H, W] has more than `small`, its enlarged reduction."""
    result = np.empty_like(painting)
    for top in range(0, len(painting), ROWS):
        rows = slice(top, top + ROWS)
        lost = photo[rows].astype(np.float32) - small[rows]
        result[rows] = np.clip(painting[rows] + DETAIL * lost[..., None] + 0.5, 0, 255)
    return result


def _mixed(painting: Array, over: Array) -> Array:
    result = np.empty_like(painting)
    for top in range(0, len(painting), ROWS):
        rows = slice(top, top + ROWS)
        result[rows] = painting[rows] + OVER * (over[rows].astype(np.float32) - painting[rows]) + 0.5
    return result
