"""Procedural scenes in the manner of dead leaves (Matheron 1968; Lee, Mumford & Huang 2001): endless training pictures.

Overlapping shapes whose sizes follow the power law of natural images, each with its own color, shading and 1/f texture.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from onestroke.arrays import Array

Field = NDArray[Any]


def draw(seed: int, size: int = 256) -> Array:
    """One scene, uint8 [size, size, 3], the same for the same seed."""
    rng = np.random.default_rng(seed)
    palette = _palette(rng)
    ground = _gradient(rng, size)[..., None]
    canvas = palette[0] * ground + palette[1] * (1 - ground)
    canvas = canvas + rng.uniform(0, 25) * _noise(rng, size, rng.uniform(0.8, 1.6))[..., None]
    smallest, largest = rng.uniform(0.01, 0.04), rng.uniform(0.2, 0.5)
    count = int(rng.integers(20, 160))
    # Radii with density r^-3, the law under which occluding objects look alike at every scale; large ones at the back.
    u = rng.random(count)
    radii = (smallest**-2 - u * (smallest**-2 - largest**-2)) ** -0.5
    texture = [_noise(rng, size, rng.uniform(0.5, 1.8)) for _ in range(4)]
    for radius in sorted(radii, reverse=True) if rng.random() < 0.5 else radii:
        _leaf(rng, canvas, radius * size, palette, texture[int(rng.integers(4))])
    light = 1 + rng.uniform(0, 0.35) * _noise(rng, size, 2.2)[..., None]
    image = Image.fromarray(np.clip(canvas * light, 0, 255).astype(np.uint8))
    if rng.random() < 0.4:
        image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 1.6))))
    return np.asarray(image)


def _palette(rng: np.random.Generator) -> Field:
    """Eight RGB colors [8, 3]: mostly muted, related in hue, as in photographs."""
    base, spread = rng.random(), rng.uniform(0.05, 0.5)
    hue = (base + rng.normal(0, spread, 8)) % 1
    saturation = rng.beta(1.5, 3, 8)
    value = rng.beta(1.3, 1.3, 8) * 255
    ramp = np.abs((hue[:, None] * 6 + np.array([0, 4, 2])) % 6 - 3) - 1
    return (value[:, None] * (1 - saturation[:, None] * (1 - np.clip(ramp, 0, 1)))).astype(np.float32)


def _leaf(rng: np.random.Generator, canvas: Field, radius: float, palette: Field, texture: Field) -> None:
    """Paint one shape: a star-shaped outline from ellipse to polygon, shaded across, textured, antialiased."""
    size = len(canvas)
    cx, cy = rng.uniform(-0.1, 1.1, 2) * size
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 8))) if rng.random() < 0.4 else np.linspace(0, 6.28, 40)
    stretch, turn = rng.uniform(0.25, 1), rng.uniform(0, np.pi)
    wobble = radius * (1 + rng.uniform(0, 0.3) * np.sin(rng.integers(2, 6) * angles + rng.uniform(0, 6)))
    x, y = wobble * np.cos(angles), stretch * wobble * np.sin(angles)
    x, y = cx + x * np.cos(turn) - y * np.sin(turn), cy + x * np.sin(turn) + y * np.cos(turn)
    left, top = (max(0, int(v.min()) - 1) for v in (x, y))
    right, bottom = (min(size, int(v.max()) + 2) for v in (x, y))
    if right - left < 2 or bottom - top < 2:
        return
    mask = Image.new("L", ((right - left) * 2, (bottom - top) * 2))
    ImageDraw.Draw(mask).polygon([((a - left) * 2, (b - top) * 2) for a, b in zip(x, y, strict=True)], fill=255)
    cover = np.asarray(mask.resize((right - left, bottom - top), Image.Resampling.BOX), np.float32)[..., None] / 255
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
    across = ((columns - cx) * np.cos(turn) + (rows - cy) * np.sin(turn)) / max(radius, 1)
    shade = 1 + rng.uniform(-0.5, 0.5) * across + rng.uniform(0, 0.35) * texture[top:bottom, left:right]
    color = palette[int(rng.integers(len(palette)))] + rng.normal(0, 12, 3).astype(np.float32)
    area = canvas[top:bottom, left:right]
    area += cover * (color * shade[..., None] - area)


def _gradient(rng: np.random.Generator, size: int) -> Field:
    """A linear ramp in a random direction, in [0, 1]."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    return (0.5 + (np.cos(angle) * x + np.sin(angle) * y) / 2.83).astype(np.float32)


def _noise(rng: np.random.Generator, size: int, power: float) -> Field:
    """Noise with amplitude spectrum 1/f**power, mean 0, standard deviation 1."""
    f = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    f[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) / f**power
    field = np.fft.irfft2(spectrum, (size, size))
    return (field / (field.std() + 1e-9)).astype(np.float32)
