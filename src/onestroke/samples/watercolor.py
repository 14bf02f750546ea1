"""A style image drawn by this program: the scene of the sample painting, loosely, in watercolor and ink.

    python -m onestroke.samples.watercolor watercolor.png

Washes are polygons whose outlines are roughened again and again, laid over each other as thin sheets, as Tyler Hobbs draws
them; pigment gathers at their rims and in the grain of the paper. The pen then follows outlines and the flow of the scene.
The same seed draws the same picture.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from onestroke.arrays import Array
from onestroke.samples.painting import HEIGHT, WIDTH, scene_color, scene_flow
from onestroke.saving import save_image

PAPER, INK = (250, 247, 238), (34, 30, 44)
# Washes: pixels across, how many, how much pigment, and how far their colors stray.
LAYERS = ((190, 46, 0.36, 18), (95, 200, 0.48, 20), (46, 560, 0.58, 23), (22, 620, 0.9, 26))
SHEETS = 7  # to a wash
# Rose, peach, lilac, mint and straw: what every second patch of the paper is painted in, instead of the color of the scene.
GLAZES = np.array([(240, 118, 138), (255, 172, 124), (170, 132, 210), (126, 204, 172), (250, 208, 112)], float)
PATCHES = 70
LINES, STEPS = 4500, 14
FINER = 3  # lines are drawn at so many times the size
OUTLINE = 6.0  # slope of the tone, in levels a pixel, where the pen follows nothing but the outline

Field = NDArray[Any]


def draw(seed: int = 8) -> Array:
    """Paint it: uint8 [768, 1024, 3]."""
    rng = np.random.default_rng(seed)
    patches = rng.uniform(0, (WIDTH, HEIGHT), (PATCHES, 2)), rng.integers(-len(GLAZES), len(GLAZES), PATCHES)
    pigment, tooth = np.zeros((HEIGHT, WIDTH, 3)), 0.7 * _noise(rng, 1.1) + 0.5 * _noise(rng, 3)
    for size, count, load, stray in LAYERS:
        for _ in range(count):
            at = rng.uniform(0, (WIDTH, HEIGHT))
            color = _color(at, *patches) + rng.normal(0, stray, 3)
            _wash(rng, at, size, color, load * rng.uniform(0.5, 1.2) * (1 + 0.22 * tooth), pigment)
    paper = np.array(PAPER) * (1 + 0.012 * _noise(rng, 1.6)[..., None])
    ink = 0.92 * _lines(rng)[..., None]
    return np.clip(paper * np.exp(-pigment) * (1 - ink) + np.array(INK) * ink, 0, 255).astype(np.uint8)


def _color(at: Field, sites: Field, glazes: Field) -> Field:
    """What is painted at a place (x, y), RGB in 0..255: the scene in lighter colors, or the glaze of the nearest patch.

    sites [N, (x, y)]: middles of the patches. glazes [N]: their places in GLAZES; below 0 for none.
    """
    scene = scene_color(at[0] / WIDTH, at[1] / WIDTH)
    glaze = glazes[np.square(sites - at).sum(1).argmin()]
    if glaze >= 0:
        return GLAZES[glaze] * (0.76 + 0.35 * scene.mean() / 255)  # darker where the scene is
    return 92 + 0.8 * (scene.mean() + 1.7 * (scene - scene.mean()))


def _wash(rng: np.random.Generator, at: Field, size: float, color: Field, load: Field, pigment: Field) -> None:
    """Add one wash at a place (x, y), of so much load at each pixel [H, W], to what absorbs the paper's light [H, W, 3]."""
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    along, across = size * rng.uniform(0.45, 0.8) * np.cos(turn), size * rng.uniform(0.18, 0.3) * np.sin(turn)
    u, v = scene_flow(at[0] / WIDTH, at[1] / WIDTH)
    outline = _roughened(rng, at + np.stack([along * u - across * v, along * v + across * u], 1), 0.18, 3)
    left, top = np.floor(outline.min(0) - size / 2).astype(int).clip(0)
    right, bottom = np.ceil(outline.max(0) + size / 2).astype(int).clip(0, (WIDTH, HEIGHT))
    sheets = np.zeros((bottom - top, right - left))
    for _ in range(SHEETS):
        sheets += _filled(_roughened(rng, outline, 0.13, 2) - (left, top), sheets.shape) / SHEETS
    blurred = Image.fromarray((255 * sheets).astype(np.uint8)).filter(ImageFilter.GaussianBlur(max(2, size / 14)))
    rim = np.clip(sheets - np.asarray(blurred) / 255, 0, 1) * sheets
    place = slice(top, bottom), slice(left, right)
    density = np.clip(load[place], 0, None) * (0.5 * sheets + 1.5 * rim)
    pigment[place] -= density[..., None] * np.log(np.clip(color, 14, 250) / 255)


