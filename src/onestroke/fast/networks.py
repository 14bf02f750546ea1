"""Transformation networks: a photo in, the stylized photo out, in one forward pass.

To add one: write a function that returns its body (a Chain from [N, 3, H, W] in [0, 1] to cells of pixels, see Framed),
and give it a line in NETWORKS. Everything else (training, export, card) follows from that line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onestroke.errors import ConfigError

# Added to a variance before it divides. Flat parts of a photo have next to none, and rounding would be painted there.
EPSILON = 1e-3


class Look(NamedTuple):
    """What a network is asked to paint: how strongly (a scalar), and how much of each of its S styles ([S], sum 1)."""

    strength: Tensor
    styles: Tensor


class Norm(nn.Module):
    """Instance norm with gains and biases of their own for every style, which move along a line with the strength.

    One network so holds many styles and, of each, a family of strengths, at no cost (conditional instance norm, Dumoulin
    2017). A mix of styles is a mix of their gains and biases.
    """

    def __init__(self, channels: int, styles: int = 1, epsilon: float = EPSILON) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.affine = nn.Parameter(torch.cat([torch.ones(channels), torch.zeros(channels)]).repeat(styles, 1))
        self.slope = nn.Parameter(torch.zeros(styles, 2 * channels))

    def forward(self, x: Tensor, look: Look) -> Tensor:
        """x [N, C, H, W] to the same shape."""
        of_each = self.affine + (look.strength - 1) * self.slope
        gain, bias = (of_each[0] if len(of_each) == 1 else look.styles @ of_each).chunk(2)
        return F.instance_norm(x, weight=gain, bias=bias, eps=self.epsilon)

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Also takes what version 0.1 saved, which knew one style and had no dimension for it."""
        for name in ("affine", "slope"):
            if (key := prefix + name) in state and state[key].ndim == 1:
                state[key] = state[key][None]
        super()._load_from_state_dict(state, prefix, *rest)


class Chain(nn.Sequential):
    """Modules in turn; those that know a look are told it."""

    def forward(self, x: Tensor, look: Look) -> Tensor:  # type: ignore[override]
        """x [N, C, H, W]."""
        for module in self:
            x = module(x, look) if isinstance(module, Norm | Chain | Residual) else module(x)
        return x


class Residual(nn.Module):
    """x + branch(x), with no ReLU after the addition (Johnson 2016)."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = Chain(*branch)

    def forward(self, x: Tensor, look: Look) -> Tensor:
        """x [N, C, H, W] to the same shape."""
        return x + self.branch(x, look)  # type: ignore[no-any-return]


class Coarse(Residual):
    """x + branch(x), where the branch works at half the resolution of x: enlarged bilinearly, and cropped to odd sizes."""

    def forward(self, x: Tensor, look: Look) -> Tensor:
        """x [N, C, H, W] to the same shape."""
        large = F.interpolate(self.branch(x, look), scale_factor=2, mode="bilinear")
        return x + large[:, :, : x.shape[2], : x.shape[3]]


class Framed(nn.Module):
    """What every network shares: its body, the last steps to pixels, the crop to the size of the photo, the look.

    `body` maps [N, 3, H, W] in [0, 1] to [N, 3 * cell**2, h, w], where h >= H / cell and w >= W / cell: before the sigmoid,
    each position holding a cell of cell x cell pixels, its channels in the order row, column, rgb. From strength
    `solid` on, the result is the body's; below it the painting is blended with the photo, until at 0 that is all there is.
    """

    def __init__(self, body: Chain, cell: int, solid: float, styles: int = 1) -> None:
        super().__init__()
        self.body, self.cell, self.solid, self.styles = body, cell, solid, styles

    def look(self, like: Tensor, strength: Tensor | None = None, style: int = 0) -> Look:
        """One of the styles alone, at a strength (1.0 if left out), on the device of `like`."""
        weights = F.one_hot(torch.tensor(style, device=like.device), self.styles).to(like.dtype)
        return Look(like.new_ones(()) if strength is None else strength, weights)

    def forward(self, x: Tensor, strength: Tensor | None = None, style: int = 0) -> Tensor:
        """x [N, 3, H, W] in [0, 1] to [N, 3, H, W] in [0, 1], any H and W from the network's minimum on.

        strength: a scalar, 1.0 if left out; style: which of the network's styles.
        """
        painted = self.pixels(x, self.look(x, strength, style))
        return painted if strength is None else x + (strength / self.solid).clamp_max(1) * (painted - x)

    def pixels(self, x: Tensor, look: Look) -> Tensor:
        """As forward, without the blend."""
        cells = self.cells(x, look)
        n, _, h, w = cells.shape
        by_color = cells.view(n, self.cell**2, 3, h, w).transpose(1, 2).flatten(1, 2)  # as pixel_shuffle wants them
        return F.pixel_shuffle(by_color, self.cell)[:, :, : x.shape[2], : x.shape[3]]

    def cells(self, x: Tensor, look: Look) -> Tensor:
        """The body's output as values in [0, 1]: what export arranges into pixels in its own way."""
        return torch.sigmoid(self.body(x, look))


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


