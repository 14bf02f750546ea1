"""Brush strokes of a chosen size on photos of any size: painted small, then enlarged and painted over, octave by octave.

A network's strokes have a fixed size in pixels, so on a large photo they shrink to nothing. The photo is painted at the
scale at which strokes are to be seen; the painting is enlarged, gets back some of the detail that the photo had lost,
and is painted over, which adds crisp fine strokes to soft enlarged ones; and so on up to full size. Reduced to the first
scale, the result looks like the first painting; at full size it shows brush marks. (The idea is that of octaves in
DeepDream, Mordvintsev 2015, and of coarse-to-fine style transfer, Gatys 2017.)
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onestroke.arrays import Array, resize_in_bands, resized_rows
from onestroke.errors import ConfigError
from onestroke.grain import grain
from onestroke.inference.devices import asked_threads
from onestroke.inference.margin import Source, Whole

# The longer side at which "auto" begins: strokes of a style image of 512 px are seen at a glance there, and faces keep theirs.
AUTO_LENGTH = 960
# Photos less than this many times larger than the brush's scale are painted at once.
NEAR = 1.42
# Where there are several octaves each enlarges by this much at least: so the smaller ones cost 0.4 of the last at most.
STEP = 1.9
# How much of the photo's lost luminance each octave gets back before it is painted over, and how much of what the enlarged
# painting shows is painted over too; all that is finer is (docs/experiments.md).
DETAIL, OVER = 0.8, 0.25
# Grain under each octave, in levels: where a photo is smooth an enlarged painting is smoother still (onestroke/grain.py).
GRAIN = 10.0
# Rows that are worked on at a time, and how many times that in parallel at most: both take memory.
ROWS, MOST_THREADS = 128, 4
BICUBIC, BILINEAR = Image.Resampling.BICUBIC, Image.Resampling.BILINEAR

Paint = Callable[[Source], Array]


@dataclass(frozen=True)
class Brush:
    """The longer side at which a photo is painted first: `length` in pixels or percent of its own; 0: "auto"; inf: "native".

    grained: whether photos get the grain that the network has learned to follow; a brush that is "native" leaves it out.
    """

    length: float = 0.0
    percent: bool = False
    grained: bool = True

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

    def grain_for(self, learned: float) -> float:
        """The deviation, in levels, of the grain that photos get for a network that has `learned` with that."""
        return learned if self.grained and self.length < math.inf else 0.0

    def sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Heights and widths at which to paint a photo, the last its own."""
        own = max(height, width)
        first = own * self.length / 100 if self.percent else self.length or AUTO_LENGTH
        ratio = own / max(1.0, first)
        if ratio < NEAR:
            return [(height, width)]
        octaves = max(1, int(math.log(ratio) / math.log(STEP)))
        shares = [ratio ** (step / octaves - 1) for step in range(octaves)]
        smaller = [(max(1, round(height * share)), max(1, round(width * share))) for share in shares]
        return [*smaller, (height, width)]


AUTO, NATIVE = Brush(), Brush(math.inf)


def for_frames(brush: Brush) -> Brush:
    """A brush for moving pictures: larger strokes flicker more in motion, so "auto" paints frames up to 1080p at once; and
    grain would hold strokes in place while the picture moves under them."""
    return replace(Brush(1920) if brush == AUTO else brush, grained=False)


def paint_in_octaves(sizes: list[tuple[int, int]], photo: Array, paint: Paint, under: float = 0.0) -> Array:
    """`photo` uint8 [H, W, 3] to the same shape, painted at each of `sizes` in turn (see Brush.sizes).

    paint: the network, a Source to uint8 [h, w, 3], an array of its own. under: grain at the first size, in levels. Each
    octave keeps what the one before shows, but for OVER of it, and adds what only the larger size can show, as the bands of a
    Laplacian pyramid do (Burt 1983). Beside the photo and the result it takes less than 2.5 bytes a pixel.
    """
    photos = [photo]
    for size in reversed(sizes[:-1]):
        photos.append(_reduced(photos[-1], *size))
    first = photos.pop()
    painting, gray = paint(Whole(first, under)), _luminance(first)
    while photos:
        now = photos.pop()
        over = paint(_Guide(painting, gray, now))
        _keep_coarse(over, painting)
        painting, gray = over, _luminance(now) if photos else gray
    return painting


