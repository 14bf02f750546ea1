"""The sum over positions of F F^T, the one product that styles are measured by, with a gradient as cheap as itself."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def outer_sum(features: Tensor, weight: Tensor | None = None) -> Tensor:
    """Sum over positions of w F F^T [N, C, C] for features [N, C, H, W]; weight [1, 1, H, W] or None; fp32 or more."""
    # Positions before channels: a view, not a copy, of the channels_last memory that the features come in.
    flat = features.permute(0, 2, 3, 1).flatten(1, 2)
    flat = flat.to(torch.promote_types(flat.dtype, torch.float32))  # sums of squares overflow or drown in half precision
    with torch.autocast(features.device.type, enabled=False):  # which would take the product back to half precision
        return _OuterSum.apply(flat, None if weight is None else weight.reshape(1, -1, 1))  # type: ignore[no-any-return]


class _OuterSum(torch.autograd.Function):
    """F^T w F of [N, P, C]. Autograd would multiply by F twice, once for each factor: by symmetry once is enough."""

    @staticmethod
    def forward(ctx: Any, flat: Tensor, weight: Tensor | None) -> Tensor:
        ctx.save_for_backward(flat, weight)
        return _product(flat.transpose(1, 2), flat if weight is None else flat * weight)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None]:
        flat, weight = ctx.saved_tensors
        gradient = _product(flat, slopes[0] + slopes[0].transpose(1, 2))
        return gradient if weight is None else gradient * weight, None


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Batched product; a batch of one as a plain one, which is faster."""
    return torch.mm(a[0], b[0])[None] if len(a) == 1 else torch.bmm(a, b)
