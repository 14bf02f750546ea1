import pytest
import torch
from torch import nn

from onestroke.errors import ConfigError
from onestroke.fast import networks
from onestroke.fast.networks import NETWORKS


@pytest.mark.parametrize(("name", "parameters"), [("johnson", 1_679_235), ("onestroke", 233_580)])
def test_parameter_counts(name, parameters):
    assert sum(p.numel() for p in networks.build(name).parameters()) == parameters


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (64, 97), (130, 18)])
def test_output_size_is_input_size(name, size):
    with torch.no_grad():
        stylised = networks.build(name)(torch.rand(2, 3, *size))
    assert stylised.shape == (2, 3, *size)
    assert stylised.min() >= 0 and stylised.max() <= 1


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_learns(name):
    net = networks.build(name)
    net(torch.rand(1, 3, 32, 32)).square().mean().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize("name", NETWORKS)
def test_a_mirrored_neighbourhood_hides_the_border(name):
    """A network that cannot tell the border from the inside paints a flat photo flat: no frame."""
    torch.manual_seed(1)
    net = networks.build(name).eval()
    with torch.no_grad():
        flat = net(torch.full((1, 3, 48, 64), 0.3))[0]
    inside = flat[:, 20:28, 24:32].std(dim=(1, 2)) + 1e-4
    edge = (flat[:, 0, 24:32] - flat[:, 20, 24:32]).abs().amax(1)
    assert (edge <= 4 * inside).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_halo_on_the_card_is_the_true_one(name):
    spec = NETWORKS[name]
    body = spec.body().double()
    for module in list(body.modules()):
        for key, child in module.named_children():
            if isinstance(child, nn.InstanceNorm2d | nn.ReLU):
                setattr(module, key, nn.Identity())
    net = networks.Framed(body, spec.multiple)
    reach = 0
    for place in range(120, 120 + spec.multiple):
        x = torch.rand(1, 3, 16, 240, dtype=torch.double, requires_grad=True)
        (gradient,) = torch.autograd.grad(net(x)[0, :, 8, place].sum(), x)
        seen = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
        reach = max(reach, place - int(seen.min()), int(seen.max()) - place)
    assert reach == spec.halo


def test_an_unknown_network_is_named():
    with pytest.raises(ConfigError, match=r"unknown 'mid48'; choose from johnson, onestroke"):
        networks.build("mid48")
