"""Our fast network, in three widths."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from onestroke.networks.layers import EPSILON, Centered, Chain, Coarse, Norm, Residual


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
        *(Centered(), nn.ReflectionPad2d((3, 4, 3, 4)), nn.Conv2d(3, half, 4, 2), nn.ReLU(inplace=True)),
        *(nn.Conv2d(half, quarter, 3, 2), norm(quarter), nn.ReLU(inplace=True)),
        *([coarse()] if eighth else []),
        *(block(quarter, inner) for _ in range(blocks)),
        *(nn.ReflectionPad2d(1), nn.Conv2d(quarter, upper, 1), nn.Upsample(scale_factor=2, mode="nearest")),
        *(nn.Conv2d(upper, half, 3), norm(half), nn.ReLU(inplace=True), head),
    )
