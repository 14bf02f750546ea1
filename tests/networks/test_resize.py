"""Weights of one size of a network for another."""

import pytest
import torch
from moved import moved

from onestroke.networks import layers
from onestroke.networks import registry as networks
from onestroke.networks.resize import Parts, transplant

WIDE = {"half": 24, "quarter": 32, "inner": 24, "blocks": 4, "upper": 12, "eighth": 40, "deep_inner": 20, "deep_blocks": 3}
NARROW = {"half": 16, "quarter": 24, "inner": 16, "blocks": 3, "upper": 8, "eighth": 32, "deep_inner": 12, "deep_blocks": 2}


def painter(seed, widths):
    torch.manual_seed(seed)
    return moved(layers.Framed(networks.onestroke(**widths), cell=2, solid=0.5), seed)


def differ(one, other):
    photo = torch.rand(2, 3, 45, 58)
    with torch.no_grad():
        return max(float((one(photo, s) - other(photo, s)).abs().max()) for s in (torch.tensor(0.8), torch.tensor(1.4)))


@pytest.mark.parametrize("more", [*([name] for name in NARROW), list(NARROW)])
def test_a_wider_network_paints_the_same_and_learns_with_all_it_has(more):
    source, target = painter(1, NARROW), painter(2, NARROW | {name: WIDE[name] for name in more})
    transplant(source.body, target.body)
    assert differ(source, target) < 1e-5
    learning = torch.optim.SGD(target.parameters(), 0.1)
    for _ in range(3):  # the first steps let new channels be read, the last reaches what is in them
        learning.step()
        learning.zero_grad()
        target(torch.rand(1, 3, 32, 32), torch.tensor(0.8)).square().mean().backward()
    for kernels in (parameter for parameter in target.parameters() if parameter.ndim == 4):
        assert (kernels.grad != 0).float().mean() > 0.9


def silence(body, width):
    """Let nothing write or read what is too much of a width, here and there; of blocks, the last but one."""
    parts = Parts(body)
    if width.endswith("blocks"):
        blocks = parts.blocks if width == "blocks" else parts.deep.blocks
        blocks[-2].norm.affine.zero_()
        blocks[-2].norm.slope.zero_()
        return
    deep = parts.deep
    outputs, inputs, norms = {
        "half": ([parts.stem], [parts.down], []),
        "drawn": ([parts.draw], [parts.head], [parts.last]),
        "quarter": (
            [parts.down, deep.exit, *(block.second for block in parts.blocks)],
            [parts.up, deep.entry, *(block.first for block in parts.blocks)],
            [block.norm for block in parts.blocks],
        ),
        "inner": ([block.first for block in parts.blocks], [block.second for block in parts.blocks], []),
        "eighth": (
            [deep.entry, *(block.second for block in deep.blocks)],
            [deep.exit, *(block.first for block in deep.blocks)],
            [block.norm for block in deep.blocks],
        ),
        "deep_inner": ([block.first for block in deep.blocks], [block.second for block in deep.blocks], []),
        "upper": ([parts.up], [parts.draw], []),
    }[width]
    name = "half" if width == "drawn" else width
    some = torch.randperm(WIDE[name])[NARROW[name] :]
    for conv in outputs:
        conv.weight[some] = 0
    for conv in inputs:
        conv.weight[:, some] = 0
    for norm in norms:
        norm.affine.view(2, -1)[0, some] = 0


@pytest.mark.parametrize("less", [["half", "drawn"], *([name] for name in list(NARROW)[1:]), [*NARROW, "drawn"]])
def test_what_a_network_does_not_use_is_cut_away(less):
    source = painter(1, WIDE)
    target = painter(2, WIDE | {name: NARROW[name] for name in less if name in NARROW})
    with torch.no_grad():
        for name in less:
            silence(source.body, name)
    transplant(source.body, target.body)
    assert differ(source, target) < 1e-5


def test_other_networks_are_refused():
    with pytest.raises(ValueError):
        transplant(networks.johnson(), networks.onestroke(**NARROW))
    with pytest.raises(ValueError):
        transplant(networks.onestroke(**NARROW | {"eighth": 0}), networks.onestroke(**NARROW))
