"""The objective against the published formulas, written out here once more, and against itself on tiles."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from onestroke.losses import vgg, weights
from onestroke.losses.architecture import WIDTHS, layer_names
from onestroke.losses.statistics import gram_distance, moments, wasserstein
from onestroke.optimization.gatys import presets
from onestroke.optimization.gatys.objective import GatysObjective
from onestroke.optimization.gatys.targets import style_targets

OURS = ("quality", "fast", "training")  # the others are published
LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]


def made_up_weights(variant):
    """Random kernels of the right shapes, at the size of activations that the Caffe lineage has."""
    generator = torch.Generator().manual_seed(3)
    convolutions, channels = {}, 3
    for name in layer_names(variant):
        width = WIDTHS[int(name[4]) - 1]
        kernel = torch.randn(width, channels, 3, 3, generator=generator) * (2 / (9 * channels)) ** 0.5
        convolutions[name.replace("relu", "conv")] = (kernel * (60 if channels == 3 else 1), torch.zeros(width))
        channels = width
    return weights.VGGWeights(variant, convolutions, torch.tensor(weights.CAFFE_MEAN), "made up", "caffe")


@pytest.fixture(scope="module")
def features():
    """One small VGG per setting, built once."""
    made = {}

    def get(recipe):
        layers = (*recipe.style_layers, *recipe.content_layers)
        key = recipe.vgg, recipe.pooling, recipe.border, recipe.lineage, layers
        if key not in made:
            given = made_up_weights(recipe.vgg).as_lineage(recipe.lineage)
            made[key] = vgg.VGGFeatures(given, layers, recipe.pooling, recipe.border)
        return made[key]

    return get


@pytest.fixture(scope="module")
def pictures():
    generator = torch.Generator().manual_seed(0)
    # The painting has the photo's size: the systems that do not divide by positions presuppose it.
    return [torch.rand(1, 3, 48, 64, generator=generator), torch.rand(1, 3, 48, 64, generator=generator), waves(48, 64)]


def waves(height, width):
    """A smooth picture, whose statistics are far from noise."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([torch.sin(x / 7) / 2 + 0.5, torch.cos(y / 5) / 2 + 0.5, (x + y) / (height + width)])[None]


def raw_gram(f):
    """F F^T [C, C], not divided by anything."""
    flat = f[0].flatten(1).double()
    return flat @ flat.T


def published(preset, net, recipe, x, photo, painting):
    """(style, content, tv) as each system computes them, from its own code's formula."""
    content_layer = next(iter(recipe.content_layers))
    fx, fp, fa = (net(p, [*LAYERS, content_layer]) for p in (x, photo, painting))
    height, width = x.shape[2:]
    style = torch.zeros((), dtype=torch.double)
    for i, name in enumerate(LAYERS):
        channels, h, w = fx[name].shape[1:]
        positions = h * w
        g, t = raw_gram(fx[name]), raw_gram(fa[name])
        error = (g - t).square().sum() / (4 * channels**2 * positions**2)  # the paper's E
        squares = (g - t).square()
        style += {
            "gatys2015": error / 5,
            "gatys-pytorch": F.mse_loss(g / positions, t / positions) * 1e3 / channels**2,
            "neural-style": 100 * F.mse_loss(g / (channels * positions), t / (channels * positions)),
            "keras": 1e-6 / 5 * squares.sum() / (4.0 * 3**2 * (height * width) ** 2),
            "keras-book": 1 / 5 * squares.sum() / (4.0 * 3**2 * (height * width) ** 2),
            "avg-pool": F.mse_loss(g / positions, t / positions),
            "leonardo": 1e6 * (1, 0.8, 0.5, 0.3, 0.1)[i] * squares.mean() / (channels * positions),
            "bhonge": 40 * error / 5,
        }[preset]
    a, b = fx[content_layer].double(), fp[content_layer].double()
    squares = (a - b).square()
    content = {
        "gatys2015": 1e-3 * 0.5 * squares.sum(),
        "gatys-pytorch": squares.mean(),
        "neural-style": 5 * squares.mean(),
        "keras": 2.5e-8 * squares.sum(),
        "keras-book": 0.025 * squares.sum(),
        "avg-pool": squares.mean(),
        "leonardo": squares.mean(),
        "bhonge": 10 * squares.sum() / (4 * a[0].numel()),
    }[preset]
    y = 255 * x.double()
    down = (y[..., :-1, :-1] - y[..., 1:, :-1]).square()
    right = (y[..., :-1, :-1] - y[..., :-1, 1:]).square()
    tv = {
        "neural-style": 1e-3 * 0.5 * (down + right).sum(),
        "keras": 1e-6 * (down + right).pow(1.25).sum(),
        "keras-book": (down + right).pow(1.25).sum(),
    }.get(preset, 0.0)
    return float(style), float(content), float(tv)