class _Guide:
    """A smaller painting at the size of `photo`, with DETAIL of the luminance that `gray`, its own photo, had lost; and grain.

    Made ROWS at a time, always the same ones, so that strips and whole pictures see the same.
    """

    def __init__(self, painting: Array, gray: Array, photo: Array) -> None:
        self._painting, self._gray, self._photo = painting, gray, photo
        self._block = lru_cache(MOST_THREADS)(self._made)

    @property
    def shape(self) -> tuple[int, ...]:
        """Height, width and 3."""
        return self._photo.shape

    def rows(self, first: int, last: int) -> Array:
        """Rows `first` to `last`, uint8 [last - first, W, 3]."""
        result = np.empty((last - first, *self.shape[1:]), np.uint8)

        def fill(start: int) -> None:
            top, bottom = max(start, first), min(start + ROWS, last)
            result[top - first : bottom - first] = self._block(start)[top - start : bottom - start]

        _in_parallel(fill, range(first - first % ROWS, last, ROWS))
        return result

    def _made(self, start: int) -> Array:
        height, width = self._photo.shape[:2]
        rows = slice(start, min(start + ROWS, height))
        lost = _luminance(self._photo[rows]).astype(np.float32)
        lost -= resized_rows(self._gray, height, width, rows, BICUBIC)
        change = np.rint(lost * DETAIL).astype(np.int16) + grain(GRAIN, rows.stop - start, width, start)
        guide = resized_rows(self._painting, height, width, rows, BICUBIC)
        return _within(guide + np.repeat(change, 3, 1).reshape(guide.shape))


def _keep_coarse(over: Array, painting: Array) -> None:
    """Replace the coarse part of `over`, its own at the size of `painting`, by `painting`, but for OVER of it; in place."""
    height, width = over.shape[:2]
    # Half the difference fits into bytes, which Pillow scales much faster than numbers with a sign.
    change = _reduced(over, painting.shape[0], painting.shape[1], BILINEAR)
    np.subtract(painting // 2 + 128, change // 2, out=change)

    def keep(top: int) -> None:
        rows = slice(top, min(top + ROWS, height))
        kept = resized_rows(change, height, width, rows, BILINEAR).astype(np.int16)
        kept -= 128
        kept *= round(32 * (1 - OVER))  # sixteenths of twice as much: whole numbers are faster than fractions
        kept += 8
        kept >>= 4
        kept += over[rows]
        over[rows] = _within(kept)

    _in_parallel(keep, range(0, height, ROWS))


def _reduced(pixels: Array, height: int, width: int, filter: Image.Resampling = BICUBIC) -> Array:
    """`pixels` [H, W, 3] at exactly this size, themselves where it is theirs."""
    same = pixels.shape[:2] == (height, width)
    return pixels if same else resize_in_bands(pixels, height, width, ROWS, _in_parallel, filter)


def _in_parallel(work: Callable[[int], None], tops: range) -> None:
    """Call `work` for the top of each block of rows, on a few cores at a time: NumPy and Pillow let go of Python's lock."""
    with ThreadPoolExecutor(min(MOST_THREADS, asked_threads() or os.cpu_count() or 1)) as pool:
        list(pool.map(work, tops))


def _within(values: NDArray[np.int16]) -> Array:
    """The nearest of 0 to 255; `values` are lost."""
    return np.clip(values, 0, 255, out=values).astype(np.uint8)


def _luminance(photo: Array) -> Array:
    """[H, W], a few rows at a time, since Pillow makes a copy of four bytes a pixel."""
    gray = np.empty(photo.shape[:2], np.uint8)
    for top in range(0, len(photo), ROWS):
        gray[top : top + ROWS] = np.asarray(Image.fromarray(photo[top : top + ROWS]).convert("L"))
    return gray
