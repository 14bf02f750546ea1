import pytest
import torch

from onestroke.config.training import Scale, TrainConfig
from onestroke.losses import vgg, weights
from onestroke.losses.objective import PerceptualLoss, places, windows
from onestroke.losses.terms import ContentLoss, SlicedLoss, StyleLoss, gram, total_variation


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


@pytest.mark.parametrize("kind", [StyleLoss, SlicedLoss])
def test_style_is_one_where_nothing_was_done_and_zero_at_the_painting(kind):
    paintings, photos = torch.rand(2, 1, 8, 12, 12), torch.rand(6, 8, 10, 10) * 2
    loss = kind(list(paintings), photos)
    for style in (0, 1):
        assert loss(photos, style).item() == pytest.approx(1.0, abs=1e-5)
        assert loss(paintings[style], style).item() < 1e-4
        assert loss(paintings[1 - style], style).item() > 1e-3


def test_sliced_wasserstein_by_hand():
    """One channel, so one direction: 2 and 6 in the painting, 0 in the photos, 3 and 1 in the picture."""
    painting, photos = torch.tensor([[[[6.0, 2.0]]]]), torch.zeros(2, 1, 1, 2)
    loss = SlicedLoss([painting], photos)
    assert loss(torch.tensor([[[[3.0, 1.0]]]])).item() == pytest.approx((3 + 1) / (6 + 2))
    # A mix of styles lies halfway between their quantiles: 1 and 3, against 2 and 6 and nothing.
    both = SlicedLoss([painting, torch.zeros(1, 1, 1, 2) + 1e-3], photos)
    assert both(torch.tensor([[[[3.0, 1.0]]]]), torch.tensor([0.5, 0.5])).item() < 1e-2


def test_sliced_wasserstein_is_at_least_fp32():
    painting, photos = torch.rand(1, 3, 9, 9).bfloat16(), torch.rand(2, 3, 8, 8).bfloat16()
    loss = SlicedLoss([painting], photos)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = loss(photos)
    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, loss(photos))


def test_sliced_wasserstein_tells_apart_what_has_one_gram():
    strong, weak = torch.tensor([[[[1.0, -1.0, 1.0, -1.0]]]]), torch.tensor([[[[2**0.5, -(2**0.5), 0.0, 0.0]]]])
    photos = torch.rand(2, 1, 4, 4)
    assert StyleLoss([strong], photos)(weak).item() < 1e-4
    assert SlicedLoss([strong], photos)(weak).item() > 0.1


def test_sliced_wasserstein_of_large_pictures_looks_everywhere():
    """Of many positions some are looked at: a picture that is half the painting's, in any direction, is seen as that."""
    torch.manual_seed(0)
    painting, photos = torch.rand(1, 4, 300, 300), torch.rand(2, 4, 200, 200) * 2
    loss = SlicedLoss([painting], photos)
    assert loss(photos).item() == pytest.approx(1.0, abs=1e-5)
    column = torch.arange(200)
    for painted in (column < 100, column[:, None] < 100, column // 2 % 2 == 0, column[:, None] % 2 == 0):
        half = torch.where(painted, painting[..., :200, :200], photos)
        assert loss(half).item() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("kind", [StyleLoss, SlicedLoss])
def test_pooled_photos_share_the_palette(kind):
    """Two pictures that are half the painting each: together they are the painting, alone neither is."""
    halves = torch.zeros(2, 2, 4, 4)
    halves[0, 0], halves[1, 1] = 1, 1
    painting = torch.cat([halves[:1], halves[1:]], 3)
    photos = torch.rand(3, 2, 4, 4)
    assert kind([painting], photos, pool=2)(halves).item() < 1e-4
    assert kind([painting], photos)(halves).item() > 0.1


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
    style, content = StyleLoss([painting], photos).double(), ContentLoss(photos).double()
    sliced = SlicedLoss([painting], photos, pool=2).double()
    x = torch.rand(2, 3, 4, 4, dtype=torch.double, requires_grad=True)

    assert torch.autograd.gradcheck(style, (x,))
    assert torch.autograd.gradcheck(sliced, (x,))
    assert torch.autograd.gradcheck(lambda y: content(y, photos.double()), (x,))
    assert torch.autograd.gradcheck(total_variation, (x,))


@pytest.fixture(scope="module")
def features():
    return vgg.build(weights.resolve("vgg16"), ["relu1_2", "relu2_2"], "max", torch.device("cpu"))


@pytest.mark.parametrize("sliced", [0.0, 0.4, 1.0])
def test_perceptual_loss_names_its_terms_and_weighs_them(features, sliced):
    torch.manual_seed(0)
    photos = torch.rand(3, 3, 32, 32)
    scales = [Scale(style=["relu1_2", "relu2_2"], content={"relu2_2": 1.0}, pooled=False, sliced=sliced)]
    painting = torch.rand(1, 3, 40, 40)
    loss = PerceptualLoss(features, [[painting]], photos, scales, {"style": 2.0, "content": 3.0, "tv": 5.0})
    terms = loss(photos, photos)
    assert terms["style"].item() == pytest.approx(1.0, abs=1e-4)
    assert terms["content"].item() == pytest.approx(0.0, abs=1e-6)
    assert terms["tv"].item() == pytest.approx(1.0, abs=1e-4)
    assert terms["total"].item() == pytest.approx(7.0, abs=1e-3)
    x = photos.clone().requires_grad_()
    loss(x, photos)["total"].backward()
    assert torch.isfinite(x.grad).all() and x.grad.abs().sum() > 0
    assert all(p.grad is None for p in features.parameters())


def test_scales_see_what_they_should(features):
    """A checkerboard of single pixels is gray at half size, and a change of color is none in luminance."""
    torch.manual_seed(0)
    photos = torch.rand(4, 3, 64, 64)
    board = 0.2 * ((torch.arange(64)[:, None] + torch.arange(64)) % 2 * 2 - 1)
    flat = torch.full((1, 3, 64, 64), 0.5)
    tinted = flat + torch.tensor([0.114, 0.0, -0.299]).view(1, 3, 1, 1)

    def content(scale, picture, photo):
        loss = PerceptualLoss(features, [[photos[:1]]], photos, [scale], TrainConfig().weights)
        return float(loss(picture, photo)["content"])

    fine, half = Scale(content={"relu1_2": 1.0}), Scale(reduction=2, content={"relu1_2": 1.0})
    gray = Scale(gray={"relu1_2": 1.0})
    for scale in (fine, half, gray):
        scale.style.append("relu1_2")
    assert content(fine, flat + board, flat) > 1e-3 and content(half, flat + board, flat) < 1e-6
    assert content(fine, tinted, flat) > 1e-3 and content(gray, tinted, flat) < 1e-6


def test_windows_lie_inside_and_are_a_function_of_the_step():
    scale = Scale(window=48, windows=5)
    found = [places(scale, 96, 130, draw) for draw in range(40)]
    assert found == [places(scale, 96, 130, draw) for draw in range(40)]
    corners = {corner for one in found for corner in one}
    assert {y for y, _ in corners} == {0, 16, 32, 48} and {x for _, x in corners} == {0, 16, 32, 48, 64, 80}
    x = torch.arange(96 * 130.0).view(1, 1, 96, 130)
    assert torch.equal(windows(x, [(16, 32)], 48)[0, 0], x[0, 0, 16:64, 32:80])
    assert windows(x, [], 0) is x