def _roughened(rng: np.random.Generator, outline: Field, amount: float, times: int) -> Field:
    """A polygon [N, (x, y)] with a new corner beside the middle of each side, and again."""
    for _ in range(times):
        following = np.roll(outline, -1, 0)
        length = np.hypot(*(following - outline).T)[:, None]
        between = (outline + following) / 2 + rng.normal(0, amount, outline.shape) * length
        outline = np.stack([outline, between], 1).reshape(-1, 2)
    return outline


def _filled(outline: Field, shape: tuple[int, int]) -> Field:
    """How much of each pixel [H, W] lies in a polygon, 0 to 1."""
    image = Image.new("L", (2 * shape[1], 2 * shape[0]))
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in 2 * outline], fill=255)
    return np.asarray(image.resize(shape[::-1], Image.Resampling.BOX)) / 255


def _lines(rng: np.random.Generator) -> Field:
    """The ink of the pen, [H, W] from 0 to 1: most lines where the tone of the scene changes."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / WIDTH
    down, right = np.gradient(_smooth(scene_color(x, y).mean(-1), 5))
    edge = np.clip(np.hypot(down, right) / OUTLINE, 0, 1)
    sheet = Image.new("L", (WIDTH * FINER, HEIGHT * FINER))
    pen = ImageDraw.Draw(sheet)
    for _ in range(LINES):
        start = rng.uniform(0, (WIDTH, HEIGHT))
        if rng.random() < edge[int(start[1]), int(start[0])] + 0.02:
            _line(rng, pen, start, (-down / OUTLINE, right / OUTLINE))
    return np.asarray(sheet.resize((WIDTH, HEIGHT), Image.Resampling.BOX)) / 255


def _line(rng: np.random.Generator, pen: ImageDraw.ImageDraw, at: Field, outline: tuple[Field, Field]) -> None:
    """One line from a place (x, y), which swells in its middle. outline: its direction at each pixel, longer where clearer."""
    length, width = rng.uniform(26, 80), rng.uniform(1, 2.3)
    points, before = [], np.zeros(2)
    for _ in range(STEPS):
        points.append(tuple((FINER * (at + rng.normal(0, 0.35, 2))).tolist()))
        row, column = int(np.clip(at[1], 0, HEIGHT - 1)), int(np.clip(at[0], 0, WIDTH - 1))
        flow = np.array([float(part) for part in scene_flow(at[0] / WIDTH, at[1] / WIDTH)])
        clear = np.array([part[row, column] for part in outline])
        towards = flow * max(0.0, 1 - np.hypot(*clear)) + clear * (1 if clear @ flow >= 0 else -1)
        towards = towards if towards @ before >= 0 else -towards
        before = towards / (np.hypot(*towards) + 1e-9)
        at = at + before * length / STEPS
    for i, pair in enumerate(pairwise(points)):
        swell = 0.45 + 0.75 * np.sin(np.pi * (i + 0.5) / (STEPS - 1))
        pen.line(pair, fill=255, width=max(2, round(FINER * width * swell)))


def _noise(rng: np.random.Generator, sigma: float) -> Field:
    """Smooth noise [H, W] of mean 0 and deviation 1."""
    noise = _smooth(rng.normal(size=(HEIGHT, WIDTH)), sigma)
    return noise / noise.std()


def _smooth(field: Field, sigma: float) -> Field:
    """[H, W] through a Gaussian of `sigma` pixels."""
    reach = round(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    for axis in (0, 1):
        padded = np.pad(field, [(reach, reach) if axis == side else (0, 0) for side in (0, 1)], "edge")
        field = np.apply_along_axis(np.convolve, axis, padded, kernel / kernel.sum(), "valid")
    return field


if __name__ == "__main__":
    save_image(sys.argv[1], draw())
