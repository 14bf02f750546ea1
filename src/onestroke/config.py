"""Configuration: flat dataclasses, filled from YAML and then from flags. Flags always win; unknown keys are errors."""

from __future__ import annotations

import argparse
import difflib
import os
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from onestroke.errors import ConfigError

# The painting in the box (samples/painting.py).
SAMPLE_PAINTING = "brushwork"


def style_name(painting: str) -> str:
    """What a style is called: its painting's file name without extension; SAMPLE_PAINTING where none was given."""
    return Path(painting).stem if painting else SAMPLE_PAINTING


def _f(default: Any, text: str, *, least: float | None = None, choices: tuple[str, ...] = ()) -> Any:
    """A dataclass field with its help text, its least allowed value and its allowed names."""
    meta = {"help": text, "least": least, "choices": choices}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=meta)
    return field(default=default, metadata=meta)


@dataclass(frozen=True)
class TrainConfig:
    """One training run. The defaults suit one GPU; QUICK below holds what changes on a CPU.

    Loss weights are dimensionless: 1.0 of each term is what doing nothing useful costs (perception/losses.py).
    """

    painting: str = _f("", "the painting's picture file; empty: the painting that comes in the box")
    content: str = _f("", "folder of photos, searched recursively; empty: the samples that come in the box")
    val: str = _f("", "folder of held-out photos; empty: some are set aside from the content photos")
    out: str = _f("", "run folder; empty: runs/<painting>")
    network: str = _f("onestroke", "which network to train (fast/networks.py)")
    vgg: str = _f("vgg16", "which VGG judges", choices=("vgg16", "vgg19"))
    vgg_weights: str = _f("", "file with VGG weights (.pth .h5 .mat .onnx .safetensors); empty: found or downloaded")
    pooling: str = _f("max", "pooling inside VGG", choices=("max", "average"))
    style_layers: list[str] = _f(["relu1_2", "relu2_2", "relu3_3", "relu4_3"], "VGG layers whose Gram matrices count")
    content_layers: list[str] = _f(["relu2_2"], "VGG layers whose activations count")
    style_weight: float = _f(1.0, "weight of the style term", least=0.0)
    content_weight: float = _f(0.25, "weight of the content term", least=0.0)
    tv_weight: float = _f(0.05, "weight of total variation", least=0.0)
    style_size: int = _f(512, "shorter side of the painting in pixels; brush strokes scale with it", least=32)
    size: int = _f(256, "side of the training crops in pixels", least=32)
    batch: int = _f(16, "photos per step", least=1)
    steps: int = _f(10_000, "optimiser steps", least=1)
    minutes: float = _f(0.0, "time budget; when > 0, replaces steps after timing the first ones", least=0.0)
    rate: float = _f(2e-3, "Adam's peak learning rate", least=0.0)
    warmup: int = _f(50, "steps of linear warm-up (at most a quarter of all)", least=0)
    clip: float = _f(5.0, "gradient norm limit", least=0.0)
    ema: float = _f(0.995, "decay of the weight average that is validated and exported", least=0.0)
    val_photos: int = _f(16, "held-out photos in the objective", least=1)
    val_every: int = _f(500, "steps between objectives on held-out photos", least=1)
    preview_every: int = _f(500, "steps between preview pictures", least=1)
    save_every: int = _f(100, "steps between checkpoints", least=1)
    precision: str = _f("auto", "arithmetic", choices=("auto", "fp32", "bf16"))
    device: str = _f("auto", "where to train", choices=("auto", "cpu", "cuda"))
    workers: int = _f(-1, "data-loading processes; -1: none on a CPU, up to 8 beside a GPU", least=-1)
    seed: int = _f(0, "seed of weights and data", least=0)


# What a CPU run changes: it ends in minutes and still shows the style.
QUICK: dict[str, Any] = {
    "size": 128,
    "batch": 4,
    "style_size": 256,
    "steps": 400,
    "minutes": 4.0,
    "warmup": 20,
    "val_every": 100,
    "preview_every": 100,
    "save_every": 50,
}


def check(config: TrainConfig) -> TrainConfig:
    """Return `config` if every value has its field's type and lies in range; raise ConfigError naming the first bad one."""
    hints = typing.get_type_hints(type(config))
    for f in fields(config):
        value = _coerce(f.name, getattr(config, f.name), hints[f.name])
        least, choices = f.metadata["least"], f.metadata["choices"]
        if least is not None and not value >= least:
            raise ConfigError(f"{f.name}: {value} is too small; use {least:g} or more")
        if choices and value not in choices:
            raise ConfigError(f"{f.name}: unknown value {value!r}; choose from {', '.join(choices)}")
        object.__setattr__(config, f.name, value)
    return config


def _coerce(name: str, value: Any, hint: Any) -> Any:
    """`value` as the type `hint`, or ConfigError. YAML reads 1e-3 as a string and 1 as an int: both become floats."""
    if hint == list[str]:
        if isinstance(value, list) and value and all(isinstance(v, str) for v in value):
            return value
    elif hint is float and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError):
            pass
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    expected = (
        "a list of names" if hint == list[str] else {"int": "a whole number", "float": "a number"}.get(hint.__name__, "text")
    )
    raise ConfigError(f"{name}: expected {expected}, got {value!r}")


def merge(config: TrainConfig, values: Mapping[str, Any], source: str) -> TrainConfig:
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
        raise ConfigError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected `key: value` lines, got a {type(values).__name__}")
    return values


def write_yaml(config: TrainConfig, path: Path) -> None:
    """Save every field, resolved, so that the run can be repeated from this file alone."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(yaml.safe_dump(asdict(config), sort_keys=False), encoding="utf-8")
    temporary.replace(path)


def add_flags(parser: argparse.ArgumentParser, skip: tuple[str, ...] = ()) -> None:
    """One flag per field of TrainConfig. An absent flag stays out of the namespace, so only given flags override YAML."""
    hints = typing.get_type_hints(TrainConfig)
    for f in fields(TrainConfig):
        if f.name in skip:
            continue
        options: dict[str, Any] = {"default": argparse.SUPPRESS, "help": f.metadata["help"]}
        if hints[f.name] == list[str]:
            options |= {"nargs": "+", "metavar": "LAYER"}
        else:
            options |= {"type": hints[f.name], "metavar": f.name.upper()}
            if f.metadata["choices"]:
                options["metavar"] = "|".join(f.metadata["choices"])
        parser.add_argument("--" + f.name.replace("_", "-"), **options)


def cache_folder() -> Path:
    """ONESTROKE_CACHE, or onestroke/ in the user's cache folder."""
    if folder := os.environ.get("ONESTROKE_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onestroke"