def johnson(styles: int = 1) -> Chain:
    """Johnson 2016 with instance norm, as pytorch/examples writes it: 1,679,235 parameters.

    9x9 convolutions at full resolution, two stride-2 convolutions to 128 channels, five residual blocks, nearest-neighbour
    upsampling, reflection padding. Ours ends in a sigmoid (the paper's scaled tanh), so that values stay in [0, 1].
    Raises ConfigError for more than one style.
    """
    if styles > 1:
        raise ConfigError(f"network: johnson learns one style, not {styles}; use onestroke")

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


def onestroke(
    half: int,
    quarter: int,
    inner: int,
    blocks: int,
    upper: int,
    eighth: int = 0,
    deep_inner: int = 0,
    deep_blocks: int = 0,
    styles: int = 1,
    epsilon: float = EPSILON,
) -> Chain:
    """Our fast network: everything heavy happens at a quarter and at an eighth of the resolution.

    `half`, `quarter` and `eighth` are channels at 1/2, 1/4 and 1/8 of the resolution, `inner` and `deep_inner` those between
    the two convolutions of a block, `upper` those that are upsampled: what comes before costs a quarter of what comes
    after. A 4x4 stride-2 stem, a branch at 1/8 (none where `eighth` is 0) that sees large structure for a quarter of the
    cost, a residual trunk at 1/4, one nearest upsampling, and a head that draws cells of 2x2 pixels, whose filters start
    equal (ICNR, Aitken 2017), so that it starts without a checkerboard.

    ONNX Runtime runs convolutions and ReLUs in a layout of its own, which reflection padding and instance norm leave. So
    both stand together, where a block ends: a block reflects once, by as much as its two convolutions take away
    (docs/performance.md).
    """
    norm = partial(Norm, styles=styles, epsilon=epsilon)

    def block(channels: int, inner: int) -> Residual:
        branch = (nn.Conv2d(channels, inner, 3), nn.ReLU(inplace=True), nn.Conv2d(inner, channels, 3))
        return Residual(nn.ReflectionPad2d(2), *branch, norm(channels))

    def coarse() -> Coarse:
        entry = (nn.ReflectionPad2d(1), nn.Conv2d(quarter, eighth, 3, 2), norm(eighth), nn.ReLU(inplace=True))
        return Coarse(*entry, *(block(eighth, deep_inner) for _ in range(deep_blocks)), nn.Conv2d(eighth, quarter, 1))

    head = nn.Conv2d(half, 12, 3)
    with torch.no_grad():
        head.weight.copy_(head.weight[:3].repeat(4, 1, 1, 1))
        head.bias.copy_(head.bias[:3].repeat(4))  # type: ignore[union-attr, index]
    return Chain(
        # Three pixels for the two strides at the left and top; at the right and bottom also for sizes that 4 does not divide.
        *(Centred(), nn.ReflectionPad2d((3, 4, 3, 4)), nn.Conv2d(3, half, 4, 2), nn.ReLU(inplace=True)),
        *(nn.Conv2d(half, quarter, 3, 2), norm(quarter), nn.ReLU(inplace=True)),
        *([coarse()] if eighth else []),
        *(block(quarter, inner) for _ in range(blocks)),
        *(nn.ReflectionPad2d(1), nn.Conv2d(quarter, upper, 1), nn.Upsample(scale_factor=2, mode="nearest")),
        *(nn.Conv2d(upper, half, 3), norm(half), nn.ReLU(inplace=True), head),
    )


