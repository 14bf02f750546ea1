"""DeepDream in its published forms, by name: all of a dream's settings, and what each system sets. Needs no torch.

`Dream` is one flat dataclass; PRESETS says, for each name, where it departs from the defaults, which are `google`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from onestroke.config.schema import merge, option
from onestroke.errors import ConfigError


@dataclass(frozen=True)
class Dream:
    """What is raised in a picture, and how its pixels climb (optimization/deepdream/dreamer.py).

    Pixel units: `unit` is the value of white, minus black's, in the published system; rates and regularizers are in it.
    """

    vgg: str = option("vgg16", "which VGG dreams", choices=("vgg16", "vgg19"))
    vgg_weights: str = option("", "file with VGG weights (.pth .h5 .mat .onnx .safetensors); empty: found or downloaded")
    pooling: str = option("max", "pooling inside VGG", choices=("max", "average", "plain-average", "l2"))
    lineage: str = option("caffe", "whose activations the numbers below are meant for", choices=("caffe", "torchvision"))
    layers: dict[str, float] = option(
        {"relu4_2": 0.5, "relu4_3": 1.0, "relu5_1": 1.0}, "layers that are raised, and their coefficients"
    )
    units: str = option("", "channels of these layers that are raised, as in 3,17; empty: all")
    border: int = option(0, "positions at the edges of a layer that do not count", least=0)
    octaves: int = option(4, "scales, from small to large; those too small for the layers are left out", least=1, most=100)
    octave_scale: float = option(1.4, "from one octave to the next", least=1.0, most=10.0)
    detail: bool = option(True, "give back, at each octave, the photo's detail that the smaller one had lost")
    steps: int = option(10, "steps in each octave", least=1)
    rate: float = option(1.5, "size of a step, in units", least=0.0)
    unit: float = option(255.0, "value of white in the pixels that climb", least=1e-3)
    normalize: str = option("mean", "what a gradient is divided by: its mean magnitude, or (centered) its deviation",
                            choices=("none", "mean", "std"))  # fmt: skip
    smooth: float = option(0.0, "blur of the gradient in pixels at an octave's last step, a fifth of it at the start; 0: none",
                           least=0.0)  # fmt: skip
    jitter: int = option(32, "pixels by which the picture is shifted at random in each step", least=0)
    margin: int = option(8, "mirrored pixels around the picture, which keep the seam of the shifts out of it", least=0)
    most: float = option(0.0, "stop an octave where what is raised exceeds this; 0: never", least=0.0, most=1e30)
    continuity: float = option(0.0, "weight of total variation", least=0.0)
    l2: float = option(0.0, "weight of the squared distance to the mean color", least=0.0)
    clamp: bool = option(True, "keep pixels between black and white after each step")
    size: int = option(512, "longer side of the result in pixels; a smaller picture keeps its own", least=1)
    frames: int = option(1, "frames of a zoom into the dream; 1: one picture", least=1)
    zoom: float = option(1.05, "scale from one frame to the next", least=1.0)
    seed: int = option(0, "seed of the jitter", least=0, most=2**63 - 1)


PRESETS: dict[str, dict[str, Any]] = {
    # google/deepdream. Its layer is GoogLeNet's inception_4c; of VGG's, relu4 alone makes fur and eyes, relu5 faces, and only
    # the mixture fills the background too. The margin is ours: without it, a seam runs along the picture's edges.
    "google": {},
    # keras.io's example, pixels in -1..1. Its layers are InceptionV3's mixed4 to mixed7; here four of VGG's about as deep. Its
    # cap of 15 is some 30 times what a photo has there, which here is 1000.
    "keras": {
        "layers": {"relu4_2": 1.0, "relu4_3": 1.5, "relu5_1": 2.0, "relu5_2": 2.5}, "lineage": "torchvision", "border": 2,
        "octaves": 3, "steps": 20, "rate": 0.01, "unit": 2.0, "jitter": 0, "margin": 0, "most": 1000.0,
        "clamp": False,
    },
    # The older example of Keras, "dreamy": 5 times 7 steps of L-BFGS, here as many of google's kind.
    "keras-vgg16": {
        "layers": {"relu5_1": 0.05, "relu5_2": 0.02}, "border": 2, "octaves": 1, "steps": 35, "jitter": 0, "margin": 0,
        "continuity": 0.1, "l2": 0.02, "clamp": False,
    },
    # gordicaleksa/pytorch-deepdream; pixels are divided by ImageNet's deviation.
    "vgg16": {
        "layers": {"relu4_3": 1.0}, "lineage": "torchvision", "octave_scale": 1.8, "detail": False, "rate": 0.09, "unit": 4.42,
        "normalize": "std", "smooth": 2.5, "margin": 0,
    },
}  # fmt: skip


def dream_recipe(preset: str = "google", **changes: Any) -> Dream:
    """The settings of a preset with `changes` laid over them. Raises ConfigError for unknown names and values."""
    if preset not in PRESETS:
        raise ConfigError(f"preset: unknown name {preset!r}; choose from {', '.join(PRESETS)}")
    found = merge(merge(Dream(), PRESETS[preset], f"preset {preset}"), changes, "flags")
    channels(found)
    return found


def channels(recipe: Dream) -> list[int]:
    """The numbers in `units`, none where all channels count. Raises ConfigError for anything else."""
    names = [name.strip() for name in recipe.units.split(",")] if recipe.units else []
    if not all(name.isdecimal() for name in names):
        raise ConfigError(f"units: {recipe.units!r} are no channel numbers; write them as in 3,17")
    return [int(name) for name in names]
