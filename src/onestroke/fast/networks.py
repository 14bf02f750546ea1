"""Transformation networks: a photo in, the stylised photo out, in one forward pass.

To add one: write a body (nn.Module mapping [N, 3, H, W] in [0, 1] to the same shape for H, W multiples of `multiple`),
and give it a line in NETWORKS. Everything else (padding, cropping, training, export, card) follows from that line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onestroke.errors import ConfigError


class Norm(nn.Module):
    """Instance norm whose gains and biases move with the strength: affine + (strength - 1) * slope.

    So one network holds a family of strengths, at no cost (conditional instance norm, Dumoulin 2017, along a line).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.affine = nn.Parameter(torch.cat([torch.ones(channels), torch.zeros(channels)]))
        self.slope = nn.Parameter(torch.zeros(2 * channels))

    def forward(self, x: Tensor, strength: Tensor) -> Tensor:
        """x [N, C, H, W] to the same shape; strength: a scalar."""
        gain, bias = (self.affine + (strength - 1) * self.slope).chunk(2)
        return F.instance_norm(x, weight=gain, bias=bias)


class Chain(nn.Sequential):
    """Modules in turn; those that know a strength are told it."""

    def forward(self, x: Tensor, strength: Tensor) -> Tensor:  # type: ignore[override]
        """x [N, C, H, W]; strength: a scalar."""
        for module in self:
            x = module(x, strength) if isinstance(module, Norm | Chain | Residual) else module(x)
        return x


class Residual(nn.Module):
    """x + branch(x), with no ReLU after the addition (Johnson 2016)."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = Chain(*branch)

    def forward(self, x: Tensor, strength: Tensor) -> Tensor:
        """x [N, C, H, W] to the same shape; strength: a scalar."""
        return x + self.branch(x, strength)  # type: ignore[no-any-return]


class Framed(nn.Module):
    """What every network shares: its body, the last steps to pixels, the crop to the size of the photo, the strength.

    `body` maps [N, 3, H, W] in [0, 1] to [N, 3 * cell**2, h, w], where h >= H / cell and w >= W / cell: before the sigmoid,
    each position holding a cell of cell x cell pixels, its channels in the order row, column, rgb. From strength
    `solid` on, the result is the body's; below it the photo shines through, more and more, until at 0 it is all there is.
    """

    def __init__(self, body: Chain, cell: int, solid: float) -> None:
        super().__init__()
        self.body, self.cell, self.solid = body, cell, solid

    def forward(self, x: Tensor, strength: Tensor | None = None) -> Tensor:
        """x [N, 3, H, W] in [0, 1] to [N, 3, H, W] in [0, 1], any H and W >= 16; strength: a scalar, 1.0 if left out."""
        if strength is None:
            return self.pixels(x, x.new_ones(()))
        painted = self.pixels(x, strength)
        return x + (strength / self.solid).clamp_max(1) * (painted - x)

    def pixels(self, x: Tensor, strength: Tensor) -> Tensor:
        """As forward, without the photo shining through."""
        cells = self.cells(x, strength)
        n, _, h, w = cells.shape
        by_colour = cells.view(n, self.cell**2, 3, h, w).transpose(1, 2).flatten(1, 2)  # as pixel_shuffle wants them
        return F.pixel_shuffle(by_colour, self.cell)[:, :, : x.shape[2], : x.shape[3]]

    def cells(self, x: Tensor, strength: Tensor) -> Tensor:
        """The body's output as values in [0, 1]: what export arranges into pixels in its own way."""
        return torch.sigmoid(self.body(x, strength))


