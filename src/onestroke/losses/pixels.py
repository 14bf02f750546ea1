"""Pixels as pictures hold them, and as networks want them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from onestroke.arrays import Array


def to_float(photos: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] to float [N, 3, H, W] in [0, 1]; the memory stays NHWC, which torch calls channels_last."""
    return photos.permute(0, 3, 1, 2).float() / 255


def tensor(rgb: Array) -> Tensor:
    """One picture, uint8 [H, W, 3], to float [1, 3, H, W] in [0, 1]."""
    return to_float(torch.from_numpy(np.array(rgb))[None]).contiguous()


def to_uint8(pixels: Tensor) -> Array:
    """Float [N, 3, H, W], cut to [0, 1], to uint8 [N, H, W, 3]."""
    levels = (pixels.detach().float().clamp(0, 1) * 255).round().byte()
    return np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy())
