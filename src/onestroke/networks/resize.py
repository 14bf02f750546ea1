"""The weights of one size of our fast network for another size: what matters most of it, or all of it with room to grow."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from onestroke.networks.layers import Chain, Coarse, Norm, Residual


class Parts:
    """The learning modules of a networks.onestroke, by name. Raises ValueError for another body."""

    def __init__(self, body: Chain) -> None:
        self.stem, self.down, self.up, self.draw, self.head = (part for part in body if isinstance(part, nn.Conv2d))
        self.trunk, self.last = (part for part in body if isinstance(part, Norm))
        coarse = [part for part in body if isinstance(part, Coarse)]
        self.deep = Deep(coarse[0].branch) if coarse else None
        self.blocks = _blocks(body)


class Deep:
    """Those of its branch at 1/8."""

    def __init__(self, branch: Chain) -> None:
        self.entry, self.exit = (part for part in branch if isinstance(part, nn.Conv2d))
        (self.norm,) = (part for part in branch if isinstance(part, Norm))
        self.blocks = _blocks(branch)


class Block:
    """Those of one of its blocks."""

    def __init__(self, branch: Chain) -> None:
        self.first, self.second = (part for part in branch if isinstance(part, nn.Conv2d))
        (self.norm,) = (part for part in branch if isinstance(part, Norm))


def _blocks(chain: Chain) -> list[Block]:
    return [Block(part.branch) for part in chain if isinstance(part, Residual) and not isinstance(part, Coarse)]


@torch.no_grad()
def transplant(source: Chain, target: Chain) -> None:
    """Give `target` the weights of `source`; both are bodies by networks.onestroke, of any widths and numbers of blocks.

    Where the target is narrower, it gets the channels with the largest kernels (Li 2017, "Pruning filters for efficient
    convnets"), where it has fewer blocks, the first ones and the last. Where it is wider, no channel of the source reads
    a new one and a new block adds nothing, so that it paints what the source does (Chen 2016, "Net2Net"); new channels
    keep the weights that they have. Raises ValueError for other bodies, and where only one has a branch at 1/8.
    """
    old, new = Parts(source), Parts(target)
    if (old.deep is None) != (new.deep is None):
        raise ValueError("only one of the two has a branch at 1/8")
    half = _largest(new.stem, _power(old.stem, 0) * _power(old.down, 1))
    read = _power(old.up, 1) + _read(old.blocks)
    if old.deep:
        read = read + _power(old.deep.entry, 1) + _power(old.deep.exit, 0)
    quarter = _largest(new.down, _power(old.down, 0) + read)
    upper = _largest(new.up, _power(old.up, 0) * _power(old.draw, 1))
    drawn = _largest(new.draw, _gain(old.last).abs() * _power(old.head, 1))
    rgb, cells = torch.arange(3), torch.arange(len(old.head.weight))
    _fill(new.stem, old.stem, half, rgb)
    _fill(new.down, old.down, quarter, half)
    _fill_norm(new.trunk, old.trunk, quarter)
    if old.deep and new.deep:
        eighth = _largest(new.deep.entry, _power(old.deep.entry, 0) + _power(old.deep.exit, 1) + _read(old.deep.blocks))
        _fill(new.deep.entry, old.deep.entry, eighth, quarter)
        _fill_norm(new.deep.norm, old.deep.norm, eighth)
        _fill_blocks(new.deep.blocks, old.deep.blocks, eighth)
        _fill(new.deep.exit, old.deep.exit, quarter, eighth)
    _fill_blocks(new.blocks, old.blocks, quarter)
    _fill(new.up, old.up, upper, quarter)
    _fill(new.draw, old.draw, drawn, upper)
    _fill_norm(new.last, old.last, drawn)
    _fill(new.head, old.head, cells, drawn)


def _fill_blocks(new: list[Block], old: list[Block], channels: Tensor) -> None:
    """`channels` of the source go through the blocks."""
    chosen = [*old[: len(new) - 1], old[-1]] if len(new) < len(old) else old
    for grown, block in zip(new, chosen, strict=False):
        inner = _largest(grown.first, _power(block.first, 0) * _power(block.second, 1))
        _fill(grown.first, block.first, inner, channels)
        _fill(grown.second, block.second, channels, inner)
        _fill_norm(grown.norm, block.norm, channels)
    for extra in new[len(chosen) :]:
        extra.norm.affine.zero_()
        extra.norm.slope.zero_()


def _read(blocks: list[Block]) -> Tensor:
    """What each channel of a trunk is worth to its blocks."""
    return sum((_power(block.first, 1) + _gain(block.norm) ** 2 for block in blocks), torch.zeros(()))


def _power(conv: nn.Conv2d, axis: int) -> Tensor:
    """Sum of the squared weights of each output (axis 0) or input (axis 1) channel."""
    return conv.weight.square().sum([other for other in range(4) if other != axis])


def _gain(norm: Norm) -> Tensor:
    """Root mean square over the styles."""
    return norm.affine.chunk(2, 1)[0].square().mean(0).sqrt()


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
        into.view(len(into), 2, -1)[..., : len(channels)] = out.view(len(out), 2, -1)[..., channels]
