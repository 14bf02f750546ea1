import pytest
import torch
from moved import moved
from torch import nn

from onestroke.errors import ConfigError
from onestroke.networks import layers
from onestroke.networks import registry as networks
from onestroke.networks.registry import NETWORKS


def test_the_reference_has_the_published_number_of_parameters():
    assert sum(p.numel() for p in networks.build("johnson").parameters()) == 1_679_235


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(24, 24), (25, 31), (64, 97), (130, 27)])
def test_output_size_is_input_size(name, size):
    with torch.no_grad():
        stylized = networks.build(name)(torch.rand(2, 3, *size))
    assert stylized.shape == (2, 3, *size)
    assert stylized.min() >= 0 and stylized.max() <= 1


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_learns(name):
    net = networks.build(name)
    net(torch.rand(1, 3, 32, 32), torch.tensor(0.8)).square().mean().backward()
    for key, parameter in net.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), key


def without_norms(net, *others):
    for module in list(net.modules()):
        for key, child in module.named_children():
            if isinstance(child, (nn.InstanceNorm2d, layers.Norm, *others)):
                setattr(module, key, nn.Identity())
    return net


@pytest.mark.parametrize("name", NETWORKS)
def test_a_mirrored_neighborhood_hides_the_border(name):
    """A network that cannot tell the border from the inside paints a flat photo in one cell, repeated: no frame."""
    torch.manual_seed(1)
    net = without_norms(networks.build(name)).eval()  # which would magnify rounding, one after the other
    with torch.no_grad():
        flat = net(torch.full((1, 3, 50, 63), 0.3))[0]
    inside = flat[:, 24:32, 32:40].repeat(1, 7, 8)[:, :50, :63]
    assert (flat - inside).abs().max() < 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_the_halo_on_the_card_is_the_true_one(name):
    spec = NETWORKS[name]
    body = without_norms(spec.body(styles=1).double(), nn.ReLU)
    net = layers.Framed(body, spec.cell, spec.solid)
    reach = 0
    for place in range(160, 160 + spec.multiple):
        x = torch.rand(1, 3, 24, 320, dtype=torch.double, requires_grad=True)
        (gradient,) = torch.autograd.grad(net(x)[0, :, 8, place].sum(), x)
        seen = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
        reach = max(reach, place - int(seen.min()), int(seen.max()) - place)
    assert reach == spec.halo


def test_the_cells_of_a_body_become_pixels_in_order():
    """Channels of a cell of 2x2 pixels: row, column, rgb."""
    body = nn.Conv2d(3, 12, 2, 2)
    with torch.no_grad():
        body.weight.zero_()
        body.bias.copy_(torch.arange(12) / 12)
    cell = layers.Framed(layers.Chain(body), cell=2, solid=1.0)(torch.zeros(1, 3, 2, 2))[0]
    wanted = torch.sigmoid(torch.arange(12) / 12).view(2, 2, 3).permute(2, 0, 1)
    assert torch.allclose(cell, wanted)


def test_the_head_starts_without_a_checkerboard():
    torch.manual_seed(0)
    with torch.no_grad():
        pixels = networks.build("onestroke")(torch.rand(1, 3, 32, 32))[0]
    cells = pixels.unfold(1, 2, 2).unfold(2, 2, 2).flatten(3)
    assert (cells - cells[..., :1]).abs().max() < 1e-6


def test_strength_is_monotone_from_the_photo_to_the_painting():
    torch.manual_seed(0)
    net, photo = networks.build("tiny"), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        away = [float((net(photo, torch.tensor(strength)) - photo).abs().mean()) for strength in (0.0, 0.2, 0.4, 0.5)]
        whole = float((net(photo) - photo).abs().mean())
    assert away[0] == 0 and away == sorted(away)
    assert away[3] == pytest.approx(whole)  # untrained, it paints one strength


def test_each_style_has_its_own_norms_and_a_mix_lies_between():
    torch.manual_seed(0)
    net, photo = moved(networks.build("tiny", styles=2)), torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        one, other = net(photo, style=0), net(photo, style=1)
        assert (one - other).abs().max() > 0.01
        halves = layers.Look(torch.ones(()), torch.tensor([0.5, 0.5]))
        mixed = net.pixels(photo, halves)
        for norm in (module for module in net.modules() if isinstance(module, layers.Norm)):
            norm.affine.copy_(norm.affine.mean(0).expand_as(norm.affine))
        assert torch.allclose(net(photo), mixed, atol=1e-6)


def test_johnson_learns_one_style_only():
    with pytest.raises(ConfigError, match="johnson learns one style, not 2"):
        networks.build("johnson", styles=2)


@pytest.mark.parametrize("name", ["tiny", "onestroke", "large"])
def test_networks_of_version_0_1_still_load(name):
    """They had the same names, no branch at 1/8, and norms that knew one style."""
    old = networks.build(f"{name}-0.1")
    state = {key: v[0] if key.endswith(("affine", "slope")) else v for key, v in old.state_dict().items()}
    assert networks.name_of(name, state) == f"{name}-0.1"
    assert networks.name_of(name, networks.build(name).state_dict()) == name
    networks.build(f"{name}-0.1").load_state_dict(state)


def test_an_unknown_network_is_named():
    with pytest.raises(ConfigError, match=r"unknown 'mid48'; choose from johnson, tiny, onestroke, large"):
        networks.build("mid48")
