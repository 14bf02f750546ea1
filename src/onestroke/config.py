"""Configuration: flat dataclasses, filled from YAML and then from flags. Flags always win; unknown keys are errors."""

from __future__ import annotations

import argparse
import difflib
import os
import typing
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from onestroke.atomic import replacing
from onestroke.errors import ConfigError, because

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")

# The painting in the box (samples/painting.py).
SAMPLE_PAINTING = "brushwork"


def style_names(paintings: Sequence[str]) -> list[str]:
    """What styles are called: their paintings' file names without extension; SAMPLE_PAINTING where none was given."""
    return [Path(painting).stem for painting in paintings] or [SAMPLE_PAINTING]


def style_name(paintings: Sequence[str]) -> str:
    """What a model of these styles is called."""
    first, *others = style_names(paintings)
    return f"{first}_and_{len(others)}_more" if others else first


def option(
    default: Any,
    text: str,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: tuple[str, ...] = (),
    empty: bool = False,
) -> Any:
    """A dataclass field with its help text, its least and largest allowed value, its allowed names, and whether a list of
    it may be empty."""
    meta = {"help": text, "least": least, "most": most, "choices": choices, "empty": empty}
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=meta)
    return field(default=default, metadata=meta)


@dataclass(frozen=True)
class Scale:
    """What the losses compare at one scale (perception/losses.py).

    Pictures are reduced by `reduction`, and `windows` squares of `window` pixels, placed at random, are looked at. `style`,
    `content` and `gray` name VGG layers: those whose Gram matrices count, those whose activations count, with weights,
    and those whose activations count for luminance alone, which hold large light and dark in place and leave colors free.
    The style image is reduced like the pictures, unless `style_size` is its shorter side here.
    """

    reduction: int = option(1, "1: full size, 2: half, 4: a quarter", least=1, most=16)
    window: int = option(0, "side of the squares looked at; 0: the whole picture", least=0)
    windows: int = option(1, "how many squares", least=1)
    style: list[str] = option([], "layers of the style term", empty=True)
    content: dict[str, float] = option({}, "layers of the content term, with weights", least=0.0, empty=True)
    gray: dict[str, float] = option(
        {}, "layers of the content term that see luminance alone, with weights", least=0.0, empty=True
    )
    style_size: int = option(0, "shorter side of the style image; 0: reduced like the pictures", least=0)
    pooled: bool = option(True, "average the Gram matrices of a batch, so that each photo may take its share of the palette")

    @property
    def layers(self) -> list[str]:
        """All layers that are looked at."""
        return [*self.style, *self.content, *self.gray]


