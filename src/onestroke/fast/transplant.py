"""The weights of one size of our fast network for another size: what matters most of it, or all of it with room to grow."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from onestroke.fast.networks import Chain, Norm, Residual


class Parts:
    """The learning modules of a networks.onestroke, by name. Raises ValueError for another body."""

    def __init__(self, body: Chain) -> None:
        self.stem, self.down, self.up, self.draw, self.head = (part for part in body if isinstance(part, nn.Conv2d))
        self.trunk, self.last = (part for part in body if isinstance(part, Norm))
        self.blocks = [Block(part.branch) for part in body if isinstance(part, Residual)]


class Block:
    """Those of one of its blocks."""

    def __init__(self, branch: Chain) -> None:
        self.first, self.second = (part for part in branch if isinstance(part, nn.Conv2d))
        (self.norm,) = (part for part in branch if isinstance(part, Norm))


@torch.no_grad()
def transplant(source: Chain, target: Chain) -> None:
    """Give `target` the weights of `source`; both are bodies by networks.onestroke, of any widths and numbers of blocks.

    Where the target is narrower, it gets the channels with the largest kernels (Li 2017, "Pruning filters for efficient
    convnets"), where it has fewer blocks, the first ones and the last. Where it is wider, no channel of the source reads
    a new one and a new block adds nothing, so that it paints what the source does (Chen 2016, "Net2Net"); new channels
    keep the weights that they have. Raises ValueError for other bodies.
    """
    old, new = Parts(source), Parts(target)
    blocks = [*old.blocks[: len(new.blocks) - 1], old.blocks[-1]] if len(new.blocks) < len(old.blocks) else old.blocks
    half = _largest(new.stem, _power(old.stem, 0) * _power(old.down, 1))
    read = sum((_power(block.first, 1) + _gain(block.norm) ** 2 for block in old.blocks), _power(old.up, 1))
    quarter = _largest(new.down, _power(old.down, 0) + read)
    upper = _largest(new.up, _power(old.up, 0) * _power(old.draw, 1))
    drawn = _largest(new.draw, _gain(old.last).abs() * _power(old.head, 1))
    rgb, cells = torch.arange(3), torch.arange(len(old.head.weight))
    _fill(new.stem, old.stem, half, rgb)
    _fill(new.down, old.down, quarter, half)
    _fill_norm(new.trunk, old.trunk, quarter)
    for grown, block in zip(new.blocks, blocks, strict=False):
        inner = _largest(grown.first, _power(block.first, 0) * _power(block.second, 1))
        _fill(grown.first, block.first, inner, quarter)
        _fill(grown.second, block.second, quarter, inner)
        _fill_norm(grown.norm, block.norm, quarter)
    for extra in new.blocks[len(blocks) :]:
        extra.norm.affine.zero_()
        extra.norm.slope.zero_()
    _fill(new.up, old.up, upper, quarter)
    _fill(new.draw, old.draw, drawn, upper)
    _fill_norm(new.last, old.last, drawn)
    _fill(new.head, old.head, cells, drawn)


def _power(conv: nn.Conv2d, axis: int) -> Tensor:
    """Sum of the squared weights of each output (axis 0) or input (axis 1) channel."""
    return conv.weight.square().sum([other for other in range(4) if other != axis])


def _gain(norm: Norm) -> Tensor:
    return norm.affine.chunk(2)[0]


def _largest(conv: nn.Conv2d, worth: Tensor) -> Tensor:
    """The channels of the source, in order, that are worth most: as many as `conv` has outputs, or all."""
    return worth.topk(min(len(conv.weight), len(worth))).indices.sort().values


def _fill(target: nn.Conv2d, source: nn.Conv2d, outputs: Tensor, inputs: Tensor) -> None:
    """The source's chosen channels into the target's first ones, which read nothing else."""
    target.weight[: len(outputs)] = 0
    target.weight[: len(outputs), : len(inputs)] = source.weight[outputs][:, inputs]
    target.bias[: len(outputs)] = source.bias[outputs]  # type: ignore[index]


def _fill_norm(target: Norm, source: Norm, channels: Tensor) -> None:
    for into, out in ((target.affine, source.affine), (target.slope, source.slope)):
        into.view(2, -1)[:, : len(channels)] = out.view(2, -1)[:, channels]
