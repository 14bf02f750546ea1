"""Statistics of whole pictures, region by region and tile by tile: what a painting is measured by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from onestroke.errors import ConfigError
from onestroke.losses.architecture import stride
from onestroke.losses.statistics import Moments, blend, moments
from onestroke.losses.vgg import VGGFeatures
from onestroke.optimization.gatys.presets import Recipe
from onestroke.optimization.gatys.tiles import Tile, layout

Regions = Sequence[Tensor | None]  # weights [1, 1, H, W] in [0, 1], one a region; None: everywhere


@dataclass(frozen=True)
class Targets:
    """A painting's statistics, or several paintings' blended: per style layer, one per region."""

    moments: dict[str, list[Moments]]


def layer_weights(region: Tensor | None, names: Sequence[str]) -> dict[str, Tensor | None]:
    """A region [1, 1, H, W] at the size of each layer: averages, in the windows that VGG pools."""
    found: dict[str, Tensor | None] = {}
    for name in names:
        step = stride(name)
        found[name] = region if region is None or step == 1 else F.avg_pool2d(region, step)
    return found


def measure(
    vgg: VGGFeatures, x: Tensor, names: Sequence[str], regions: Regions, first: bool, side: int
) -> dict[str, list[Moments]]:
    """Moments of pictures [N, 3, H, W] at style layers, in tiles of `side` (0: at once)."""
    weights = [layer_weights(region, names) for region in regions]
    return accumulate(vgg, x, names, weights, layout(x.shape[2], x.shape[3], side, vgg.variant, names), first)


def accumulate(
    vgg: VGGFeatures,
    x: Tensor,
    names: Sequence[str],
    weights: Sequence[dict[str, Tensor | None]],
    tiles: Sequence[Tile],
    first: bool,
) -> dict[str, list[Moments]]:
    """Moments at style layers added up over tiles, per region; without gradients."""
    total: dict[str, list[Moments]] = {}
    with torch.no_grad():
        for tile in tiles:
            found = moments_at(vgg(x[..., *tile.slices], names), names, weights, tile, first)
            total = {n: [a + b for a, b in zip(total[n], found[n], strict=True)] for n in names} if total else found
    return total


def moments_at(
    features: dict[str, Tensor], names: Sequence[str], weights: Sequence[dict[str, Tensor | None]], tile: Tile, first: bool
) -> dict[str, list[Moments]]:
    """Moments at style layers of a tile's core, per region, from the tile's features."""
    found: dict[str, list[Moments]] = {}
    for name in names:
        core = features[name][..., *tile.inner(stride(name))]
        within = (..., *tile.within(stride(name)))
        masks = [None if (weight := w[name]) is None else weight[within] for w in weights]
        found[name] = [moments(core, mask, first=first) for mask in masks]
    return found


def style_targets(
    vgg: VGGFeatures, recipe: Recipe, paintings: Sequence[tuple[Tensor, Regions]], shares: Sequence[float], side: int = 0
) -> Targets:
    """Statistics of paintings [1, 3, h, w] with their regions, averaged by `shares`; a region counts where it is found."""
    names, first = list(recipe.style_layers), recipe.style_statistic == "wasserstein"
    measured = [measure(vgg, picture, names, regions, first, side) for picture, regions in paintings]
    blended: dict[str, list[Moments]] = {}
    for name in names:
        blended[name] = []
        for region in range(len(paintings[0][1])):
            parts = [(m[name][region], s) for m, s in zip(measured, shares, strict=True) if m[name][region].area > 0 and s > 0]
            if not parts:
                raise ConfigError(f"regions: one of them is nowhere in the paintings, or too small for {name}; draw it larger")
            blended[name].append(blend([part for part, _ in parts], [share for _, share in parts]))
    return Targets(blended)
