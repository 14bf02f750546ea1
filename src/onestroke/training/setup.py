"""The configuration of a run, turned into the parts that it is made of: photos, losses, network, rate, device."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from onestroke.arrays import Array
from onestroke.config.training import TrainConfig, style_names
from onestroke.errors import ConfigError
from onestroke.events import Report, silent
from onestroke.losses import vgg
from onestroke.losses.objective import POOLED_PHOTOS
from onestroke.networks import registry as networks
from onestroke.samples import photos as sample_photos
from onestroke.training.data import Pairs, PhotoModule
from onestroke.training.graphs import Graphs
from onestroke.training.module import StyleModule
from onestroke.training.objective import pair_loss, perceptual_loss, style_images
from onestroke.training.photo_sets import pair_set, photo_sets
from onestroke.training.photos import crop_for, read_rgb
from onestroke.training.processes import rank
from onestroke.training.schedule import Rate, peak_rate
from onestroke.training.step import TrainingStep

UNSETTLED = 2**62  # steps
# Sides of training crops, by device: larger ones come nearer to the painting (docs/experiments.md), and take longer.
CROPS, LEAST_CROP = {"cpu": 256, "cuda": 384}, 32


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
    if device.type == "cuda" and config.devices > 1:  # so that not all processes measure their units on the first one
        device = torch.device("cuda", rank(config.devices, config.nodes) % config.devices)
    _check_shares(config)
    paintings = style_images(config.style_image, config.style_levels)
    train, held_out = photo_sets(config.content, config.val, config.size, config.val_photos, report)
    sampled = not (config.content or config.val)
    preview = read_rgb(sample_photos.held_out_photos()[-1]) if sampled else np.array(held_out[len(held_out) // 2])
    workers = config.workers if config.workers >= 0 else min(8, (os.cpu_count() or 2) - 1) if device.type == "cuda" else 0
    pairs = _pairs(config, report)
    photos = PhotoModule(
        train, held_out, size=config.size, batch=config.batch, seed=config.seed, workers=workers,
        pairs=pairs, pair_steps=pair_steps(config),
    )  # fmt: skip
    loss = perceptual_loss(config, paintings, photos.sample(), device)
    step = TrainingStep(
        loss,
        pair_loss(loss.vgg, pairs, config.size, config.content_layers, device) if pairs else None,
        styles=len(paintings),
        strongest=network.strongest,
        steady_weight=config.steady_weight,
        grain=config.grain,
        seed=config.seed,
    )
    return Parts(paintings, photos, step, preview, device, in_bf16(config.precision, device))


def new_module(
    config: TrainConfig, step: TrainingStep, state: dict[str, Tensor] | None = None, report: Report = silent
) -> StyleModule:
    """A network that has not learned yet, from its initial `state` or random weights, and what makes it learn."""
    torch.manual_seed(config.seed)
    net = networks.build(config.network, len(style_names(config.style_image)))
    if state:
        net.load_state_dict(state)
    peak = config.rate or peak_rate(config.optimizer, config.network, config.batch)
    rate = Rate(peak, config.warmup, None if config.minutes else config.steps)
    alone = config.devices * config.nodes == 1  # graphs beside the processes' exchange of gradients were never tried
    if alone and step.loss.tv.unit.is_cuda and not any(scale.window for scale in config.scales):
        step = replace(step, graphs=Graphs(report))
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


def _pairs(config: TrainConfig, report: Report) -> Pairs | None:
    if config.supervision == "perceptual":
        return None
    if not config.pairs:
        raise ConfigError(f"supervision: {config.supervision} needs --pairs FOLDER; `onestroke pairs` makes one")
    return pair_set(config.pairs, config.size, report)