@pytest.mark.parametrize("preset", [name for name in presets.PRESETS if name not in OURS])
def test_every_preset_is_the_published_formula(preset, features, pictures):
    recipe = presets.recipe(preset)
    net = features(recipe)
    x, photo, painting = pictures
    targets = style_targets(net, recipe, [(painting, (None,))], [1.0])
    terms, _ = GatysObjective(net, recipe, targets, photo)(x)
    wanted = published(preset, net, recipe, x, photo, painting)
    for name, value in zip(("style", "content", "tv"), wanted, strict=True):
        assert float(terms[name]) == pytest.approx(value, rel=1e-5), name
    assert float(terms["total"]) == pytest.approx(sum(wanted), rel=1e-5)


@pytest.mark.parametrize("preset", ["quality", "fast", "training"])
def test_our_presets_are_one_where_nothing_was_done(preset, features, pictures):
    recipe = presets.recipe(preset)
    net = features(recipe)
    _, photo, painting = pictures
    targets = style_targets(net, recipe, [(painting, (None,))], [1.0])
    objective = GatysObjective(net, recipe, targets, photo)
    terms, _ = objective(photo)
    assert float(terms["style"]) == pytest.approx(1.0, abs=0.02)
    assert float(terms["content"]) == 0.0
    assert float(objective(painting)[0]["style"]) < 0.01
    layer = next(iter(recipe.content_layers))
    f, p = (net(picture, [layer])[layer] for picture in (painting, photo))
    scrambled = 2 * p.var((2, 3), unbiased=False).mean()  # the mean square between two positions picked at random
    content = float(objective(painting)[0]["content"]) / recipe.content_weight
    assert content == pytest.approx(float((f - p).square().mean() / scrambled), rel=1e-4)


def test_total_variation_by_hand(features):
    recipe = presets.recipe("quality", tv_weight=1.0)
    ramp = (torch.arange(32.0) / 100).expand(1, 3, 32, 32).contiguous()  # 0.01 a pixel to the right
    net = features(recipe)
    objective = GatysObjective(net, recipe, style_targets(net, recipe, [(ramp, (None,))], [1.0]), ramp)
    # 9 points: 2/3 dx^2 + (dx^2 + dx^2) / 6 = dx^2, at all but the last row and column.
    assert float(objective(ramp)[0]["tv"]) == pytest.approx(1e-4 * 31**2 / 32**2, rel=1e-3)


@pytest.mark.parametrize("changes", [{}, {"style_statistic": "wasserstein"}, {"tv_power": 1.0, "tv_weight": 3.0}])
@pytest.mark.parametrize("height,width", [(112, 144), (101, 131)])
def test_tiles_give_the_whole_pictures_gradient(changes, height, width, features):
    recipe = presets.recipe("quality", vgg="vgg16", style_layers={"relu1_1": 1.0, "relu3_1": 1.0},
                            content_layers={"relu2_2": 1.0}, **changes)  # fmt: skip
    net = features(recipe).double()  # roots of small eigenvalues would magnify what fp32 rounds off
    generator = torch.Generator().manual_seed(0)
    x, photo = torch.rand(2, 1, 3, height, width, generator=generator).double()
    painting = waves(70, 90).double()
    half = torch.zeros(1, 1, height, width).double()
    half[..., : width // 3] = 1
    regions, style_regions = (
        (half, 1 - half),
        (torch.ones(1, 1, 70, 90).double(), torch.rand(1, 1, 70, 90, generator=generator).double()),
    )
    targets = style_targets(net, recipe, [(painting, style_regions)], [1.0])
    tiled_targets = style_targets(net, recipe, [(painting, style_regions)], [1.0], side=16)
    whole = GatysObjective(net, recipe, targets, photo, regions)
    tiled = GatysObjective(net, recipe, tiled_targets, photo, regions, side=32)
    assert len(tiled.tiles) > 9 and len(whole.tiles) == 1
    terms, gradient = whole(x)
    found, tiled_gradient = tiled(x)
    net.float()
    for name, value in terms.items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-4), name
    assert float((tiled_gradient - gradient).norm() / gradient.norm()) < 1e-4


