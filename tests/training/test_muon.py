import copy

import pytest
import torch
from torch import nn

from onestroke.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (16, 16)])
def test_an_update_keeps_its_directions_and_evens_their_sizes(shape):
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    update = u @ torch.diag(torch.linspace(1, 20, min(shape))) @ v
    evened = orthogonalised(update[None])[0]
    sizes = u.T @ evened @ v.T
    assert (sizes - torch.diag(sizes.diag())).abs().max() < 1e-4
    assert sizes.diag().min() > 0.6 and sizes.diag().max() < 1.3


def _net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8, affine=True), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
    )


def _train(net, optimizer, steps, start=0):
    for step in range(start, start + steps):
        x = torch.rand(2, 3, 12, 12, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        (net(x) - x.mean(1, keepdim=True)[..., 3:-3, 3:-3]).square().mean().backward()
        optimizer.step()


def test_the_first_step_by_hand():
    """Nesterov's first update is the gradient times a number, which orthogonalising forgets."""
    net = nn.Conv2d(2, 4, 1, bias=False)
    before = net.weight.detach().clone()
    net.weight.grad = torch.randn(4, 2, 1, 1)
    wanted = before - 0.1 * (4 / 2) ** 0.5 * orthogonalised(net.weight.grad.flatten(1)[None])[0].view(4, 2, 1, 1)
    Muon(net.parameters(), lr=0.1).step()
    assert torch.allclose(net.weight, wanted, atol=1e-5)


def test_gains_and_biases_go_by_adam():
    ours, theirs = _net(), _net()
    muon, adam = Muon(ours.parameters(), lr=0.02), torch.optim.Adam([p for p in theirs.parameters() if p.ndim == 1], lr=0.002)
    generator = torch.Generator().manual_seed(3)
    for _ in range(5):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()
        muon.step()
        adam.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.ndim == 4 or torch.allclose(p, q, atol=1e-6)


def test_kernels_of_one_shape_do_not_mix():
    """Two kernels of the same shape step as they would alone."""
    together, alone = _net(), _net()
    one, others = Muon(together.parameters()), [Muon([p]) for p in alone.parameters()]
    for seed in range(3):
        for p, q in zip(together.parameters(), alone.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(seed))
            q.grad = p.grad.clone()
        one.step()
        for other in others:
            other.step()
    for p, q in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-6)


def test_a_saved_state_goes_on_exactly():
    whole, part = _net(), _net()
    _train(whole, Muon(whole.parameters()), 6)
    first = Muon(part.parameters())
    _train(part, first, 3)
    saved = copy.deepcopy(first.state_dict())
    second = Muon(part.parameters())
    second.load_state_dict(saved)
    _train(part, second, 3, start=3)
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), part.parameters(), strict=True))
