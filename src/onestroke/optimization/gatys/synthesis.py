"""Photos painted by optimizing their pixels (Gatys, Ecker & Bethge 2015), from a recipe and pictures to the results."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from onestroke.arrays import Array, resize_to, with_colors_of
from onestroke.errors import ConfigError, OnestrokeError, because
from onestroke.files import replacing
from onestroke.losses import vgg, weights
from onestroke.losses.pixels import tensor, to_uint8
from onestroke.optimization.gatys import colors, presets, regions
from onestroke.optimization.gatys.materials import Painting, check_side, recolored, region_weights, sizes, start_pixels
from onestroke.optimization.gatys.objective import GatysObjective
from onestroke.optimization.gatys.presets import Recipe
from onestroke.optimization.gatys.targets import Regions, Targets, style_targets
from onestroke.optimization.gatys.tiles import free_memory, tile_side
from onestroke.optimization.pixels import PixelOptimizer, Step, Updates, check_batch


@dataclass(frozen=True)
class Progress:
    """Where a run is: `scale` of `scales`, its size in pixels (height, width), and the optimizer's step."""

    scale: int
    scales: int
    size: tuple[int, int]
    step: Step


class Gatys:
    """Photos of one size and their paintings, on the way to pictures. `run`, then `pictures`; `restart` for further photos.

    photos: uint8 [N, H, W, 3] (more than one: not with L-BFGS, nor with colors matched to the photo); region_map: of their
    size, flat colors, or None; memory: megabytes for the run, to which VGG's passes are tiled (0: half of what is free).
    Raises a OnestrokeError for anything that does not fit, before any work.
    """

    def __init__(
        self, recipe: Recipe, photos: Array, paintings: Sequence[Painting], *, region_map: Array | None = None,
        device: torch.device | None = None, memory: int = 0,
    ) -> None:  # fmt: skip
        if len(photos) > 1 and recipe.colors != "painting":
            raise ConfigError(f"colors: {recipe.colors} fits paintings to one photo; use --colors painting, or a batch of 1")
        check_batch(recipe.optimizer, len(photos))
        self.recipe, self.photos = recipe, photos
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.layers = [*recipe.style_layers, *recipe.content_layers]
        found = weights.resolve(recipe.vgg, recipe.vgg_weights or None).as_lineage(recipe.lineage)
        border: vgg.Border = "replicate" if recipe.border == "replicate" else "zeros"
        self.vgg = vgg.build(found, self.layers, recipe.pooling, self.device, border)
        self.memory, self._told = memory or free_memory(self.device), bool(memory)
        self.sizes = sizes(recipe, photos.shape[1], photos.shape[2])
        self.originals = self.paintings = list(paintings)
        for height, width in self.sizes:
            for painting in paintings:
                self._painting_size(painting, height, width)
        self.masks, self.painting_masks = region_weights(photos[0], region_map, paintings)
        self._tile(*self.sizes[-1])
        self._targets: dict[tuple[int, int], Targets] = {}
        self.restart(photos)

    def restart(self, photos: Array) -> None:
        """Begin anew with other photos of the same size [N, H, W, 3]; what is known of the paintings stays, if it may."""
        if self.recipe.colors != "painting":
            self.paintings = [recolored(p, photos[0], self.recipe.colors) for p in self.originals]
            self._targets.clear()
        self.photos = photos
        self.sources = np.stack([colors.gray(p) for p in photos]) if self.recipe.colors == "luminance" else photos
        self.scale, self.seconds = 0, 0.0
        self.optimizer: PixelOptimizer | None = None
        height, width = self.sizes[0]
        self.start = torch.cat([start_pixels(self.recipe, p, height, width) for p in self.sources]).to(self.device)

    def run(self, callback: Callable[[Progress], bool | None] | None = None) -> bool:
        """Through all scales, from wherever it is. Returns False where the callback returned True to stop early."""
        stopped = False

        def watch(step: Step) -> bool:
            nonlocal stopped
            stopped = bool(callback and callback(Progress(self.scale, len(self.sizes), self.sizes[self.scale], step)))
            return stopped

        while True:
            optimizer = self.optimizer = self.optimizer or self._begin()
            optimizer.run(watch)
            self.seconds += optimizer.seconds
            if stopped:
                return False
            if self.scale == len(self.sizes) - 1:
                return True
            self.scale += 1
            objective, steps = self._objective(), presets.steps_at(self.recipe, self.scale)
            self.optimizer = optimizer.resized(self.sizes[self.scale], objective, steps)

    def _begin(self) -> PixelOptimizer:
        kept = {f.name: getattr(self.recipe, f.name) for f in fields(Updates) if hasattr(self.recipe, f.name)}
        return PixelOptimizer(self.start, self._objective(), Updates(**kept), presets.steps_at(self.recipe, self.scale))

    def _objective(self) -> GatysObjective:
        height, width = self.sizes[self.scale]
        side = self._tile(height, width)
        photos = torch.cat([tensor(resize_to(p, height, width)) for p in self.sources]).to(self.device)
        if (height, width) not in self._targets:
            self._targets[height, width] = self._measure(height, width)
        masks = self._at(self.masks, height, width)
        return GatysObjective(self.vgg, self.recipe, self._targets[height, width], photos, masks, side)

    def _tile(self, height: int, width: int) -> int:
        """Side of the tiles for pictures of this size, 0 for none."""
        # Pixels, gradient, two moments, average, best, photo, and two temporaries; L-BFGS keeps two vectors an update instead.
        kept = 2 * self.recipe.history if self.recipe.optimizer.startswith("lbfgs") else 2
        return tile_side(height, width, self.memory, self.recipe.vgg, self.layers, 12 * (7 + kept), len(self.photos))

    def _measure(self, height: int, width: int) -> Targets:
        """The paintings' statistics for a picture of this size: of its area times style_scale^2, but never enlarged."""
        prepared: list[tuple[Tensor, Regions]] = []
        for painting, masks in zip(self.paintings, self.painting_masks, strict=True):
            h, w = self._painting_size(painting, height, width)
            prepared.append((tensor(resize_to(painting.rgb, h, w)).to(self.device), self._at(masks, h, w)))
        names = list(self.recipe.style_layers)
        side = max(tile_side(p.shape[2], p.shape[3], self.memory, self.recipe.vgg, names) for p, _ in prepared)
        return style_targets(self.vgg, self.recipe, prepared, [p.share for p in self.paintings], side)

    def _painting_size(self, painting: Painting, height: int, width: int) -> tuple[int, int]:
        """(h, w) of a painting beside a picture (height, width). Raises ConfigError where it is too small for the layers."""
        h, w = painting.rgb.shape[:2]
        factor = min(1.0, self.recipe.style_scale * (height * width / (h * w)) ** 0.5)
        h, w = (max(1, round(extent * factor)) for extent in (h, w))
        what = f"{painting.name}: the painting, at {w}x{h} pixels,"
        check_side(min(h, w), list(self.recipe.style_layers), what, "painting or --style-scale")
        return h, w

    def _at(self, masks: Sequence[regions.Weights | None], height: int, width: int) -> list[Tensor | None]:
        return [None if m is None else F.adaptive_avg_pool2d(torch.from_numpy(m)[None, None], (height, width)).to(self.device)
                for m in masks]  # fmt: skip

    @property
    def pictures(self) -> Array:
        """The results so far, uint8 [N, h, w, 3], at the last scale's size."""
        assert self.optimizer is not None
        height, width = self.sizes[-1]
        found = [resize_to(pixels, height, width) for pixels in to_uint8(self.optimizer.result())]
        if self.recipe.colors == "luminance":
            pairs = zip(self.photos, found, strict=True)
            found = [with_colors_of(resize_to(photo, height, width), pixels) for photo, pixels in pairs]
        return np.stack(found)

    def save(self, path: Path) -> None:
        """The state, atomically. Raises OnestrokeError where it cannot be written; an older state is then still whole."""
        assert self.optimizer is not None
        state = {"digest": self._digest(), "scale": self.scale, "optimizer": self.optimizer.state_dict(), "memory": self.memory}
        try:
            with replacing(path) as temporary:
                torch.save(state, temporary)
        except (OSError, RuntimeError) as error:
            raise OnestrokeError(f"{path}: the state cannot be written ({because(error)})") from None

    def load(self, path: Path) -> None:
        """Go on from a saved state. Raises ConfigError where it is damaged, or of other pictures or settings."""
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:
            raise ConfigError(f"{path}: no state to resume from ({type(error).__name__}); leave out --resume") from None
        if not isinstance(state, dict) or state.get("digest") != self._digest():
            raise ConfigError(f"{path}: belongs to other pictures or settings; repeat them, or leave out --resume")
        self.scale = state["scale"]
        if not self._told:  # other tiles would round elsewhere
            self.memory = state["memory"]
        self.start = torch.zeros(len(self.photos), 3, *self.sizes[self.scale], device=self.device)
        self.optimizer = self._begin()
        self.optimizer.load_state_dict(state["optimizer"])

    def _digest(self) -> str:
        """What a state belongs to: pictures and settings, except the numbers of steps."""
        settings = {k: v for k, v in asdict(self.recipe).items() if k not in ("steps", "tolerance", "vgg_weights")}
        sha = hashlib.sha256(repr((settings, [p.share for p in self.paintings])).encode())
        masks = [mask for masks in (self.masks, *self.painting_masks) for mask in masks]
        for pixels in (self.photos, *(p.rgb for p in self.paintings), *masks):
            sha.update(b"" if pixels is None else np.ascontiguousarray(pixels).tobytes())
        return sha.hexdigest()