# What networks learn from by default: fine strokes in windows, large structure and colors in the whole, reduced picture,
# content at every scale, the largest in luminance only (docs/experiments.md says what else was tried).
SCALES = [
    Scale(1, 96, 2, ["relu1_1", "relu2_1", "relu3_1"], {"relu3_1": 0.35}),
    Scale(2, 0, 1, ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"], {"relu3_3": 0.2}),
    Scale(4, 0, 1, ["relu1_1", "relu2_1", "relu3_1", "relu4_1"], {}, {"relu2_2": 0.45}),
]


@dataclass(frozen=True)
class TrainConfig:
    """One training run. The defaults suit one GPU; QUICK below holds what changes on a CPU.

    Loss weights are dimensionless: 1.0 of each term is what doing nothing useful costs (perception/losses.py).
    """

    painting: list[str] = option([], "the style images; none: the painting that comes in the box", empty=True)
    title: str = option("", "who painted what, for the model's card; empty: the file's name")
    licence: str = option("", "licence of the painting, for the model's card")
    content: str = option("", "folder of photos, searched recursively; empty: the samples that come in the box")
    val: str = option("", "folder of held-out photos; empty: some are set aside from the content photos")
    out: str = option("", "run folder; empty: runs/<painting>")
    network: str = option("onestroke", "which network to train (fast/networks.py)")
    start: str = option(
        "auto", "weights to begin with: auto (the style in the box that suits), none, a style in the box, or a .onnx"
    )
    vgg: str = option("vgg16", "which VGG judges", choices=("vgg16", "vgg19"))
    vgg_weights: str = option("", "file with VGG weights (.pth .h5 .mat .onnx .safetensors); empty: found or downloaded")
    pooling: str = option("max", "pooling inside VGG", choices=("max", "average"))
    supervision: str = option(
        "perceptual", "what teaches: perceptual losses, finished pairs, or first pairs", choices=("perceptual", "pairs", "both")
    )
    pairs: str = option("", "folder of `onestroke pairs`, for supervision by pairs or both")
    pair_share: float = option(0.3, "share of the steps that `both` spends on pairs", least=0.0)
    pair_steps: int = option(0, "steps that `both` spends on pairs; 0: their share of all", least=0)
    scales: list[Scale] = option(
        SCALES, "what the losses compare at each scale; none: the layers below, in whole pictures", empty=True
    )
    style_layers: list[str] = option(["relu1_2", "relu2_2", "relu3_3", "relu4_3"], "without scales: layers of the style term")
    content_layers: list[str] = option(["relu2_2"], "without scales: layers of the content term; also those of pairs")
    style_levels: str = option(
        "auto", "auto: the style image's light over the full range, a little more color; or none", choices=("auto", "none")
    )
    style_weight: float = option(1.0, "weight of the style term", least=0.0)
    content_weight: float = option(0.4, "weight of the content term", least=0.0)
    tv_weight: float = option(0.03, "weight of total variation", least=0.0)
    steady_weight: float = option(0.5, "weight of steadiness under small shifts, warps, light and noise", least=0.0)
    style_size: int = option(512, "shorter side of the painting in pixels; brush strokes scale with it", least=32)
    size: int = option(0, "side of the training crops in pixels; 0: 256, or what three of four photos reach", least=0)
    batch: int = option(16, "photos per step", least=1)
    steps: int = option(10_000, "optimiser steps", least=1)
    minutes: float = option(0.0, "time budget; above 0 it replaces steps: two thirds of it settle how many", least=0.0)
    optimizer: str = option("muon", "what steps the network", choices=("muon", "adam"))
    rate: float = option(0.0, "peak learning rate; 0: what suits the optimizer and the network", least=0.0)
    warmup: int = option(50, "steps of linear warm-up (at most a quarter of all)", least=0)
    clip: float = option(5.0, "gradient norm limit", least=0.0)
    ema: float = option(0.995, "decay of the weight average that is validated and exported", least=0.0)
    val_photos: int = option(16, "held-out photos in the objective", least=1)
    val_every: int = option(500, "steps between objectives on held-out photos", least=1)
    preview_every: int = option(500, "steps between preview pictures", least=1)
    save_every: int = option(100, "steps between checkpoints", least=1)
    precision: str = option("auto", "arithmetic; auto: bf16 where the processor has it", choices=("auto", "fp32", "bf16"))
    device: str = option("auto", "where to train", choices=("auto", "cpu", "cuda"))
    workers: int = option(-1, "data-loading processes; -1: none on a CPU, up to 8 beside a GPU", least=-1)
    seed: int = option(0, "seed of weights and data", least=0, most=2**63 - 1)


# What a run in progress may change without ceasing to be the same run.
CHANGEABLE = ("out", "steps", "minutes", "pair_steps", "val_every", "preview_every", "save_every", "device", "workers",
              "precision", "vgg_weights")  # fmt: skip

# What a CPU run changes: it ends in minutes and still shows the style.
QUICK: dict[str, Any] = {
    "batch": 2,
    "steps": 500,
    "minutes": 4.0,
    "warmup": 40,
    "val_every": 100,
    "preview_every": 100,
    "save_every": 50,
}


def check(config: C) -> C:
    """Return `config` if every value has its field's type and lies in range; raise ConfigError naming the first bad one."""
    hints = typing.get_type_hints(type(config))
    for f in fields(config):
        value = getattr(config, f.name)
        if f.metadata["empty"] and not value:
            value = value or {} if typing.get_origin(hints[f.name]) is dict else []
        else:
            value = _coerce(f.name, value, hints[f.name])
        least, choices = f.metadata["least"], f.metadata["choices"]
        single = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        for number in single:
            if least is not None and not number >= least:
                raise ConfigError(f"{f.name}: {number} is too small; use {least:g} or more")
            if f.metadata["most"] is not None and number > f.metadata["most"]:
                raise ConfigError(f"{f.name}: {number} is too large; use {f.metadata['most']:g} or less")
        if choices and value not in choices:
            raise ConfigError(f"{f.name}: unknown value {value!r}; choose from {', '.join(choices)}")
        object.__setattr__(config, f.name, value)
    return config


_EXPECTED = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _coerce(name: str, value: Any, hint: Any) -> Any:
    """`value` as the type `hint`, or ConfigError. One text stands for a list of it.

    YAML reads 1e-3 as a string and 1 as an int: both become floats.
    Weights by name (dict[str, float]) may also be a list of NAME and NAME=WEIGHT, as flags give them.
    """
    if hint == dict[str, float]:
        if isinstance(value, list) and all(isinstance(v, str) for v in value):
            value = {key: weight or 1.0 for key, _, weight in (v.partition("=") for v in value)}
        if not isinstance(value, dict) or not value:
            raise ConfigError(f"{name}: expected names, or NAME=WEIGHT, got {value!r}")
        return {str(key): _coerce(f"{name}: {key}", weight, float) for key, weight in value.items()}
    if typing.get_origin(hint) is list:
        if isinstance(value, str) and typing.get_args(hint)[0] is str:
            value = [value]
        if not isinstance(value, list) or not value:
            raise ConfigError(f"{name}: expected a list, got {value!r}")
        return [_coerce(name, entry, typing.get_args(hint)[0]) for entry in value]
    if hint is Scale:
        if isinstance(value, Scale):
            return check(value)
        if not isinstance(value, dict):
            raise ConfigError(f"{name}: expected `key: value` lines for each scale, got {value!r}")
        return merge(Scale(), value, name)
    if hint is float and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    elif isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise ConfigError(f"{name}: expected {_EXPECTED[hint]}, got {value!r}")


def merge(config: C, values: Mapping[str, Any], source: str) -> C:
    """`config` with `values` laid over it. Unknown keys raise ConfigError with the nearest known name."""
    known = [f.name for f in fields(config)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"{source}: unknown key {key!r}; {hint}")
    return check(replace(config, **values))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; ConfigError where it is missing, unreadable or something else."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise ConfigError(f"{path}: cannot read the config ({reason})") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML ({because(error)})") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected `key: value` lines, got a {type(values).__name__}")
    return values