@pytest.mark.slow
def test_tiles_in_single_precision(features):
    recipe = presets.recipe("quality", vgg="vgg16")
    net = features(recipe)
    x, photo = torch.rand(2, 1, 3, 131, 190, generator=torch.Generator().manual_seed(0))
    targets = style_targets(net, recipe, [(waves(70, 90), (None,))], [1.0])
    tiled = GatysObjective(net, recipe, targets, photo, side=64)
    assert len(tiled.tiles) == 6
    (_, gradient), (_, tiled_gradient) = GatysObjective(net, recipe, targets, photo)(x), tiled(x)
    assert float((tiled_gradient - gradient).norm() / gradient.norm()) < 1e-4


@pytest.mark.parametrize("preset", ["gatys-pytorch", "keras", "leonardo"])
def test_the_gradient_agrees_with_a_finite_difference(preset, features, pictures):
    recipe = presets.recipe(preset)
    net = features(recipe).double()
    try:
        x, photo, painting = (p.double() for p in pictures)
        objective = GatysObjective(net, recipe, style_targets(net, recipe, [(painting, (None,))], [1.0]), photo)
        _, gradient = objective(x)
        direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(5)).double()
        step = 1e-7  # larger ones cross kinks of ReLU and max pooling
        ahead, behind = (float(objective(x + s * step * direction)[0]["total"]) for s in (1, -1))
        assert (ahead - behind) / (2 * step) == pytest.approx(float((gradient * direction).sum()), rel=1e-3)
    finally:
        net.float()


def test_a_batch_is_its_pictures_one_by_one(features, pictures):
    recipe = presets.recipe("quality")
    net = features(recipe)
    x, photo, painting = pictures
    targets = style_targets(net, recipe, [(painting, (None,))], [1.0])
    together, gradient = GatysObjective(net, recipe, targets, torch.cat([photo, painting]))(torch.cat([x, photo]))
    for i, (p, s) in enumerate(((photo, x), (painting, photo))):
        alone, own = GatysObjective(net, recipe, targets, p)(s)
        assert float(together["total"][i]) == pytest.approx(float(alone["total"][0]), rel=1e-4)
        assert torch.allclose(gradient[i], own[0], atol=float(own.abs().max()) * 1e-3)


def test_wasserstein_of_known_gaussians():
    # Diagonal covariances commute: W2^2 = |m - n|^2 + sum (sqrt(a) - sqrt(b))^2.
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(1, 3, 200, 200, generator=generator)
    flat = base.flatten(2)
    flat = flat - flat.mean(2, keepdim=True)
    whitened = torch.linalg.inv(torch.linalg.cholesky(flat[0] @ flat[0].T / flat.shape[2])) @ flat[0]
    a = moments((whitened.view(1, 3, 200, 200) * torch.tensor([1.0, 2, 3]).view(1, 3, 1, 1)), None, first=True)
    b = moments((whitened.view(1, 3, 200, 200) * torch.tensor([2.0, 2, 1]).view(1, 3, 1, 1)) + 1, None, first=True)
    assert float(wasserstein(a, b)) == pytest.approx(3 + 1 + 0 + 4, rel=1e-3)
    assert float(wasserstein(a, a)) == pytest.approx(0, abs=1e-2)


def test_masked_moments_are_those_of_the_part():
    f = torch.rand(1, 4, 6, 8)
    left = torch.zeros(1, 1, 6, 8)
    left[..., :3] = 1
    assert torch.allclose(moments(f, left, first=False).gram, moments(f[..., :3], None, first=False).gram, rtol=1e-5)
    assert float(gram_distance(moments(f, left, first=False), moments(f[..., :3], None, first=False))) < 1e-5


def test_as_lineage_scales_every_activation(pictures):
    given = made_up_weights("vgg16")
    given = weights.VGGWeights("vgg16", {k: (w, b + 0.3) for k, (w, b) in given.convolutions.items()}, given.mean, "", "caffe")
    ours, theirs = (vgg.VGGFeatures(g, ["relu3_2"]) for g in (given, given.as_lineage("torchvision")))
    a, b = (net(pictures[0], ["relu3_2"])["relu3_2"].numpy() for net in (ours, theirs))
    np.testing.assert_allclose(a / 57.6, b, rtol=1e-3, atol=1e-4)