def _conv(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> nn.Conv2d:
    """Reflection padding: with zeros a network learns where the border is, and draws it (docs/experiments.md)."""
    return nn.Conv2d(inputs, outputs, side, stride, padding=(side - 1) // 2, padding_mode="reflect")


def _instance_norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.InstanceNorm2d(channels, affine=True), nn.ReLU(inplace=True))


class Centred(nn.Module):
    """Values in [0, 1] to about zero mean and unit spread, in which optimisers learn faster."""

    mean, gain = 0.45, 4.0

    def forward(self, x: Tensor) -> Tensor:
        """[N, 3, H, W] to the same shape."""
        return (x - self.mean) * self.gain

    def fold_into(self, conv: nn.Conv2d) -> None:
        """Let `conv`, which follows and pads with no zeros, do it: a scale of its weights and a shift of its biases."""
        conv.bias.data -= self.mean * self.gain * conv.weight.data.sum((1, 2, 3))  # type: ignore[union-attr]
        conv.weight.data *= self.gain

    def unfold_from(self, conv: nn.Conv2d) -> None:
        """The reverse of fold_into."""
        conv.weight.data /= self.gain
        conv.bias.data += self.mean * self.gain * conv.weight.data.sum((1, 2, 3))  # type: ignore[union-attr]


def johnson() -> Chain:
    """Johnson 2016 with instance norm, as pytorch/examples writes it: 1,679,235 parameters.

    9x9 convolutions at full resolution, two stride-2 convolutions to 128 channels, five residual blocks, nearest-neighbour
    upsampling, reflection padding. Ours ends in a sigmoid (the paper's scaled tanh), so that values stay in [0, 1].
    """

    def block() -> Residual:
        return Residual(_conv(128, 128), _instance_norm_relu(128), _conv(128, 128), nn.InstanceNorm2d(128, affine=True))

    return Chain(
        *(_conv(3, 32, 9), _instance_norm_relu(32)),
        *(_conv(32, 64, 3, 2), _instance_norm_relu(64)),
        *(_conv(64, 128, 3, 2), _instance_norm_relu(128)),
        *(block() for _ in range(5)),
        *(nn.Upsample(scale_factor=2, mode="nearest"), _conv(128, 64), _instance_norm_relu(64)),
        *(nn.Upsample(scale_factor=2, mode="nearest"), _conv(64, 32), _instance_norm_relu(32)),
        _conv(32, 3, 9),
    )


def onestroke(half: int, quarter: int, inner: int, blocks: int, upper: int) -> Chain:
    """Our fast network: everything heavy happens at a quarter of the resolution.

    `half` and `quarter` are channels at 1/2 and 1/4 resolution, `inner` those between the two convolutions of a block,
    `upper` those that are upsampled: what comes before costs a quarter of what comes after. A
    4x4 stride-2 stem, a residual trunk, one nearest upsampling, and a head that draws cells of 2x2 pixels, whose filters
    start equal (ICNR, Aitken 2017), so that it starts without a checkerboard.

    ONNX Runtime runs convolutions and ReLUs in a layout of its own, which reflection padding and instance norm leave. So
    both stand together, where a block ends: a block reflects once, by as much as its two convolutions take away
    (docs/performance.md).
    """

    def block() -> Residual:
        branch = (nn.Conv2d(quarter, inner, 3), nn.ReLU(inplace=True), nn.Conv2d(inner, quarter, 3))
        return Residual(nn.ReflectionPad2d(2), *branch, Norm(quarter))

    head = nn.Conv2d(half, 12, 3)
    with torch.no_grad():
        head.weight.copy_(head.weight[:3].repeat(4, 1, 1, 1))
        head.bias.copy_(head.bias[:3].repeat(4))  # type: ignore[union-attr, index]
    return Chain(
        # Three pixels for the two strides at the left and top; at the right and bottom also for sizes that 4 does not divide.
        *(Centred(), nn.ReflectionPad2d((3, 4, 3, 4)), nn.Conv2d(3, half, 4, 2), nn.ReLU(inplace=True)),
        *(nn.Conv2d(half, quarter, 3, 2), Norm(quarter), nn.ReLU(inplace=True)),
        *(block() for _ in range(blocks)),
        *(nn.ReflectionPad2d(1), nn.Conv2d(quarter, upper, 1), nn.Upsample(scale_factor=2, mode="nearest")),
        *(nn.Conv2d(upper, half, 3), Norm(half), nn.ReLU(inplace=True), head),
    )


@dataclass(frozen=True)
class Network:
    """What a network needs, as data: the card is made from it."""

    body: Callable[[], Chain]
    cell: int  # side, in pixels, of what one position of the body's output holds
    multiple: int  # stride of the innermost features
    halo: int  # how far, on one side, a pixel sees through the convolutions
    rate: float = 0.04  # Muon's peak learning rate, the best of those tried
    minimum: int = 16  # smallest side of a picture
    solid: float = 0.5  # strength from which on no photo shines through
    strongest: float = 1.5  # largest strength it is trained for
    tiling: str = "global-statistics"  # see ModelCard
    start: str = ""  # the style in the box whose weights a new one begins with; none: random weights


# The same style begins all sizes of `onestroke`: fast/transplant.py makes it narrower or wider.
BASE = "composition_vii"
NETWORKS = {
    "johnson": Network(johnson, cell=1, multiple=4, halo=57, rate=0.01, solid=1.0, strongest=1.0),
    "tiny": Network(
        partial(onestroke, half=16, quarter=32, inner=16, blocks=3, upper=16), cell=2, multiple=4, halo=34, start=BASE
    ),
    "onestroke": Network(
        partial(onestroke, half=32, quarter=48, inner=32, blocks=4, upper=16), cell=2, multiple=4, halo=42, start=BASE
    ),
    "large": Network(
        partial(onestroke, half=32, quarter=64, inner=64, blocks=5, upper=48), cell=2, multiple=4, halo=50, start=BASE
    ),
}


def entry(name: str) -> Network:
    """What NETWORKS says of a network. Raises ConfigError for an unknown one."""
    if name not in NETWORKS:
        raise ConfigError(f"network: unknown {name!r}; choose from {', '.join(NETWORKS)}")
    return NETWORKS[name]


def build(name: str) -> Framed:
    """A fresh network by name. Raises ConfigError for an unknown one."""
    spec = entry(name)
    return Framed(spec.body(), spec.cell, spec.solid)
