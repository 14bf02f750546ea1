"""What style is measured by: Gram matrices, or mean and covariance, as sums that add up over tiles and regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


def gram(features: Tensor) -> Tensor:
    """Gram matrix [N, C, C] of features [N, C, H, W], divided by H*W so that it does not depend on size; in fp32 or more."""
    return outer_sum(features) / (features.shape[2] * features.shape[3])


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Frobenius distance of each picture's matrices, [N, C, C] to [N]; differentiable where it is zero."""
    return (a - b).square().flatten(1).sum(1).add(1e-12).sqrt()


def outer_sum(features: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sum over positions of w F F^T [N, C, C] for features [N, C, H, W]; weight [1, 1, H, W] or None; fp32 or more."""
    # Positions before channels: a view, not a copy, of the channels_last memory that the features come in.
    flat = features.permute(0, 2, 3, 1).flatten(1, 2)
    # Sums of squares overflow or drown in half precision. GPUs take bf16 factors to sums in fp32; others need fp32 factors.
    if weight is not None or not (flat.is_cuda and flat.dtype == torch.bfloat16):
        flat = flat.to(torch.promote_types(flat.dtype, torch.float32))
    with torch.autocast(features.device.type, enabled=False):  # which would take the product back to half precision
        return _OuterSum.apply(flat, None if weight is None else weight.reshape(1, -1, 1))  # type: ignore[no-any-return]


class _OuterSum(torch.autograd.Function):
    """F^T w F of [N, P, C]. Autograd would multiply by F twice, once for each factor: by symmetry once is enough."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, weight: Tensor | None) -> Tensor:
        ctx.save_for_backward(flat, weight)
        if flat.dtype == torch.bfloat16:
            return torch.bmm(flat.transpose(1, 2), flat, out_dtype=torch.float32)
        return _product(flat.transpose(1, 2), flat if weight is None else flat * weight)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        flat, weight = ctx.saved_tensors
        gradient = _product(flat, (slopes[0] + slopes[0].transpose(1, 2)).to(flat.dtype))
        return gradient if weight is None else gradient * weight, None


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Batched product; a batch of one as a plain one, which is faster."""
    return torch.mm(a[0], b[0])[None] if len(a) == 1 else torch.bmm(a, b)


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
    return distance(a.gram, b.gram)


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
