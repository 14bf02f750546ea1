"""How far an exported file, run by ONNX Runtime, is from the torch network that it came from."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from onestroke.arrays import Array
from onestroke.card import ModelCard
from onestroke.inference.session import as_input, levels, open_model
from onestroke.samples.photos import held_out_photos
from onestroke.training.photos import read_rgb

# Batch, height, width at which ONNX Runtime must agree with torch: small, odd, video, panorama, batch.
PARITY_SIZES = ((1, 64, 64), (1, 257, 391), (1, 1080, 1920), (1, 97, 1024), (3, 65, 66))
# Levels of 255. For fp32 rounding may fall to either side, nothing more.
PARITY_MOST, PARITY_MEAN = 1, 0.05
# Decibels of PSNR against fp32. fp16 reaches 65 and more, w8 50, int8 35 to 45: below these something is broken.
LEAST_PSNR = {"fp16": 45.0, "w8": 35.0, "int8": 25.0}
BEST_PSNR = 99.0  # what equal pictures are said to have


def parity(wrapper: nn.Module, card: ModelCard, path: Path) -> dict[str, float]:
    """`most` and `mean` difference in levels of 255, and `psnr` in dB, of ONNX Runtime against torch in fp32.

    fp32 files are compared over PARITY_SIZES of test pictures. The others, whose error depends on what the picture shows, on
    photos that nothing was trained or calibrated on.
    """
    model = open_model(path, device="cpu")
    most, total, squares, count = 0.0, 0.0, 0.0, 0
    # Several styles are compared as an even mix: every gain and bias counts.
    styles = np.full(len(card.styles), 1 / len(card.styles), np.float32) if card.styles else None
    for images, strength in _scenes(card) if card.precision == "fp32" else _photos(card):
        with torch.no_grad():
            inputs = [torch.from_numpy(as_input(images, card)), torch.tensor(strength)]
            painted = wrapper(*inputs, *([] if styles is None else [torch.from_numpy(styles)]))
            wanted = levels(painted.numpy(), card)
        difference = np.abs(model.run(images, strength, styles).astype(np.int32) - wanted)
        most, total, count = max(most, float(difference.max())), total + float(difference.sum()), count + difference.size
        squares += float((difference**2).sum())
    psnr = 10 * math.log10(255**2 * count / squares) if squares else BEST_PSNR
    return {"most": most, "mean": round(total / count, 6), "psnr": round(min(psnr, BEST_PSNR), 2)}


def fault(card: ModelCard) -> str:
    """What is wrong with the card's parity, as a half-sentence; empty where it is good enough for its precision."""
    found = card.parity
    if card.precision == "fp32":
        good = found["most"] <= PARITY_MOST and found["mean"] <= PARITY_MEAN
        return "" if good else f"ONNX Runtime differs from torch by {found['most']:g} levels of 255"
    least = LEAST_PSNR[card.precision]
    return "" if found["psnr"] >= least else f"{card.precision} is {found['psnr']:g} dB from fp32, and {least:g} are the least"


def _photos(card: ModelCard) -> Iterator[tuple[Array, float]]:
    """Held-out sample photos [1, H, W, 3] at strength 1 and at the strongest."""
    photos = [np.array(read_rgb(path)[None]) for path in held_out_photos()]
    yield from ((photo, strength) for photo in photos for strength in sorted({1.0, card.strongest}))


def _scenes(card: ModelCard) -> Iterator[tuple[Array, float]]:
    """Test pictures [N, H, W, 3] with flat, smooth and busy parts: gradients under noise that grows to the right."""
    rng = np.random.default_rng(0)
    for i, (batch, height, width) in enumerate(PARITY_SIZES):
        y, x = np.mgrid[0:height, 0:width]
        smooth = np.stack([255 * x / width, 255 * y / height, 127 * (1 + np.sin(x / 17.0 + y / 29.0))], -1)
        noise = rng.normal(0, 40, (batch, height, width, 3)) * (x / width)[..., None]
        yield np.clip(smooth + noise, 0, 255).astype(np.uint8), card.strongest if i == 1 else 1.0
