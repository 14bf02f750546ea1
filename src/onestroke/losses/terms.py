"""Single terms (Gatys 2015, Johnson 2016), each divided by what it would cost to do nothing useful.

So every term is about 1 for any style, size, layer and VGG, and weights carry over. Each holds its target and its unit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from onestroke.losses.statistics import distance, gram

# At how many positions of a layer SlicedLoss looks, in a picture and in a style image, and along how many directions.
POSITIONS, OF_PAINTINGS, DIRECTIONS = 1024, 16_384, 128


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
        target, unit = _of(style, self.target), _of(style, self.unit)
        found = gram(features)
        if self.pool > 1:
            found = torch.stack([group.mean(0) for group in torch.split(found, self.pool)])
        return (distance(found, target) / unit).mean()


class SlicedLoss(nn.Module):
    """Sliced Wasserstein distance at one layer (Heitz 2021), for each of S styles; 1.0 = what unstylized photos cost.

    The mean distance of sorted activations along fixed orthogonal directions: two pictures may have the same Gram matrix, one
    flat with a few strong spots and the other full of weak ones, and not the same distributions. Each `pool` pictures in a
    row count as one.
    """

    target: Tensor
    unit: Tensor
    directions: Tensor

    def __init__(self, paintings: Sequence[Tensor], photos: Tensor, pool: int = 1) -> None:
        """Features of the style images, [1, C, H, W] each, and of a sample of photos [N, C, h, w]."""
        super().__init__()
        self.pool = pool
        channels = photos.shape[1]
        drawn = torch.randn(channels, channels, generator=torch.Generator().manual_seed(channels))
        # Neither is stored in checkpoints: both follow from the style images.
        self.register_buffer("directions", torch.linalg.qr(drawn).Q[:, :DIRECTIONS].to(photos.device), persistent=False)
        wanted = [_quantiles(self._sorted(_positions(painting, OF_PAINTINGS)), POSITIONS) for painting in paintings]
        of_photos = [self._sorted(_positions(photo)) for photo in torch.split(photos, 1)]
        self.register_buffer("target", torch.stack(wanted), persistent=False)
        self.register_buffer("unit", torch.stack([torch.stack([_apart(p, w) for p in of_photos]).mean() for w in wanted]))

    def forward(self, features: Tensor, style: int | Tensor = 0) -> Tensor:
        """Features of stylized pictures [N, C, H, W] to a scalar; `style`: which, or the weights [S] of all."""
        target, unit = _of(style, self.target), _of(style, self.unit)
        groups = torch.split(_positions(features), self.pool)
        return torch.stack([_apart(self._sorted(group), target) for group in groups]).mean() / unit

    def _sorted(self, activations: Tensor) -> Tensor:
        """Activations [G, P, C] of pictures that count as one to [directions, G * P], each direction's in order."""
        with torch.autocast(activations.device.type, enabled=False):
            return (self.directions.T @ activations.flatten(0, 1).T).sort(1).values


def _positions(features: Tensor, most: int = POSITIONS) -> Tensor:
    """[N, C, H, W] to [N, P, C] in fp32 or more: all positions, or `most` of them.

    Those at multiples of the golden ratio, which lie evenly and on no grid; the same in each step, and without a generator,
    as CUDA graphs want it.
    """
    flat = features.permute(0, 2, 3, 1).flatten(1, 2)
    count = flat.shape[1]
    if count > most:
        places = torch.arange(most, device=flat.device) * 0.6180339887 % 1 * count
        flat = flat[:, places.long()]
    return _full(flat)


def _quantiles(values: Tensor, count: int) -> Tensor:
    """`count` of the values [D, P], which are in order along each direction, at even steps: [D, count]."""
    return values[:, ((torch.arange(count, device=values.device) + 0.5) * (values.shape[1] / count)).long()]


def _apart(found: Tensor, target: Tensor) -> Tensor:
    """Mean distance of values [D, P] and [D, Q], both in order, quantile by quantile."""
    return (found - _quantiles(target, found.shape[1])).abs().mean()


def _of(style: int | Tensor, each: Tensor) -> Tensor:
    """What is held for each style [S, ...], of one style or mixed by the weights [S] of all."""
    return torch.tensordot(style, each, 1) if isinstance(style, Tensor) else each[style]


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