def load(path: str | Path) -> TrainConfig:
    """The training run that a YAML file describes, defaults where it is silent. Raises ConfigError."""
    return merge(TrainConfig(), {**plain(values := read_yaml(path)), **values}, str(path))


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """What settings mean that name style layers and no scales, as those of version 0.1 do: whole pictures at one size."""
    return (
        {"scales": [], "style_levels": "none", "content_weight": 0.25, "tv_weight": 0.05}
        if "style_layers" in values and "scales" not in values
        else {}
    )


def differing(one: TrainConfig, other: TrainConfig) -> list[str]:
    """The fields that make two runs of them: those that differ, but for what a run in progress may change."""
    values = asdict(other)
    return [name for name, value in asdict(one).items() if name not in CHANGEABLE and value != values[name]]


def write_yaml(config: DataclassInstance, path: Path) -> None:
    """Save every field, resolved, so that the run can be repeated from this file alone."""
    write_mapping(asdict(config), path)


def write_mapping(values: Mapping[str, Any], path: Path) -> None:
    """Save `values` as YAML, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(dict(values), sort_keys=False), encoding="utf-8")


def add_flags(parser: argparse.ArgumentParser, kind: type[DataclassInstance], skip: tuple[str, ...] = ()) -> None:
    """One flag per field of a configuration, but for scales, which a file describes better.

    An absent flag stays out of the namespace, so only given flags override.
    """
    hints = typing.get_type_hints(kind)
    for f in fields(kind):
        hint, choices = hints[f.name], f.metadata["choices"]
        if f.name in skip or hint == list[Scale]:
            continue
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": f.metadata["help"]}
        if hint is bool:
            options |= {"action": argparse.BooleanOptionalAction}
        elif typing.get_origin(hint) in (list, dict):
            weighed = typing.get_origin(hint) is dict
            options |= {"nargs": "+", "type": str if weighed else typing.get_args(hint)[0]}
            options |= {"metavar": "LAYER=WEIGHT" if weighed else f.name.upper()}
        else:
            options |= {"type": hint, "metavar": "|".join(choices) or f.name.upper()}
        parser.add_argument("--" + f.name.replace("_", "-"), **options)


def cache_folder() -> Path:
    """ONESTROKE_CACHE, or onestroke/ in the user's cache folder."""
    if folder := os.environ.get("ONESTROKE_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onestroke"
