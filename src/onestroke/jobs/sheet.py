"""A contact sheet: one photo in several styles, each with its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from onestroke.arrays import Array, resize
from onestroke.errors import ConfigError
from onestroke.images import check_size
from onestroke.inference.stylizer import Stylizer

GAP, LABEL = 8, 24
_LETTERS = 15  # their height at most
# Bytes a pixel of a painting in it, of a dozen and more that are held at once, in the sheet too.
_BYTES = 120


def draw(photo: Array, styles: Sequence[str | Path], longer: int) -> Array:
    """The photo and its painting in every style (a name or a model file), row by row, as near a square as they fit.

    photo: uint8 [H, W, 3]; longer: pixels on the longer side of each painting. Returns uint8 [h, w, 3].

    Raises ConfigError for no length, ImageError for more pixels than fit the memory.
    """
    if longer < 1:
        raise ConfigError(f"size: {longer} is no size in pixels; use 1 or more")
    scale = longer / max(photo.shape[:2])
    check_size(round(photo.shape[1] * scale), round(photo.shape[0] * scale), _BYTES)
    small = resize(photo, longer=longer)
    pictures = [("photo", small)] + [(Path(style).stem.replace("_", " "), Stylizer(style, "cpu")(small)) for style in styles]
    height, width = small.shape[:2]
    least = math.ceil(math.sqrt(len(pictures) * height / width))
    columns = min((least, least + 1), key=lambda count: -len(pictures) % count)  # whichever leaves fewer places empty
    rows = math.ceil(len(pictures) / columns)
    size = (columns * (width + GAP) + GAP, rows * (height + LABEL + GAP) + GAP)
    sheet, font = Image.new("RGB", size, "white"), _font([name for name, _ in pictures], width)
    pen = ImageDraw.Draw(sheet)
    for i, (name, picture) in enumerate(pictures):
        left, top = GAP + i % columns * (width + GAP), GAP + i // columns * (height + LABEL + GAP)
        sheet.paste(Image.fromarray(picture), (left, top))
        pen.text((left, top + height + 3), name, "black", font)
    return np.asarray(sheet)


def _font(names: Sequence[str], width: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """The largest in which no name is wider than a painting; hinted letters do not scale in proportion."""
    for height in range(_LETTERS, 1, -1):
        font = ImageFont.load_default(height)
        if max(font.getlength(name) for name in names) <= width:
            return font
    return ImageFont.load_default(1)
