"""The sample painting, drawn by this program: brush strokes along a flow field, coarse to fine, in relief.

    python -m onestroke.samples.painting src/onestroke/samples/brushwork.jpg

The same seed draws the same picture. What training reads is the committed file.
"""

from __future__ import annotations

import importlib.resources
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from onestroke.arrays import Array
from onestroke.config.training import SAMPLE_PAINTING
from onestroke.images import read_image
from onestroke.saving import save_image

WIDTH, HEIGHT, SUPERSAMPLING = 1024, 768, 2
# Brush width and length in pixels, strokes per 1,000 pixels of canvas, opacity of the layer's color noise.
LAYERS = ((44, 190, 1.3, 0.05), (26, 130, 3.2, 0.07), (14, 90, 8.0, 0.09), (8, 60, 9.0, 0.12))
# Vortices of the sky: center, radius (fractions of the width), turn.
VORTICES = ((0.27, 0.22, 0.11, 1.0), (0.62, 0.16, 0.09, -1.0), (0.86, 0.33, 0.08, 1.0), (0.47, 0.40, 0.06, -1.0))

Field = NDArray[Any]


def picture() -> Array:
    """The committed picture, uint8 [768, 1024, 3]."""
    with importlib.resources.as_file(importlib.resources.files("onestroke.samples") / f"{SAMPLE_PAINTING}.jpg") as path:
        return read_image(path).rgb


def draw(seed: int = 7, scale: float = 1.0, layers: int = len(LAYERS)) -> Array:
    """Paint it, or only its first, coarse layers: uint8 [768 * scale, 1024 * scale, 3]."""
    rng = np.random.default_rng(seed)
    size = round(WIDTH * scale) * SUPERSAMPLING, round(HEIGHT * scale) * SUPERSAMPLING
    y, x = np.mgrid[0 : HEIGHT / WIDTH : 192j, 0:1:256j]
    study = Image.fromarray(np.clip(0.9 * scene_color(x, y), 0, 255).astype(np.uint8))
    paint, relief = study.resize(size, Image.Resampling.BICUBIC), Image.new("L", size, 90)
    brushes = ImageDraw.Draw(paint), ImageDraw.Draw(relief)
    for width, length, density, noise in LAYERS[:layers]:
        count = int(density * WIDTH * HEIGHT / 1000 / (width / 14))
        for _ in range(count):
            _stroke(rng, brushes, size[0], width, length, noise)
    return _light(rng, paint, relief)


def _horizon(x: Field, level: float, phase: float) -> Field:
    """Height of a range of hills (fraction of the width from the top) over x in [0, 1]."""
    return level + 0.045 * np.sin(5.1 * x + phase) + 0.02 * np.sin(13.7 * x + 2.3 * phase) + 0.008 * np.sin(31 * x)


HILLS = ((0.47, 0.6, (58, 84, 128)), (0.53, 2.2, (38, 62, 88)), (0.585, 4.0, (40, 66, 50)))


def scene_color(x: Field, y: Field) -> Field:
    """The study underneath: dusk over hills and a field, RGB in 0..255 at x, y in units of the width."""
    stops = np.array([0.0, 0.2, 0.34, 0.44, 0.52])
    sky = np.array([(22, 44, 112), (44, 104, 168), (118, 168, 176), (236, 186, 96), (232, 120, 62)], float)
    color = np.stack([np.interp(y, stops, sky[:, c]) for c in range(3)], -1)
    for cx, cy, radius, _ in VORTICES:
        ring = np.hypot(x - cx, y - cy) / radius
        glow = np.exp(-((ring / 0.42) ** 2))[..., None]
        halo = (np.exp(-(((ring - 0.95) / 0.16) ** 2)) * 0.45)[..., None]
        color = color * (1 - glow) + np.array([252, 226, 128]) * glow
        color = color * (1 - halo) + np.array([188, 214, 206]) * halo
    for level, phase, hill in HILLS:
        below = y > _horizon(x, level, phase)
        color = np.where(below[..., None], np.array(hill) + 26 * np.sin(40 * x + 9 * phase)[..., None], color)
    field = y > _horizon(x, 0.625, 5.2)
    wheat = np.sin(46 * y + 7 * np.sin(5 * x))[..., None]
    gold = np.array([206, 158, 52]) + wheat * np.array([34, 30, 26])
    poppy = (np.sin(37 * x + 8 * y) * np.sin(53 * y - 11 * x) > 0.8)[..., None]
    gold = np.where(poppy, np.array([188, 58, 40]), gold)
    return np.where(field[..., None], gold, color)


