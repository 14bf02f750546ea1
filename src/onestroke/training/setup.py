"""What a run needs before its first step: device, photos, and losses with their units."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from onestroke.config.training import Scale, TrainConfig
from onestroke.errors import ConfigError, DataError, ImageError
from onestroke.events import Note, Reading, Report, silent
from onestroke.images import Array, center_crop, full_range, resize
from onestroke.losses import vgg, weights
from onestroke.losses.objective import PairLoss, PerceptualLoss
from onestroke.losses.pixels import to_float
from onestroke.networks import registry as networks
from onestroke.optimization.pairs import read_pairs
from onestroke.samples import photos as sample_photos
from onestroke.samples import scenes
from onestroke.samples.painting import picture as sample_painting
from onestroke.training import data
from onestroke.training.photos import Photos, Source, crop_for, load_folder, load_sources, read_rgb, split

UNSETTLED = 2**62  # steps
# Sides of training crops, by device: larger ones come nearer to the painting (docs/experiments.md), and take longer.
CROPS, LEAST_CROP = {"cpu": 256, "cuda": 320}, 32
SAMPLE_SCENES = 150
LEAST_PAINTING = 32
LEAST_SEEN = 16  # pixels a side, at any scale, below which VGG's deeper layers see next to nothing
LEAST_HELD_OUT = 300  # the shorter side of the smallest held-out sample photo


@dataclass(frozen=True)
class Materials:
    """Photos, losses, the style images as the losses see them, and the photo at full aspect that previews are drawn from."""

    paintings: list[Array]
    photos: data.PhotoModule
    loss: PerceptualLoss
    pair_loss: PairLoss | None
    preview: Array
    device: torch.device


def with_crops(config: TrainConfig) -> TrainConfig:
    """`config` with the size of its crops settled: CROPS, or what most photos reach. Raises ConfigError and DataError."""
    if config.size:
        if config.size < LEAST_CROP:
            raise ConfigError(f"size: {config.size} is too small; use {LEAST_CROP} or more, or 0 for what suits the photos")
        return config
    if not config.content:
        return replace(config, size=CROPS["cpu"])  # some of the sample photos are no larger
    return replace(config, size=min(CROPS[vgg.choose_device(config.device).type], crop_for(Path(config.content))))


def prepare(config: TrainConfig, report: Report = silent) -> Materials:
    """Everything that can be wrong with a run's input is found here, before anything is written.

    Raises ConfigError, ImageError, DataError or WeightsError.
    """
    networks.entry(config.network)
    device = vgg.choose_device(config.device)
    paintings = _paintings(config)
    train, held_out = _photos(config, report)
    sampled = not (config.content or config.val)
    preview = read_rgb(sample_photos.held_out_photos()[-1]) if sampled else np.array(held_out[len(held_out) // 2])
    workers = config.workers if config.workers >= 0 else min(8, (os.cpu_count() or 2) - 1) if device.type == "cuda" else 0
    pairs = _pairs(config, report)
    photos = data.PhotoModule(
        train, held_out, size=config.size, batch=config.batch, seed=config.seed, workers=workers,
        pairs=pairs, pair_steps=pair_steps(config),
    )  # fmt: skip
    loss = _loss(config, paintings, photos, device)
    return Materials(paintings, photos, loss, _pair_loss(config, loss, pairs, device), preview, device)


def in_bf16(config: TrainConfig, device: torch.device) -> bool:
    """Whether to train under bf16 autocast: as asked, or wherever the processor computes in it (half the time of VGG)."""
    if config.precision != "auto":
        return config.precision == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    units: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(units.get("avx512_bf16") or units.get("amx_bf16"))


def pair_steps(config: TrainConfig) -> int:
    """How many of the first steps pairs teach; all, while a time budget has not settled it (callbacks.Clock)."""
    if config.supervision != "both":
        return UNSETTLED if config.supervision == "pairs" else 0
    if config.pair_steps:
        return config.pair_steps
    return UNSETTLED if config.minutes else round(config.pair_share * config.steps)


def _pairs(config: TrainConfig, report: Report) -> data.Pairs | None:
    if config.supervision == "perceptual":
        return None
    if not config.pairs:
        raise ConfigError(f"supervision: {config.supervision} needs --pairs FOLDER; `onestroke pairs` makes one")
    found = read_pairs(Path(config.pairs))
    if not found:
        raise DataError(f"{config.pairs}: holds no finished pairs; make some with `onestroke pairs`")
    sources = [[(str(path), partial(read_rgb, path)) for path in side] for side in zip(*found, strict=True)]
    photos, targets = (load_sources(side, config.size) for side in sources)
    if not photos:
        raise DataError(f"{config.pairs}: its pairs are smaller than {config.size} pixels; use a smaller --size")
    if photos.index != targets.index:
        raise DataError(f"{config.pairs}: photos and targets differ in size or some are damaged; make the pairs again")
    report(Note(f"{len(photos)} pairs from {config.pairs}"))
    return photos, targets


def _pair_loss(config: TrainConfig, loss: PerceptualLoss, pairs: data.Pairs | None, device: torch.device) -> PairLoss | None:
    """Its units come from up to 32 pairs; its layers are those of content."""
    if pairs is None:
        return None
    which = np.linspace(0, len(pairs[0]) - 1, min(32, len(pairs[0]))).astype(int)
    photos, targets = (
        to_float(torch.from_numpy(np.stack([center_crop(side[int(i)], config.size) for i in which])).to(device))
        for side in pairs
    )
    return PairLoss(loss.vgg, photos, targets, config.content_layers).to(device)


def _paintings(config: TrainConfig) -> list[Array]:
    """The style images, their levels prepared, at their own sizes."""
    found = [read_rgb(Path(path)) for path in config.style_image] or [sample_painting()]
    for path, painting in zip(config.style_image, found, strict=False):
        if min(painting.shape[:2]) < LEAST_PAINTING:
            size = f"{painting.shape[1]}x{painting.shape[0]}"
            raise ImageError(f"{path}: {size} pixels are too few for a painting; use {LEAST_PAINTING} or more a side")
    return [full_range(painting) for painting in found] if config.style_levels == "auto" else found


def _photos(config: TrainConfig, report: Report) -> tuple[Photos, Photos]:
    """(training, held-out) photos from the folders named, or from the samples."""
    train = _folder(config.content, config.size, report) if config.content else _sample_photos(config.size)
    if config.val:
        held_out = _folder(config.val, config.size, report)
        which = np.linspace(0, len(held_out) - 1, min(config.val_photos, len(held_out))).astype(int)
        return train, held_out.subset(which.tolist())
    if config.content:
        return split(train, config.val_photos)
    kept = [(path.name, partial(read_rgb, path)) for path in sample_photos.held_out_photos()]
    return train, load_sources(kept, min(config.size, LEAST_HELD_OUT))


def _sample_photos(size: int) -> Photos:
    """Photographs from installed packages, and procedural scenes beside them."""
    sources: list[Source] = [(path.name, partial(read_rgb, path)) for path in sample_photos.train_photos()]
    sources += [(f"scene {i}", partial(scenes.draw, i, 2 * size)) for i in range(SAMPLE_SCENES)]
    photos = load_sources(sources, size)
    if not photos:
        raise DataError(f"size: the sample photos are smaller than {size} pixels; use a smaller --size, or your own --content")
    return photos


def _folder(name: str, size: int, report: Report) -> Photos:
    photos = load_folder(Path(name), size, lambda done, total: report(Reading(name, done, total)))
    report(Reading(name))
    if photos.skipped:
        report(Note(f"{name}: {len(photos.skipped)} files skipped, {len(photos)} photos used", warning=True))
        for line in photos.skipped[:10]:
            report(Note(f"  {line}", warning=True))
        if len(photos.skipped) > 10:
            report(Note(f"  and {len(photos.skipped) - 10} more", warning=True))
    return photos


def scales_of(config: TrainConfig) -> list[Scale]:
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


def _loss(config: TrainConfig, paintings: list[Array], photos: data.PhotoModule, device: torch.device) -> PerceptualLoss:
    scales = scales_of(config)
    found = weights.resolve(config.vgg, config.vgg_weights or None)
    layers = [layer for scale in scales for layer in scale.layers]
    features = vgg.build(found, [*layers, *config.content_layers], config.pooling, device)

    def at(painting: Array, scale: Scale) -> torch.Tensor:
        side = scale.style_size or config.style_size // scale.reduction
        small = resize(painting, shorter=side) if min(painting.shape[:2]) > side else painting
        return to_float(torch.from_numpy(np.array(small))[None].to(device))

    return PerceptualLoss(
        features,
        [[at(painting, scale) for scale in scales] for painting in paintings],
        to_float(photos.sample().to(device)),
        scales,
        style_weight=config.style_weight,
        content_weight=config.content_weight,
        tv_weight=config.tv_weight,
    ).to(device)
