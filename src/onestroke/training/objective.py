"""What a run learns by: style images and losses, from its settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from onestroke.arrays import Array, center_crop, full_range, resize
from onestroke.config.training import Scale, TrainConfig
from onestroke.errors import ConfigError, ImageError
from onestroke.losses import vgg, weights
from onestroke.losses.objective import PairLoss, PerceptualLoss
from onestroke.losses.pixels import to_float
from onestroke.losses.vgg import VGGFeatures
from onestroke.samples.painting import picture as sample_painting
from onestroke.training.data import Pairs
from onestroke.training.photos import read_rgb

LEAST_PAINTING = 32
LEAST_SEEN = 16  # pixels a side, at any scale, below which VGG's deeper layers see next to nothing
MOST_PAIRS = 32  # that a loss of pairs takes its units from


def style_images(paths: Sequence[str], levels: str) -> list[Array]:
    """The style images, uint8 [H, W, 3] at their own sizes, their levels prepared; the sample painting where none is named.

    Raises ImageError.
    """
    found = [read_rgb(Path(path)) for path in paths] or [sample_painting()]
    for path, painting in zip(paths, found, strict=False):
        if min(painting.shape[:2]) < LEAST_PAINTING:
            size = f"{painting.shape[1]}x{painting.shape[0]}"
            raise ImageError(f"{path}: {size} pixels are too few for a painting; use {LEAST_PAINTING} or more a side")
    return [full_range(painting) for painting in found] if levels == "auto" else found


def perceptual_loss(config: TrainConfig, paintings: list[Array], sample: Tensor, device: torch.device) -> PerceptualLoss:
    """The loss of `paintings`, style images. `sample`: photos [N, H, W, 3], uint8, from which the units are measured.

    Raises ConfigError and WeightsError.
    """
    scales = _scales(config)
    found = weights.resolve(config.vgg, config.vgg_weights or None)
    layers = [layer for scale in scales for layer in scale.layers]
    features = vgg.build(found, [*layers, *config.content_layers], config.pooling, device)

    def at(painting: Array, scale: Scale) -> Tensor:
        side = scale.style_size or config.style_size // scale.reduction
        small = resize(painting, shorter=side) if min(painting.shape[:2]) > side else painting
        return to_float(torch.from_numpy(np.array(small))[None].to(device))

    return PerceptualLoss(
        features,
        [[at(painting, scale) for scale in scales] for painting in paintings],
        to_float(sample.to(device)),
        scales,
        config.weights,
    ).to(device)


def pair_loss(features: VGGFeatures, pairs: Pairs, size: int, layers: Sequence[str], device: torch.device) -> PairLoss:
    """The loss of pairs for crops of `size` pixels, which looks at `layers`; its units come from up to MOST_PAIRS of them."""
    which = np.linspace(0, len(pairs[0]) - 1, min(MOST_PAIRS, len(pairs[0]))).astype(int)
    photos, targets = (
        to_float(torch.from_numpy(np.stack([center_crop(side[int(i)], size) for i in which])).to(device)) for side in pairs
    )
    return PairLoss(features, photos, targets, layers).to(device)


def _scales(config: TrainConfig) -> list[Scale]:
    """The scales that the losses look at: those asked for, or whole pictures at one size with the layers named.

    Raises ConfigError where a scale leaves too few pixels for a layer.
    """
    content = dict.fromkeys(config.content_layers, 1.0)
    scales = config.scales or [Scale(style=config.style_layers, content=content, pooled=False)]
    for scale in scales:
        side = config.size // scale.reduction
        if min(scale.window or side, side) < LEAST_SEEN:
            raise ConfigError(
                f"scales: at 1/{scale.reduction} less than {LEAST_SEEN} px of crops of {config.size} are left; use a larger "
                "--size or window"
            )
        if not scale.layers:
            raise ConfigError(f"scales: 1/{scale.reduction} names no layers; give it style, content or gray")
    if not any(scale.style for scale in scales):
        raise ConfigError("scales: none has style layers; give one of them some")
    return scales
