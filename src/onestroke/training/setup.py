"""The configuration of a run, turned into the parts that it is made of: photos, losses, network, rate, device."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from onestroke.arrays import Array, center_crop, full_range, resize
from onestroke.config.training import Scale, TrainConfig, style_names
from onestroke.errors import ConfigError, ImageError
from onestroke.events import Report, silent
from onestroke.losses import vgg, weights
from onestroke.losses.objective import POOLED_PHOTOS, PairLoss, PerceptualLoss
from onestroke.losses.pixels import to_float
from onestroke.losses.vgg import VGGFeatures
from onestroke.networks import registry as networks
from onestroke.samples import photos as sample_photos
from onestroke.samples.painting import picture as sample_painting
from onestroke.training.data import Pairs, PhotoModule
from onestroke.training.module import StyleModule
from onestroke.training.photo_sets import pair_set, photo_sets
from onestroke.training.photos import crop_for, read_rgb
from onestroke.training.schedule import Rate, peak_rate
from onestroke.training.step import TrainingStep

UNSETTLED = 2**62  # steps
# Sides of training crops, by device: larger ones come nearer to the painting (docs/experiments.md), and take longer.
CROPS, LEAST_CROP = {"cpu": 256, "cuda": 320}, 32
LEAST_PAINTING = 32
LEAST_SEEN = 16  # pixels a side, at any scale, below which VGG's deeper layers see next to nothing
MOST_PAIRS = 32  # that a loss of pairs takes its units from


@dataclass(frozen=True)
class Parts:
    """What a run is made of, but for the network, which begins anew after a divergence (new_module).

    style_images: uint8 [H, W, 3] each, as the losses see them. preview: a photo at its full aspect, to draw previews from.
    """

    style_images: list[Array]
    photos: PhotoModule
    step: TrainingStep
    preview: Array
    device: torch.device
    bf16: bool


def with_crops(config: TrainConfig) -> TrainConfig:
    """`config` with the size of its crops settled: CROPS, or what most photos reach. Raises ConfigError and DataError."""
    if config.size:
        if config.size < LEAST_CROP:
            raise ConfigError(f"size: {config.size} is too small; use {LEAST_CROP} or more, or 0 for what suits the photos")
        return config
    if not config.content:
        return replace(config, size=CROPS["cpu"])  # some of the sample photos are no larger
    return replace(config, size=min(CROPS[vgg.choose_device(config.device).type], crop_for(Path(config.content))))


def prepare(config: TrainConfig, report: Report = silent) -> Parts:
    """Everything that can be wrong with a run's input is found here, before anything is written.

    Raises ConfigError, ImageError, DataError or WeightsError.
    """
    network = networks.entry(config.network)
    device = vgg.choose_device(config.device)
    _check_shares(config)
    paintings = _style_images(config.style_image, config.style_levels)
    train, held_out = photo_sets(config.content, config.val, config.size, config.val_photos, report)
    sampled = not (config.content or config.val)
    preview = read_rgb(sample_photos.held_out_photos()[-1]) if sampled else np.array(held_out[len(held_out) // 2])
    workers = config.workers if config.workers >= 0 else min(8, (os.cpu_count() or 2) - 1) if device.type == "cuda" else 0
    pairs = _pairs(config, report)
    photos = PhotoModule(
        train, held_out, size=config.size, batch=config.batch, seed=config.seed, workers=workers,
        pairs=pairs, pair_steps=pair_steps(config),
    )  # fmt: skip
    loss = _loss(config, paintings, photos.sample(), device)
    step = TrainingStep(
        loss,
        _pair_loss(loss.vgg, pairs, config.size, config.content_layers, device) if pairs else None,
        styles=len(paintings),
        strongest=network.strongest,
        steady_weight=config.steady_weight,
        seed=config.seed,
    )
    return Parts(paintings, photos, step, preview, device, in_bf16(config.precision, device))


def new_module(config: TrainConfig, step: TrainingStep, state: dict[str, Tensor] | None = None) -> StyleModule:
    """A network that has not learned yet, from its initial `state` or random weights, and what makes it learn."""
    torch.manual_seed(config.seed)
    net = networks.build(config.network, len(style_names(config.style_image)))
    if state:
        net.load_state_dict(state)
    peak = config.rate or peak_rate(config.optimizer, config.network, config.batch)
    rate = Rate(peak, config.warmup, None if config.minutes else config.steps)
    return StyleModule(net, step, rate, optimizer=config.optimizer, ema=config.ema, pair_steps=pair_steps(config))


def pair_steps(config: TrainConfig) -> int:
    """How many of the first steps pairs teach; all, while a time budget has not settled it (budget.Clock)."""
    if config.supervision != "both":
        return UNSETTLED if config.supervision == "pairs" else 0
    if config.pair_steps:
        return config.pair_steps
    return UNSETTLED if config.minutes else round(config.pair_share * config.steps)


def _check_shares(config: TrainConfig) -> None:
    """Raise ConfigError where a batch cannot be shared so that the losses see what they see in one process."""
    processes = config.devices * config.nodes
    least = processes * (POOLED_PHOTOS if any(scale.pooled for scale in config.scales) else 1)
    if processes > 1 and config.batch % least:
        raise ConfigError(f"batch: {config.batch} photos cannot be shared by {processes} processes; use a multiple of {least}")


def in_bf16(precision: str, device: torch.device) -> bool:
    """Whether to train under bf16 autocast: as asked, or wherever the processor computes in it (half the time of VGG)."""
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    units: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(units.get("avx512_bf16") or units.get("amx_bf16"))


def _style_images(paths: Sequence[str], levels: str) -> list[Array]:
    """The style images, their levels prepared, at their own sizes."""
    found = [read_rgb(Path(path)) for path in paths] or [sample_painting()]
    for path, painting in zip(paths, found, strict=False):
        if min(painting.shape[:2]) < LEAST_PAINTING:
            size = f"{painting.shape[1]}x{painting.shape[0]}"
            raise ImageError(f"{path}: {size} pixels are too few for a painting; use {LEAST_PAINTING} or more a side")
    return [full_range(painting) for painting in found] if levels == "auto" else found


def _pairs(config: TrainConfig, report: Report) -> Pairs | None:
    if config.supervision == "perceptual":
        return None
    if not config.pairs:
        raise ConfigError(f"supervision: {config.supervision} needs --pairs FOLDER; `onestroke pairs` makes one")
    return pair_set(config.pairs, config.size, report)


def _pair_loss(features: VGGFeatures, pairs: Pairs, size: int, layers: Sequence[str], device: torch.device) -> PairLoss:
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


def _loss(config: TrainConfig, paintings: list[Array], sample: Tensor, device: torch.device) -> PerceptualLoss:
    """`sample`: photos [N, H, W, 3], uint8, from which the units are measured."""
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
        style_weight=config.style_weight,
        content_weight=config.content_weight,
        tv_weight=config.tv_weight,
    ).to(device)
