"""Does a network draw a regular grid? Spectral power at its stride frequencies over the power just beside them.

A network that works at 1/4 or 1/8 of the resolution may paint a pattern of 2, 4 or 8 pixels. In the spectrum it stands at
multiples of 1/8 of a cycle a pixel, where paint strokes have no more power than beside them: a clean picture measures 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
WINDOW, PERIOD = 64, 8
# What rounding to whole levels adds to each frequency of a window: no pattern can be seen below it.
FLOOR = 1 / 12


def measure(paint: Callable[[Pixels], Pixels], photos: Iterable[Pixels]) -> dict[str, float]:
    """Grid of a network `paint` (uint8 [H, W, 3] to the same): on flat colors, smooth gradients, calm skies and whole photos.

    Each is the mean over windows of 64 pixels of power on the grid over power beside it; `flat` is the pattern's
    amplitude (root mean square, in levels of 255) instead, since a flat picture has nothing beside it.
    """
    flat = [_amplitude(paint(np.full((160, 160, 3), color, np.uint8))[48:112, 48:112]) for color in _colors()]
    smooth = [window for picture in _gradients() for window in _windows(paint(picture)[32:-32, 32:-32])]
    busy: list[Pixels] = []
    calm: list[tuple[float, Pixels]] = []
    for photo in photos:
        pairs = list(zip(_windows(photo), _windows(paint(photo)), strict=True))
        busy += [painted for _, painted in pairs]
        calm += [(float(before.std()), painted) for before, painted in pairs]
    calm.sort(key=lambda pair: pair[0])
    quietest = [painted for _, painted in calm[: max(1, len(calm) // 20)]]
    return {"flat": float(np.mean(flat)), "smooth": _ratio(smooth), "calm": _ratio(quietest), "photos": _ratio(busy)}


def _colors() -> list[tuple[int, ...]]:
    return [(r, g, b) for r in (40, 128, 215) for g in (40, 128, 215) for b in (40, 128, 215)]


def _gradients() -> list[Pixels]:
    """Eight smooth pictures of 320 pixels: light that falls off, from one muted color to another."""
    rng, (y, x) = np.random.default_rng(0), np.mgrid[0:320, 0:320] / 320
    found = []
    for _ in range(8):
        angle, (one, other) = rng.uniform(0, 2 * np.pi), rng.uniform(30, 225, (2, 3))
        t = 0.5 + 0.5 * np.sin(2.2 * (np.cos(angle) * x + np.sin(angle) * y) + rng.uniform(0, 6))
        found.append((one + (other - one) * t[..., None] + 0.5).astype(np.uint8))
    return found


def _windows(picture: Pixels) -> list[Pixels]:
    """The picture cut into windows; what is left over at its right and bottom is not looked at."""
    height, width = (length // WINDOW for length in picture.shape[:2])
    return [picture[WINDOW * i :, WINDOW * j :][:WINDOW, :WINDOW] for i in range(height) for j in range(width)]


def _luma(picture: Pixels) -> NDArray[np.float64]:
    return np.asarray(picture @ np.array([0.299, 0.587, 0.114]))


def _amplitude(picture: Pixels) -> float:
    """Root mean square of what repeats every PERIOD pixels, in levels."""
    luma = _luma(picture)
    return float(luma.reshape(WINDOW // PERIOD, PERIOD, WINDOW // PERIOD, PERIOD).mean((0, 2)).std())


def _ratio(windows: list[Pixels]) -> float:
    """Mean over windows and grid frequencies of the power there over the median power beside it."""
    hann = np.outer(*[np.hanning(WINDOW + 1)[:WINDOW]] * 2)
    found = []
    step = WINDOW // PERIOD
    for window in windows:
        luma = _luma(window)
        power = np.abs(np.fft.fft2((luma - luma.mean()) * hann)) ** 2 / (hann**2).sum() + FLOOR
        for v in range(0, WINDOW // 2 + 1, step):
            for u in range(0, WINDOW, step):
                if (u, v) != (0, 0):
                    beside = [power[(v + dv) % WINDOW, (u + du) % WINDOW] for dv in (-3, 0, 3) for du in (-3, 0, 3) if dv or du]
                    found.append(power[v, u] / np.median(beside))
    return float(np.mean(found))