def scene_flow(x: Field, y: Field) -> tuple[Field, Field]:
    """Direction of the brush at x, y: vortices in the sky, slopes on the hills, waves in the field."""
    u = 1.0 + 0 * x
    v = 0.45 * np.sin(4.3 * x + 6 * y) + 0.25 * np.sin(9.1 * x - 4 * y)
    for cx, cy, radius, turn in VORTICES:
        dx, dy = x - cx, y - cy
        pull = 5.0 * turn * np.exp(-((np.hypot(dx, dy) / (1.25 * radius)) ** 2)) / radius
        u, v = u - pull * dy, v + pull * dx
    slope = (_horizon(x + 1e-3, HILLS[1][0], HILLS[1][1]) - _horizon(x - 1e-3, HILLS[1][0], HILLS[1][1])) / 2e-3
    hill, field = y > 0.49, y > _horizon(x, 0.625, 5.2)
    v = np.where(field, 0.3 * np.sin(11 * x + 14 * y) + 0.5, np.where(hill, 1.6 * slope + 0.5 * np.sin(19 * x), v))
    u = np.where(field, 0.9, np.where(hill, 1.0, u))
    norm = np.hypot(u, v) + 1e-9
    return u / norm, v / norm


def _stroke(
    rng: np.random.Generator,
    brushes: tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw],
    canvas: int,
    width: float,
    length: float,
    noise: float,
) -> None:
    """One stroke: bristles side by side along a stream line, each with its own shade, load and length."""
    unit = canvas / WIDTH  # canvas pixels per nominal pixel
    x, y = rng.uniform(-0.02, 1.02), rng.uniform(-0.02, HEIGHT / WIDTH + 0.02)
    color = scene_color(np.array(x), np.array(y))
    color = np.clip(color * (1 + rng.normal(0, noise)) + rng.normal(0, 90 * noise, 3), 0, 255)
    steps, reach = 9, length * rng.uniform(0.6, 1.2) / WIDTH
    path = np.empty((steps, 2))
    for i in range(steps):
        path[i] = x, y
        u, v = scene_flow(np.array(x), np.array(y))
        x, y = x + float(u) * reach / steps, y + float(v) * reach / steps
    along: Field = np.asarray(np.gradient(path, axis=0))
    across = np.stack([-along[:, 1], along[:, 0]], 1) / (np.hypot(*along.T)[:, None] + 1e-9)
    taper = np.sqrt(np.clip(np.sin(np.linspace(0.25, np.pi - 0.15, steps)), 0, 1))[:, None]
    bristles = max(4, int(width * 0.55))
    for place in rng.permutation(bristles):
        offset = ((place + 0.5) / bristles - 0.5) * width / WIDTH
        load = rng.normal(0, 1)
        first, last = int(rng.integers(0, 2)), steps - int(rng.integers(0, 3))
        line = ((path + across * offset * taper) * canvas)[first:last]
        points = [(float(px), float(py)) for px, py in line]
        shade = np.clip(color + 11 * load + rng.normal(0, 4, 3), 0, 255).astype(int)
        thickness = max(2, round(unit * width / bristles * rng.uniform(1.0, 1.9)))
        brushes[0].line(points, fill=(int(shade[0]), int(shade[1]), int(shade[2])), width=thickness, joint="curve")
        brushes[1].line(points, fill=int(np.clip(120 + 34 * load, 20, 235)), width=max(1, thickness - 1), joint="curve")


def _light(rng: np.random.Generator, paint: Image.Image, relief: Image.Image) -> Array:
    """Light the relief from the upper left, so that ridges of paint catch it, and bring everything to final size."""
    size = paint.width // SUPERSAMPLING, paint.height // SUPERSAMPLING
    height = np.asarray(relief.filter(ImageFilter.GaussianBlur(1.2)).resize(size, Image.Resampling.BOX), np.float64)
    height += rng.normal(0, 1.5, height.shape)
    slope = np.gradient(height, axis=0) + np.gradient(height, axis=1)
    color = np.asarray(paint.resize(size, Image.Resampling.BOX), np.float64)
    return np.clip(color - 1.1 * slope[..., None], 0, 255).astype(np.uint8)


if __name__ == "__main__":
    save_image(Path(sys.argv[1]), draw(), quality=90)
