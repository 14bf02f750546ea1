"""Inputs and outputs of an exported network: floats, or pixels as pictures hold them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from onestroke.networks.layers import Centered, Chain, Framed, Look


class FloatIO(nn.Module):
    """float [N, 3, H, W] in [0, 1], in and out."""

    def __init__(self, net: Framed) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, strength: Tensor, styles: Tensor | None = None) -> Tensor:
        """See the class."""
        return self.net.pixels(image, _look(strength, styles))

    def unfold(self) -> None:
        """Nothing is folded here."""


class UInt8IO(nn.Module):
    """uint8 [N, H, W, 3], in and out, arranged as ONNX Runtime does it fastest (docs/performance.md).

    The scale of the input is folded into the first convolution. Values leave ONNX Runtime's blocked layout as [N, h, w, C],
    in which rows of cells are slices; depth-to-space and the way back to [H, W, 3] would be two slow transpositions.
    """

    def __init__(self, net: Framed) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        start, *others = self.net.body
        self.centered = start if isinstance(start, Centered) else None
        if self.centered:
            self.centered.fold_into(self._first())
            self.net.body = Chain(*others)
        self._first().weight.data /= 255

    def forward(self, image: Tensor, strength: Tensor, styles: Tensor | None = None) -> Tensor:
        """See the class."""
        height, width = image.shape[1:3]
        cells = self.net.cells(image.permute(0, 3, 1, 2).float(), _look(strength, styles))
        levels = (cells.permute(0, 2, 3, 1) * 255 + 0.5).to(torch.uint8)
        n, h, w, _ = levels.shape
        cell = self.net.cell
        pixels = torch.stack(levels.chunk(cell, -1), 2).reshape(n, h * cell, w * cell, 3) if cell > 1 else levels
        return pixels[:, :height, :width]

    def _first(self) -> nn.Conv2d:
        return next(module for module in self.net.body.modules() if isinstance(module, nn.Conv2d))

    def unfold(self) -> None:
        """Give the network its own weights back."""
        self._first().weight.data *= 255
        if self.centered:
            self.centered.unfold_from(self._first())


def _look(strength: Tensor, styles: Tensor | None) -> Look:
    return Look(strength, strength.new_ones(1) if styles is None else styles)


WRAPPERS: dict[str, type[FloatIO] | type[UInt8IO]] = {"uint8": UInt8IO, "float": FloatIO}
