"""A style image drawn by this program: the scene of the sample painting, etched in ink on laid paper.

    python -m onestroke.samples.etching etching.png

Short strokes follow the flow of the scene, closer where it is darker; shadows are hatched a second and a third time, across.
The same seed draws the same picture.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from onestroke.arrays import Array
from onestroke.samples.painting import HEIGHT, WIDTH, scene_color, scene_flow
from onestroke.saving import save_image

PAPER, INK = (240, 230, 208), (38, 30, 34)
FINER = 3  # drawn at so many times the size
STROKES = 26_000
# Turn of each layer of hatching against the flow, and the tone (0 black, 1 white) below which it is drawn.
LAYERS = ((0.0, 0.92), (1.1, 0.52), (-0.6, 0.3))

Field = NDArray[Any]


def draw(seed: int = 5) -> Array:
    """Etch it: uint8 [768, 1024, 3]."""
    rng = np.random.default_rng(seed)
    plate = Image.new("L", (WIDTH * FINER, HEIGHT * FINER), 0)
    pen = ImageDraw.Draw(plate)
    for turn, darkest in LAYERS:
        x, y = rng.uniform(0, 1, STROKES), rng.uniform(0, HEIGHT / WIDTH, STROKES)
        tone = _tone(x, y)
        drawn = rng.uniform(0, 1, STROKES) < np.clip((darkest - tone) / darkest, 0, 1) ** 0.8
        for i in np.flatnonzero(drawn):
            _stroke(rng, pen, x[i], y[i], turn, tone[i])
    ink = np.asarray(plate.resize((WIDTH, HEIGHT), Image.Resampling.BOX), float)[..., None] / 255
    rows = np.sin(np.arange(HEIGHT) * 2 * np.pi / 7)[:, None, None]  # the wires of the mould
    paper = np.array(PAPER) + 2.5 * rows + rng.normal(0, 3, (HEIGHT, WIDTH, 1))
    return np.clip(paper * (1 - ink) + np.array(INK) * ink, 0, 255).astype(np.uint8)


def _tone(x: Field, y: Field) -> Field:
    """The scene's luminance with more contrast, 0 to 1."""
    luminance = scene_color(x, y) @ np.array([0.299, 0.587, 0.114]) / 255
    return np.clip((luminance - 0.16) / 0.66, 0, 1)


def _stroke(rng: np.random.Generator, pen: ImageDraw.ImageDraw, x: float, y: float, turn: float, tone: float) -> None:
    """One line of the needle, which swells in its middle."""
    steps, length = 7, rng.uniform(14, 34) / WIDTH
    points = []
    for _ in range(steps):
        points.append((x * WIDTH * FINER, y * WIDTH * FINER))
        u, v = scene_flow(np.array(x), np.array(y))
        angle = np.arctan2(v, u) + turn
        x += float(np.cos(angle)) * length / steps
        y += float(np.sin(angle)) * length / steps
    width = max(1, round(FINER * (0.7 + 0.9 * (1 - tone)) * rng.uniform(0.7, 1.2)))
    pen.line(points, fill=225, width=max(1, width - 1), joint="curve")
    pen.line(points[1:-1], fill=255, width=width, joint="curve")


if __name__ == "__main__":
    save_image(sys.argv[1], draw())
