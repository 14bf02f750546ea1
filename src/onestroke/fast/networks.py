"""Transformation networks: a photo in, the stylised photo out, in one forward pass.

To add one: write a body (nn.Module mapping [N, 3, H, W] in [0, 1] to the same shape for H, W multiples of `multiple`),
and give it a line in NETWORKS. Everything else (padding, cropping, training, export, card) follows from that line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from onestroke.errors import ConfigError


class Framed(nn.Module):
    """A body whose input is reflected up to multiples of `multiple` and cropped back: output size equals input size."""

    def __init__(self, body: nn.Module, multiple: int) -> None:
        super().__init__()
        self.body, self.multiple = body, multiple

    def forward(self, x: Tensor) -> Tensor:
        """x [N, 3, H, W] in [0, 1] to [N, 3, H, W] in [0, 1], any H and W >= 16."""
        height, width = x.shape[2:]
        filled = x.index_select(2, self._indices(height, x)).index_select(3, self._indices(width, x))
        stylised: Tensor = self.body(filled)
        return stylised[:, :, :height, :width]

    def _indices(self, length: int, x: Tensor) -> Tensor:
        """Source positions of an axis reflected at its end. Indices, unlike `pad`, export to one cheap Gather node."""
        total = (length + self.multiple - 1) // self.multiple * self.multiple
        return length - 1 - (length - 1 - torch.arange(total, device=x.device)).abs()


def _norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.InstanceNorm2d(channels, affine=True), nn.ReLU(inplace=True))


def _conv(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> nn.Conv2d:
    """Reflection padding: with zeros a network learns where the border is, and draws it (docs/experiments.md)."""
    return nn.Conv2d(inputs, outputs, side, stride, padding=(side - 1) // 2, padding_mode="reflect")


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip (Johnson 2016: no ReLU after the addition)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            *(_conv(channels, channels), _norm_relu(channels)),
            *(_conv(channels, channels), nn.InstanceNorm2d(channels, affine=True)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same shape."""
        return x + self.branch(x)  # type: ignore[no-any-return]


def johnson() -> nn.Module:
    """Johnson 2016 with instance norm, as pytorch/examples writes it: 1,679,235 parameters.

    9x9 convolutions at full resolution, two stride-2 convolutions to 128 channels, five residual blocks, nearest-neighbour
    upsampling, reflection padding. Ours ends in a sigmoid (the paper's scaled tanh), so that values stay in [0, 1].
    """

    return nn.Sequential(
        *(_conv(3, 32, 9), _norm_relu(32)),
        *(_conv(32, 64, 3, 2), _norm_relu(64)),
        *(_conv(64, 128, 3, 2), _norm_relu(128)),
        *(Residual(128) for _ in range(5)),
        *(nn.Upsample(scale_factor=2, mode="nearest"), _conv(128, 64, 3), _norm_relu(64)),
        *(nn.Upsample(scale_factor=2, mode="nearest"), _conv(64, 32, 3), _norm_relu(32)),
        *(_conv(32, 3, 9), nn.Sigmoid()),
    )


def onestroke(half: int = 24, quarter: int = 48, blocks: int = 5) -> nn.Module:
    """Our fast network: everything heavy happens at a quarter of the resolution.

    `half` and `quarter` are channels at 1/2 and 1/4 resolution. A 4x4 stride-2 stem, a residual trunk, one nearest
    upsampling, and a depth-to-space head whose sub-pixel filters start equal (ICNR, Aitken 2017), so that it starts
    without a checkerboard.
    """

    head = _conv(half, 12)
    with torch.no_grad():
        head.weight.copy_(head.weight[::4].repeat_interleave(4, 0))
        head.bias.copy_(head.bias[::4].repeat_interleave(4, 0))  # type: ignore[union-attr, index]
    return nn.Sequential(
        *(_conv(3, half, 4, 2), _norm_relu(half)),
        *(_conv(half, quarter, 3, 2), _norm_relu(quarter)),
        *(Residual(quarter) for _ in range(blocks)),
        *(nn.Upsample(scale_factor=2, mode="nearest"), _conv(quarter, half), _norm_relu(half)),
        *(head, nn.PixelShuffle(2), nn.Sigmoid()),
    )


@dataclass(frozen=True)
class Network:
    """What a network needs, as data: the card is made from it."""

    body: Callable[[], nn.Module]
    multiple: int  # stride of the innermost features
    minimum: int  # smallest side of a picture
    halo: int  # how far, on one side, a pixel sees through the convolutions
    tiling: str  # see ModelCard


NETWORKS = {
    "johnson": Network(johnson, multiple=4, minimum=16, halo=57, tiling="global-statistics"),
    "onestroke": Network(onestroke, multiple=4, minimum=16, halo=50, tiling="global-statistics"),
}


def build(name: str) -> Framed:
    """A fresh network by name. Raises ConfigError for an unknown one."""
    if name not in NETWORKS:
        raise ConfigError(f"network: unknown {name!r}; choose from {', '.join(NETWORKS)}")
    spec = NETWORKS[name]
    return Framed(spec.body(), spec.multiple)
