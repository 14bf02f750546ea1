"""Gatys' method in every published form, by name: all of a run's settings, and what each system sets. Needs no torch.

`Recipe` is one flat dataclass; PRESETS says, for each name, where it departs from the defaults, which are `quality`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onestroke.config.schema import merge, option
from onestroke.errors import ConfigError

FIVE = {f"relu{block}_1": 1.0 for block in range(1, 6)}
STYLE_FORMS = ("relative", "gatys2015", "mse", "neural-style", "keras", "leonardo")
CONTENT_FORMS = ("relative", "mse", "half-sum", "sum", "bhonge")


@dataclass(frozen=True)
class Recipe:
    """How pixels are optimized. Forms of the terms are spelled out in optimization/gatys/objective.py.

    Pixel units: `unit` is the value of white in the published system (255, or 1); rates, noise and total variation are in it.
    """

    vgg: str = option("vgg16", "which VGG judges", choices=("vgg16", "vgg19"))
    vgg_weights: str = option("", "file with VGG weights (.pth .h5 .mat .onnx .safetensors); empty: found or downloaded")
    pooling: str = option("max", "pooling inside VGG", choices=("max", "average", "plain-average", "l2"))
    border: str = option("replicate", "what the first convolution sees outside the picture", choices=("zeros", "replicate"))
    lineage: str = option("caffe", "whose activations the weights below are meant for", choices=("caffe", "torchvision"))
    content_layers: dict[str, float] = option({"relu4_2": 1.0}, "content layers and their weights")
    content_form: str = option("relative", "how activations are compared", choices=CONTENT_FORMS)
    content_weight: float = option(0.3, "weight of content (alpha)", least=0.0)
    style_layers: dict[str, float] = option(
        {"relu1_1": 0.1, "relu2_1": 0.3, "relu3_1": 0.15, "relu4_1": 0.43, "relu5_1": 0.02}, "style layers and their weights"
    )
    style_statistic: str = option("gram", "what of a layer is compared", choices=("gram", "wasserstein"))
    style_form: str = option("relative", "how statistics are compared", choices=STYLE_FORMS)
    style_weight: float = option(1.0, "weight of style (beta)", least=0.0)
    tv_weight: float = option(0.5, "weight of total variation", least=0.0)
    tv_power: float = option(2.0, "power of the local gradient in total variation: 2 squared, 1 the L1 kind", least=0.5)
    tv_reduction: str = option("mean", "total variation over all pixels", choices=("mean", "sum"))
    tv_points: int = option(9, "pixels in total variation's stencil: 9, or the classic 5", least=5)
    unit: float = option(1.0, "value of white in the pixels that are optimized", least=1e-3)
    start: str = option("photo", "where pixels start: photo, noise, or a picture file")
    noise: float = option(0.0, "amplitude of the noise at the start, in units", least=0.0)
    noise_kind: str = option("uniform", "kind of noise", choices=("uniform", "normal"))
    noise_share: float = option(1.0, "share of noise in a noisy start; the rest is the photo", least=0.0)
    optimizer: str = option("adam", "what moves the pixels", choices=("adam", "sgd", "lbfgs", "lbfgs-wolfe"))
    rate: float = option(0.02, "learning rate, in units", least=0.0)
    beta2: float = option(0.99, "Adam's second decay", least=0.0, most=0.99999)
    decay: float = option(1.0, "factor on the rate over 100 steps", least=0.0)
    history: int = option(100, "L-BFGS: updates remembered", least=1)
    clamp: bool = option(True, "keep pixels between black and white after each step")
    ema: float = option(0.99, "decay of the average that is the result; 0: the best iterate", least=0.0, most=0.99999)
    steps: list[int] = option([1000, 500], "evaluations at each scale, the last number for all further ones", least=1)
    size: int = option(512, "side of the result in pixels; a smaller photo keeps its own", least=1)
    side: str = option("longer", "which side --size means", choices=("longer", "shorter", "height"))
    smallest: int = option(128, "side that the first scale has at least", least=1)
    scale_factor: float = option(2**0.5, "from one scale to the next; 1: only one", least=1.0)
    style_scale: float = option(1.0, "size of the painting against the picture; it is never enlarged", least=0.01)
    colors: str = option("painting", "painting, the photo's by luminance, or by matching the painting's to it first",
                         choices=("painting", "luminance", "match"))  # fmt: skip
    tolerance: float = option(0.0, "stop a scale when 50 evaluations gain less than this share; 0: never", least=0.0)
    seed: int = option(0, "seed of the noise", least=0, most=2**63 - 1)


# One scale, five-point sums of pixels in 0..255, VGG as it was: what all systems of 2015 to 2019 share.
_CLASSIC: dict[str, Any] = {
    "vgg": "vgg19", "border": "zeros", "unit": 255.0, "content_form": "mse", "content_weight": 1.0, "style_layers": FIVE,
    "tv_weight": 0.0, "tv_reduction": "sum", "tv_points": 5, "optimizer": "lbfgs", "rate": 1.0, "beta2": 0.999,
    "clamp": False, "ema": 0.0, "scale_factor": 1.0, "steps": [500],
}  # fmt: skip
_KERAS = _CLASSIC | {
    "content_layers": {"relu5_2": 1.0}, "content_form": "sum", "style_layers": dict.fromkeys(FIVE, 0.2), "style_form": "keras",
    "tv_power": 2.5, "size": 400, "side": "height",
}  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {
    "quality": {},
    # About a tenth of quality's compute.
    "fast": {
        "optimizer": "lbfgs", "rate": 1.0, "history": 10, "clamp": False, "ema": 0.0, "scale_factor": 2.0,
        "steps": [200, 100, 60],
    },
    # What networks learn (losses/terms.py), for pairs that they may learn it from.
    "training": {
        "border": "zeros", "content_layers": {"relu2_2": 1.0}, "content_weight": 0.25,
        "style_layers": dict.fromkeys(("relu1_2", "relu2_2", "relu3_3", "relu4_3"), 0.25),
        "tv_weight": 0.6, "tv_power": 1.0, "tv_points": 5, "size": 256,
        "optimizer": "lbfgs", "rate": 1.0, "history": 10, "clamp": False, "ema": 0.0, "scale_factor": 2.0, "steps": [100, 60],
    },
    # Gatys, Ecker & Bethge 2015: white noise, alpha/beta 1e-3.
    "gatys2015": _CLASSIC | {
        "pooling": "plain-average", "content_form": "half-sum", "content_weight": 1e-3,
        "style_layers": dict.fromkeys(FIVE, 0.2), "style_form": "gatys2015",
        "start": "noise", "noise": 128.0, "optimizer": "lbfgs-wolfe", "history": 10,
    },
    # Gatys' own PyTorch code: 512 pixels first, then 800, weights 1e3 / C^2.
    "gatys-pytorch": _CLASSIC | {
        "style_layers": {name: 1e3 / width**2 for name, width in zip(FIVE, (64, 128, 256, 512, 512), strict=True)},
        "style_form": "mse", "size": 800, "side": "shorter", "smallest": 512, "scale_factor": 800 / 512, "steps": [500, 200],
    },
    # jcjohnson/neural-style. Its total variation is half of ours, with weight 1e-3.
    "neural-style": _CLASSIC | {
        "content_weight": 5.0, "style_form": "neural-style", "style_weight": 100.0, "tv_weight": 5e-4,
        "start": "noise", "noise": 1e-3, "noise_kind": "normal", "steps": [1000],
    },
    # keras.io's example.
    "keras": _KERAS | {
        "content_weight": 2.5e-8, "style_weight": 1e-6, "tv_weight": 1e-6, "optimizer": "sgd", "rate": 100.0, "decay": 0.96,
        "steps": [4000],
    },
    # The example of Chollet's book, with L-BFGS; VGG16 takes its content from block4_conv2.
    "keras-book": _KERAS | {
        "content_weight": 0.025, "tv_weight": 1.0, "optimizer": "lbfgs-wolfe", "history": 10, "steps": [400],
    },
    "avg-pool": _CLASSIC | {"pooling": "plain-average", "style_form": "mse"},
    "leonardo": _CLASSIC | {
        "lineage": "torchvision", "unit": 4.42, "style_form": "leonardo", "style_weight": 1e6,
        "style_layers": dict(zip(FIVE, (1.0, 0.8, 0.5, 0.3, 0.1), strict=True)),
        "optimizer": "adam", "rate": 3e-3, "steps": [2000],
    },
    "bhonge": _CLASSIC | {
        "pooling": "plain-average", "content_form": "bhonge", "content_weight": 10.0, "style_layers": dict.fromkeys(FIVE, 0.2),
        "style_form": "gatys2015", "style_weight": 40.0, "start": "noise", "noise": 20.0, "noise_share": 0.6,
        "optimizer": "adam", "rate": 2.0, "size": 400, "steps": [200],
    },
}  # fmt: skip


def recipe(preset: str = "quality", **changes: Any) -> Recipe:
    """The settings of a preset with `changes` laid over them. Raises ConfigError for unknown names and values."""
    if preset not in PRESETS:
        raise ConfigError(f"preset: unknown name {preset!r}; choose from {', '.join(PRESETS)}")
    found = merge(Recipe(), PRESETS[preset], f"preset {preset}")
    if preset == "keras-book" and changes.get("vgg") == "vgg16":
        found = merge(found, {"content_layers": {"relu4_2": 1.0}}, f"preset {preset}")
    published, found = found.optimizer, merge(found, changes, "flags")
    if found.optimizer != published and "rate" not in changes:  # the preset's rate was meant for another optimizer
        if found.optimizer == "sgd":
            raise ConfigError("optimizer: sgd has no usual rate; give one with --rate")
        usual = (
            {"rate": 0.02 * found.unit, "clamp": True}
            if found.optimizer == "adam"
            else {"rate": 1.0, "clamp": False, "ema": 0.0}
        )
        found = merge(found, {key: value for key, value in usual.items() if key not in changes}, "flags")
    if 1 < found.scale_factor < 1.05:
        raise ConfigError(
            f"scale_factor: {found.scale_factor:g} makes too many scales; use 1 for a single one, or 1.05 or more"
        )
    if found.style_statistic == "wasserstein" and found.style_form != "relative":
        raise ConfigError(f"style_form: {found.style_form} is a form of Gram matrices; wasserstein needs --style-form relative")
    if found.tv_points not in (5, 9):
        raise ConfigError(f"tv_points: {found.tv_points} is no stencil; use 5 or 9")
    return found


def scales(recipe: Recipe, end: int) -> list[int]:
    """Sides of the scales from the first to `end`: end / factor^n, down to `smallest`."""
    sides = [end]
    while recipe.scale_factor > 1 and round(end / recipe.scale_factor ** len(sides)) >= recipe.smallest:
        sides.append(round(end / recipe.scale_factor ** len(sides)))
    return sides[::-1]


def steps_at(recipe: Recipe, scale: int) -> int:
    """Evaluations at a scale, counted from 0."""
    return recipe.steps[min(scale, len(recipe.steps) - 1)]
