import pytest
import torch

from onestroke.perception import vgg, weights
from onestroke.perception.losses import ContentLoss, PerceptualLoss, StyleLoss, gram, total_variation


def test_gram_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # two channels, one row of two
    assert torch.equal(gram(features), torch.tensor([[[2.5, 5.5], [5.5, 12.5]]]))


def test_gram_is_at_least_fp32():
    assert gram(torch.rand(1, 3, 4, 4, dtype=torch.bfloat16)).dtype == torch.float32
    features = 100 * torch.rand(1, 3, 40, 40)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = gram(features)
    assert torch.equal(mixed, gram(features))


def test_gram_ignores_where_things_are():
    features = torch.rand(1, 4, 6, 6)
    assert torch.allclose(gram(features.flip(3)), gram(features), atol=1e-6)
    assert torch.allclose(gram(features.tile(1, 1, 3, 2)), gram(features), atol=1e-6)


def test_published_style_formulas_by_hand():
    # F = [[1, 2], [3, 4]] against a black painting: F F^T = [[5, 11], [11, 25]], whose squares add up to 892; C = M = 2.
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])
    difference = gram(features) - gram(torch.zeros_like(features))
    gatys2015 = difference.square().sum() / (4 * 2**2)  # sum dG^2 / (4 C^2 M^2)
    gatys_pytorch = difference.square().mean()  # MSE(G / M)
    neural_style = (difference / 2).square().mean()  # MSE(G / (C M))
    assert gatys2015.item() == pytest.approx(892 / 64)
    assert gatys_pytorch.item() == pytest.approx(892 / 16)
    assert neural_style.item() == pytest.approx(892 / 64)


def test_style_is_one_where_nothing_was_done_and_zero_at_the_painting():
    painting, photos = torch.rand(1, 8, 12, 12), torch.rand(6, 8, 10, 10) * 2
    loss = StyleLoss(painting, photos)
    assert loss(photos).item() == pytest.approx(1.0, abs=1e-5)
    assert loss(painting).item() < 1e-4


def test_content_is_one_where_positions_are_scrambled_and_zero_at_the_photo():
    generator = torch.Generator().manual_seed(0)
    photos = torch.rand(16, 8, 32, 32, generator=generator) ** 3
    order = torch.randperm(32 * 32, generator=generator)
    scrambled = photos.flatten(2)[:, :, order].reshape(photos.shape)
    loss = ContentLoss(photos)
    assert loss(scrambled, photos).item() == pytest.approx(1.0, abs=0.02)
    assert loss(photos, photos).item() == 0.0


def test_total_variation_by_hand():
    ramp = torch.arange(4.0).div(10).expand(1, 3, 5, 4)  # 0.1 per pixel to the right, nothing downwards
    assert total_variation(ramp).item() == pytest.approx(0.1)


def test_gradients_agree_with_finite_differences():
    painting, photos = torch.rand(1, 3, 5, 5), torch.rand(2, 3, 4, 4)
    style, content = StyleLoss(painting, photos).double(), ContentLoss(photos).double()
    x = torch.rand(2, 3, 4, 4, dtype=torch.double, requires_grad=True)

    assert torch.autograd.gradcheck(style, (x,))
    assert torch.autograd.gradcheck(lambda y: content(y, photos.double()), (x,))
    assert torch.autograd.gradcheck(total_variation, (x,))


def test_perceptual_loss_names_its_terms_and_weighs_them():
    torch.manual_seed(0)
    features = vgg.build(weights.resolve("vgg16"), ["relu1_2", "relu2_2"], "max", torch.device("cpu"))
    photos = torch.rand(3, 3, 32, 32)
    loss = PerceptualLoss(
        features,
        torch.rand(1, 3, 40, 40),
        photos,
        style_layers=["relu1_2", "relu2_2"],
        content_layers=["relu2_2"],
        style_weight=2.0,
        content_weight=3.0,
        tv_weight=5.0,
    )
    terms = loss(photos, photos)
    assert terms["style"].item() == pytest.approx(1.0, abs=1e-4)
    assert terms["content"].item() == pytest.approx(0.0, abs=1e-6)
    assert terms["tv"].item() == pytest.approx(1.0, abs=1e-4)
    assert terms["total"].item() == pytest.approx(7.0, abs=1e-3)
    x = photos.clone().requires_grad_()
    loss(x, photos)["total"].backward()
    assert torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0
    assert all(p.grad is None for p in features.parameters())
