"""Cutting a picture into tiles whose features equal the whole picture's, and how large they may be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise, product

import torch

from onestroke import memory as system
from onestroke.errors import ConfigError
from onestroke.losses.architecture import WIDTHS, layer_names, radius, stride

Span = tuple[int, int]

# Peak bytes of one forward and backward pass per activation kept, and of everything that does not grow with the tile: the
# process with torch (550 MB), kernels, Gram matrices, what an allocator holds back. Measured in docs/slow.md.
BYTES_PER_ACTIVATION = 10.0
BASE_BYTES = 1000 * 2**20
LEAST_DEFAULT = 2000  # megabytes
LEAST_TILE = 64


@dataclass(frozen=True)
class Tile:
    """A core, whose features count, within its surroundings, which the core's features see; all in pixels."""

    outer: tuple[Span, Span]
    core: tuple[Span, Span]
    extent: Span  # of the whole picture

    @property
    def slices(self) -> tuple[slice, slice]:
        """The surroundings, as an index of the picture."""
        return slice(*self.outer[0]), slice(*self.outer[1])

    def inner(self, stride: int) -> tuple[slice, slice]:
        """The core, as an index of the tile's own features at a stride."""
        return self._at(stride, [start for start, _ in self.outer])

    def within(self, stride: int) -> tuple[slice, slice]:
        """The core, as an index of the whole picture's features at a stride."""
        return self._at(stride, [0, 0])

    def _at(self, stride: int, origin: list[int]) -> tuple[slice, slice]:
        # The picture's last positions are wherever pooling has left them: an open end.
        ends = [None if end == extent else (end - o) // stride for (_, end), extent, o in
                zip(self.core, self.extent, origin, strict=True)]  # fmt: skip
        starts = [(start - o) // stride for (start, _), o in zip(self.core, origin, strict=True)]
        return slice(starts[0], ends[0]), slice(starts[1], ends[1])


def layout(height: int, width: int, side: int, variant: str, layers: Iterable[str]) -> list[Tile]:
    """Tiles with cores of about `side` pixels (0: the whole picture in one) that cover a picture exactly once."""
    if not side:
        whole = ((0, height), (0, width))
        return [Tile(whole, whole, (height, width))]
    grid, halo = margins(variant, layers)
    side = max(grid, side // grid * grid)

    def spans(extent: int) -> list[Span]:
        starts = range(0, max(extent - grid, 0) + 1, side) if extent > side else [0]
        bounds = [*starts, extent]
        return list(pairwise(bounds))

    return [
        Tile(((max(0, y0 - halo), min(height, y1 + halo)), (max(0, x0 - halo), min(width, x1 + halo))),
             ((y0, y1), (x0, x1)), (height, width))
        for (y0, y1), (x0, x1) in product(spans(height), spans(width))
    ]  # fmt: skip


def margins(variant: str, layers: Iterable[str]) -> Span:
    """(grid that cores must start on, surroundings that they need) in pixels, for features of `layers`."""
    layers = list(layers)
    grid = max(stride(layer) for layer in layers)
    reach = max(radius(variant, layer) for layer in layers)
    return grid, -(-reach // grid) * grid


def tile_side(
    height: int, width: int, memory: int, variant: str, layers: Iterable[str], state: float = 0.0, count: int = 1
) -> int:
    """The core's side for a run on `count` pictures within `memory` megabytes in all, or 0 where whole pictures fit.

    state: bytes a pixel that the optimizer keeps of the whole picture. Raises ConfigError where no tile fits.
    """
    layers = list(layers)
    grid, halo = margins(variant, layers)
    per_pixel = BYTES_PER_ACTIVATION * _activations(variant, layers)
    fixed = BASE_BYTES + state * height * width * count
    pixels = max(memory * 2**20 - fixed, 0) / per_pixel / count
    if height * width <= pixels:
        return 0
    side = (int(pixels**0.5) - 2 * halo) // grid * grid
    if side < LEAST_TILE:
        least = (min(height * width, (LEAST_TILE + grid + 2 * halo) ** 2) * per_pixel * count + fixed) / 2**20 + 1
        what = f"{width}x{height} pixels with {variant} up to {max(layers)}"
        raise ConfigError(f"memory: {memory} MB are too few for {what}; use {least:.0f} or more")
    return side


def _activations(variant: str, layers: list[str]) -> float:
    """Activations a pixel of the picture, up to the deepest layer."""
    names = layer_names(variant)
    deepest = max(names.index(layer) for layer in layers)
    return sum(WIDTHS[int(name[4]) - 1] / stride(name) ** 2 for name in names[: deepest + 1])


def free_memory(device: torch.device) -> int:
    """Megabytes that a run may take by default: half of what is free."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] / 2**21)
    return max(system.free_memory() // 2**21, LEAST_DEFAULT)
