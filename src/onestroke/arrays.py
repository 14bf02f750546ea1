"""Pictures as arrays: scaled, cropped, and their colors changed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

Array = NDArray[np.uint8]
Each = Callable[[Callable[[int], None], range], None]
# Pixels that are handed to Pillow at once, whose pictures take four bytes each; and how far its widest filter sees.
AT_ONCE, LANCZOS_REACH = 16 * 10**6, 3
# What full_range does at most, and the mean chroma from which on it does nothing.
MORE_LIGHT, MORE_COLOR, DULL = 1.25, 1.3, 60.0


def resize(rgb: Array, *, shorter: int | None = None, longer: int | None = None) -> Array:
    """`rgb` [H, W, 3] scaled, aspect kept, so that its shorter or its longer side has the given length in pixels."""
    height, width = rgb.shape[:2]
    scale = shorter / min(height, width) if shorter else (longer or max(height, width)) / max(height, width)
    return resize_to(rgb, max(1, round(height * scale)), max(1, round(width * scale)))


def resize_to(pixels: Array, height: int, width: int) -> Array:
    """`pixels` [H, W, 3] or [H, W] at exactly this size (Lanczos)."""
    if pixels.shape[:2] == (height, width):
        return pixels
    largest = max(pixels.shape[0] * pixels.shape[1], height * width)
    if largest <= AT_ONCE:
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
    return resize_in_bands(pixels, height, width, max(1, height * AT_ONCE // largest), _in_turn)


def resize_in_bands(
    pixels: Array, height: int, width: int, step: int, each: Each, filter: Image.Resampling = Image.Resampling.LANCZOS
) -> Array:
    """As resize_to, `step` rows at a time. each: calls a function for the top of each band, in any order."""
    result = np.empty((height, width, *pixels.shape[2:]), np.uint8)

    def fill(top: int) -> None:
        rows = slice(top, min(top + step, height))
        result[rows] = resized_rows(pixels, height, width, rows, filter)

    each(fill, range(0, height, step))
    return result


def _in_turn(work: Callable[[int], None], tops: range) -> None:
    for top in tops:
        work(top)


def resized_rows(pixels: Array, height: int, width: int, rows: slice, filter: Image.Resampling) -> Array:
    """Some rows of `pixels` [H, W, ...] at the size `height` x `width`, made of no more of `pixels` than they need."""
    scale = len(pixels) / height
    reach = math.ceil(LANCZOS_REACH * max(1.0, scale)) + 1
    first, last = max(0, int(rows.start * scale) - reach), min(len(pixels), math.ceil(rows.stop * scale) + reach)
    box = (0, rows.start * scale - first, pixels.shape[1], min(rows.stop * scale, len(pixels)) - first)
    return np.asarray(Image.fromarray(pixels[first:last]).resize((width, rows.stop - rows.start), filter, box))


def center_crop(photo: Array, size: int) -> Array:
    """The central square of a photo, scaled to size x size."""
    side = min(photo.shape[:2])
    return crop(photo, (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2, side, size)


def crop(photo: Array, top: int, left: int, side: int, size: int) -> Array:
    """A square of a photo, scaled to size x size (bicubic)."""
    square = photo[top : top + side, left : left + side]
    if side == size:
        return square
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))


def full_range(painting: Array) -> Array:
    """A dull style image [H, W, 3] as photographers would show it: more of the range of light, and a little more color.

    1 % of the levels is cut at each end, the tone kept; contrast grows at most by MORE_LIGHT, color by MORE_COLOR. A faded
    reproduction so trains no dull network; one whose mean chroma is DULL or more (of 255) stays as it is.
    """
    if float((painting.max(-1).astype(np.int16) - painting.min(-1)).mean()) >= DULL:
        return painting
    image = Image.fromarray(painting)
    low, high = np.percentile(np.asarray(image.convert("L")), [1, 99])
    gain = 255 / max(high - low, 1.0)
    share = min(1.0, (MORE_LIGHT - 1) / max(gain - 1, 1e-6))
    stretched = Image.blend(image, ImageOps.autocontrast(image, cutoff=(1, 1), preserve_tone=True), share)
    return np.asarray(ImageEnhance.Color(stretched).enhance(MORE_COLOR / min(gain, MORE_LIGHT)))


def with_colors_of(photo: Array, stylized: Array) -> Array:
    """Luma (BT.601) of `stylized`, chroma of `photo`, both [H, W, 3]."""
    luma = Image.fromarray(np.ascontiguousarray(stylized)).convert("YCbCr").getchannel(0)
    _, blue, red = Image.fromarray(photo).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (luma, blue, red)).convert("RGB"))
