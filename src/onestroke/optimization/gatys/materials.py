"""From files and settings to what the optimizer works on: sizes, starts, colors and regions, checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from onestroke.arrays import Array, resize_to
from onestroke.errors import ConfigError
from onestroke.images import read_image
from onestroke.losses import weights
from onestroke.losses.architecture import stride
from onestroke.losses.pixels import tensor
from onestroke.optimization.gatys import colors, presets, regions
from onestroke.optimization.gatys.presets import Recipe


@dataclass(frozen=True)
class Painting:
    """A painting [h, w, 3], where it counts (`alpha` [h, w], 255 everywhere if None), its region map, its share in a blend."""

    name: str
    rgb: Array
    alpha: Array | None = None
    regions: Array | None = None
    share: float = 1.0


def sizes(recipe: Recipe, height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of all scales for a photo of this size, which is never enlarged; none too small for the deepest layer.

    Raises ConfigError where even the last is.
    """
    measure = {"longer": max(height, width), "shorter": min(height, width), "height": height}[recipe.side]
    found = [(max(1, round(height * end / measure)), max(1, round(width * end / measure)))
             for end in presets.scales(recipe, min(recipe.size, measure))]  # fmt: skip
    layers = [*recipe.style_layers, *recipe.content_layers]
    h, w = found[-1]
    check_side(min(h, w), layers, f"size: the photo, at {w}x{h} pixels,", "photo or --size")
    return [size for size in found if min(size) >= max(stride(layer) for layer in layers)]


def check_side(side: int, layers: Sequence[str], what: str, what_else: str) -> None:
    """Raise ConfigError for a picture whose shorter side does not reach the deepest layer; `what_else` is the way out."""
    deepest = max(layers, key=stride)
    if side < stride(deepest):
        raise ConfigError(f"{what} is too small for {deepest}, which needs {stride(deepest)}; use a larger {what_else}")


def recolored(painting: Painting, photo: Array, how: str) -> Painting:
    """The painting as Recipe.colors wants it for this photo."""
    if how == "painting":
        return painting
    change = colors.matched if how == "match" else colors.gray_matched
    opaque = np.ones(painting.rgb.shape[:2], bool) if painting.alpha is None else painting.alpha > 0
    rgb = np.array(painting.rgb)
    rgb[opaque] = change(painting.rgb[opaque][None], photo)[0]  # what is transparent has no say
    return Painting(painting.name, rgb, painting.alpha, painting.regions, painting.share)


def region_weights(
    photo: Array, region_map: Array | None, paintings: Sequence[Painting]
) -> tuple[list[regions.Weights | None], list[list[regions.Weights | None]]]:
    """Weights per region of the photo and of each painting; transparent parts of a painting weigh nothing."""
    maps = [(f"{p.name}: region map", p.regions) for p in paintings if p.regions is not None]
    if (region_map is not None and len(maps) < len(paintings)) or (region_map is None and maps):
        raise ConfigError("regions: the photo and every painting need a map; give --regions and one --style-regions a painting")
    photo_masks: list[regions.Weights | None] = [None]
    found: list[list[regions.Weights | None]] = [[None] for _ in paintings]
    if region_map is not None:
        pairs = [("regions", region_map, photo), *((n, m, p.rgb) for (n, m), p in zip(maps, paintings, strict=True))]
        for name, given, picture in pairs:
            if given.shape[:2] != picture.shape[:2]:
                has, needs = (f"{a.shape[1]}x{a.shape[0]}" for a in (given, picture))
                raise ConfigError(f"{name}: is {has} pixels, its picture {needs}; make them the same size")
        masks, painting_masks = regions.match(("regions", region_map), maps)
        photo_masks, found = list(masks), [list(m) for m in painting_masks]
    for painting, counted in zip(paintings, found, strict=True):
        if painting.alpha is not None:
            opaque = np.asarray(painting.alpha / 255, np.float32)
            if not opaque.any():
                raise ConfigError(f"{painting.name}: is transparent everywhere; there is no style in it")
            counted[:] = [opaque if mask is None else np.asarray(mask * opaque, np.float32) for mask in counted]
    return photo_masks, found


def start_pixels(recipe: Recipe, photo: Array, height: int, width: int) -> Tensor:
    """Pixels [1, 3, h, w] to start from: the photo, a picture file, or noise around VGG's mean color mixed with the photo."""
    if recipe.start not in ("photo", "noise"):
        return tensor(resize_to(read_image(recipe.start).rgb, height, width))
    pixels = tensor(resize_to(photo, height, width))
    if recipe.start == "photo":
        return pixels
    generator = torch.Generator().manual_seed(recipe.seed)
    if recipe.noise_kind == "uniform":
        noise = torch.rand(pixels.shape, generator=generator) * 2 - 1
    else:
        noise = torch.randn(pixels.shape, generator=generator)
    mean = torch.tensor(weights.CAFFE_MEAN).view(1, 3, 1, 1)
    return mean + recipe.noise_share * noise * recipe.noise / recipe.unit + (1 - recipe.noise_share) * (pixels - mean)
