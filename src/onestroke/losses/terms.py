"""Single terms (Gatys 2015, Johnson 2016), each divided by what it would cost to do nothing useful.

So every term is about 1 for any style, size, layer and VGG, and weights carry over. Each holds its target and its unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from onestroke.losses.statistics import distance, gram


def _full(x: Tensor) -> Tensor:
    """At least fp32: sums of squares overflow or drown in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


class StyleLoss(nn.Module):
    """Distance of Gram matrices at one layer, for each of S styles; 1.0 = what unstylized photos cost on average.

    The distance, not its square: squared Grams grow with the fourth power of the activations, so a few bright photos
    would rule the mean (docs/experiments.md measures both). The Grams of each `pool` pictures in a row are averaged first,
    so that each picture may take its share of the palette.
    """

    target: Tensor
    unit: Tensor

    def __init__(self, paintings: Sequence[Tensor], photos: Tensor, pool: int = 1) -> None:
        """Features of the style images, [1, C, H, W] each, and of a sample of photos [N, C, h, w]."""
        super().__init__()
        self.pool = pool
        self.register_buffer("target", torch.cat([gram(painting) for painting in paintings]))
        of_photos = gram(photos)
        self.register_buffer("unit", torch.stack([distance(of_photos, target).mean() for target in self.target]))

    def forward(self, features: Tensor, style: int | Tensor = 0) -> Tensor:
        """Features of stylized pictures [N, C, H, W] to a scalar; `style`: which, or the weights [S] of all."""
        if isinstance(style, Tensor):
            target, unit = (style.view(-1, 1, 1) * self.target).sum(0), (style * self.unit).sum()
        else:
            target, unit = self.target[style], self.unit[style]
        found = gram(features)
        if self.pool > 1:
            found = torch.stack([group.mean(0) for group in torch.split(found, self.pool)])
        return (distance(found, target) / unit).mean()


class ContentLoss(nn.Module):
    """Squared distance of activations at one layer; 1.0 = what photos with scrambled positions cost on average.

    Two independent positions of a channel differ by twice its spatial variance: that is the unit.
    """

    unit: Tensor

    def __init__(self, photos: Tensor) -> None:
        """Features of a sample of photos [N, C, H, W]."""
        super().__init__()
        self.register_buffer("unit", 2 * _full(photos).var((2, 3), unbiased=False).mean())

    def forward(self, features: Tensor, wanted: Tensor) -> Tensor:
        """Features of stylized pictures and of their photos, both [N, C, H, W], to a scalar."""
        return (_full(features) - _full(wanted)).square().mean() / self.unit


def total_variation(x: Tensor) -> Tensor:
    """Mean absolute difference of neighbors, of pictures [N, 3, H, W] in [0, 1] (anisotropic, L1), to a scalar."""
    x = _full(x)
    return (x[..., 1:, :] - x[..., :-1, :]).abs().mean() + (x[..., 1:] - x[..., :-1]).abs().mean()


class TotalVariationLoss(nn.Module):
    """Total variation; 1.0 = that of unstylized photos."""

    unit: Tensor

    def __init__(self, photos: Tensor) -> None:
        """A sample of photos [N, 3, H, W] in [0, 1]."""
        super().__init__()
        self.register_buffer("unit", total_variation(photos))

    def forward(self, x: Tensor) -> Tensor:
        """Stylized pictures [N, 3, H, W] in [0, 1] to a scalar."""
        return total_variation(x) / self.unit
