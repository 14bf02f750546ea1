"""What style is measured by: Gram matrices, or mean and covariance, as sums that add up over tiles and regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from onestroke.losses.gram import outer_sum


@dataclass(frozen=True)
class Moments:
    """Sums over positions of w F F^T ("second", [N, C, C]) and w F ("first", [N, C], where wanted), and of w ("area")."""

    second: Tensor
    first: Tensor | None
    area: float

    def __add__(self, other: Moments) -> Moments:
        first = None if self.first is None or other.first is None else self.first + other.first
        return Moments(self.second + other.second, first, self.area + other.area)

    @property
    def gram(self) -> Tensor:
        """Gram matrix divided by the area [N, C, C]."""
        return self.second / self.area

    @property
    def mean(self) -> Tensor:
        """[N, C]; only where first moments were asked for."""
        assert self.first is not None
        return self.first / self.area

    @property
    def covariance(self) -> Tensor:
        """[N, C, C]; only where first moments were asked for."""
        return self.gram - self.mean[:, :, None] * self.mean[:, None, :]


def moments(features: Tensor, weight: Tensor | None, *, first: bool) -> Moments:
    """Moments of features [N, C, H, W], positions weighted by `weight` [1, 1, H, W] (None: all alike), in fp32 or more."""
    area = float(features.shape[2] * features.shape[3]) if weight is None else float(weight.sum())
    mean = None
    if first:
        mean = (features if weight is None else features * weight).sum(
            (2, 3), dtype=torch.promote_types(features.dtype, torch.float32)
        )
    return Moments(outer_sum(features, weight), mean, area)


def blend(parts: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """Weighted average of several paintings' moments, each per unit of area."""
    share = [w / sum(weights) for w in weights]
    first = None
    if parts[0].first is not None:
        first = torch.stack([s * p.mean for s, p in zip(share, parts, strict=True)]).sum(0)
    second = torch.stack([s * p.gram for s, p in zip(share, parts, strict=True)]).sum(0)
    return Moments(second, first, 1.0)


def gram_distance(a: Moments, b: Moments) -> Tensor:
    """Frobenius distance of Gram matrices [N]; differentiable where it is zero."""
    return (a.gram - b.gram).square().flatten(1).sum(1).add(1e-12).sqrt()


def wasserstein(a: Moments, b: Moments) -> Tensor:
    """Squared Wasserstein-2 distance of the two Gaussians [N]: |m_a - m_b|^2 + tr(A + B - 2 (B^1/2 A B^1/2)^1/2).

    Through eigenvalues alone, whose gradient needs no gaps between them.
    """
    values, vectors = torch.linalg.eigh(b.covariance)
    root = vectors * values.clamp_min(0).sqrt().unsqueeze(-2) @ vectors.transpose(-1, -2)
    inner = root @ a.covariance @ root
    floor = 1e-6 * inner.detach().diagonal(dim1=-2, dim2=-1).mean(-1)[:, None] + 1e-12
    shared = torch.linalg.eigvalsh((inner + inner.transpose(-1, -2)) / 2).clamp_min(0).add(floor).sqrt().sum(-1)
    spread = sum(m.covariance.diagonal(dim1=-2, dim2=-1).sum(-1) for m in (a, b))
    return (a.mean - b.mean).square().sum(-1) + spread - 2 * shared  # type: ignore[no-any-return]
