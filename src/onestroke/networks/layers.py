"""What transformation networks are made of, and what all of them share (Framed)."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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

    def look(self, like: Tensor, strength: Tensor | None = None, style: int | Tensor = 0) -> Look:
        """One of the styles alone, or all by weights [S], at a strength (1.0 if left out), on the device of `like`."""
        weights = style
        if not isinstance(weights, Tensor):
            weights = F.one_hot(torch.tensor(weights, device=like.device), self.styles).to(like.dtype)
        return Look(like.new_ones(()) if strength is None else strength, weights)

    def forward(self, x: Tensor, strength: Tensor | None = None, style: int | Tensor = 0) -> Tensor:
        """x [N, 3, H, W] in [0, 1] to [N, 3, H, W] in [0, 1], any H and W from the network's minimum on.

        strength: a scalar, 1.0 if left out; style: which of the network's styles, or the weights [S] of all.
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


class Centered(nn.Module):
    """Values in [0, 1] to about zero mean and unit spread, in which optimizers learn faster."""

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