@dataclass(frozen=True)
class Network:
    """What a network needs, as data: the card is made from it."""

    body: Callable[..., Chain]  # of the number of styles
    cell: int  # side, in pixels, of what one position of the body's output holds
    multiple: int  # stride of the innermost features
    halo: int  # how far, on one side, a pixel sees through the convolutions
    rate: float = 0.04  # Muon's peak learning rate, the best of those tried
    minimum: int = 24  # smallest side of a picture
    solid: float = 0.5  # strength from which on the painting is not blended with the photo
    strongest: float = 1.5  # largest strength it is trained for
    tiling: str = "global-statistics"  # see ModelCard
    start: str = ""  # the model whose weights a new style begins with; none: random weights


# The same weights begin all sizes of `onestroke`: fast/transplant.py makes them narrower or wider.
BASE = "composition_vii"
NETWORKS = {
    "johnson": Network(johnson, cell=1, multiple=4, halo=57, rate=0.01, minimum=16, solid=1.0, strongest=1.0),
    "tiny": Network(
        partial(onestroke, half=16, quarter=24, inner=16, blocks=1, upper=8, eighth=48, deep_inner=32, deep_blocks=3),
        cell=2, multiple=8, halo=78, start=BASE,
    ),
    "onestroke": Network(
        partial(onestroke, half=16, quarter=32, inner=16, blocks=2, upper=16, eighth=80, deep_inner=48, deep_blocks=4),
        cell=2, multiple=8, halo=102, start=BASE,
    ),
    "large": Network(
        partial(onestroke, half=32, quarter=48, inner=32, blocks=3, upper=32, eighth=96, deep_inner=64, deep_blocks=5),
        cell=2, multiple=8, halo=126, start=BASE,
    ),
}  # fmt: skip
# The networks of version 0.1, so that its checkpoints and models still open. They had the same names.
_old = partial(onestroke, epsilon=1e-5)
OLD = {
    "tiny-0.1": Network(partial(_old, half=16, quarter=32, inner=16, blocks=3, upper=16), 2, 4, halo=34, minimum=16),
    "onestroke-0.1": Network(partial(_old, half=32, quarter=48, inner=32, blocks=4, upper=16), 2, 4, halo=42, minimum=16),
    "large-0.1": Network(partial(_old, half=32, quarter=64, inner=64, blocks=5, upper=48), 2, 4, halo=50, minimum=16),
}


def entry(name: str) -> Network:
    """What NETWORKS, or OLD, says of a network. Raises ConfigError for an unknown one."""
    known = NETWORKS | OLD
    if name not in known:
        raise ConfigError(f"network: unknown {name!r}; choose from {', '.join(NETWORKS)}")
    return known[name]


def build(name: str, styles: int = 1) -> Framed:
    """A fresh network by name, for a number of styles. Raises ConfigError for an unknown one."""
    spec = entry(name)
    return Framed(spec.body(styles=styles), spec.cell, spec.solid, styles)


def name_of(name: str, state: Mapping[str, Any]) -> str:
    """The network that a saved state is of: `name`, or its namesake of version 0.1, which had no branch at 1/8."""
    old = f"{name}-0.1"
    nested = any(key.count(".branch.") > 1 for key in state)
    return old if old in OLD and not nested else name
