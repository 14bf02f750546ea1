"""Configuration: dataclasses, filled from YAML and then from flags. Flags always win; unknown keys are errors."""

from __future__ import annotations

import argparse
import difflib
import math
import typing
from collections.abc import Mapping
from dataclasses import asdict, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from onestroke.config.parsing import parse
from onestroke.errors import ConfigError, because, shown
from onestroke.files import check_file, replacing

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")
# What no number here exceeds that has no bound of its own: larger ones overflow somewhere, hours later.
LARGEST = 10**9


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
                raise ConfigError(f"{f.name}: {shown(number)} is too small; use {least:g} or more")
            if isinstance(number, int | float) and number > (most := f.metadata["most"] or LARGEST):
                raise ConfigError(f"{f.name}: {shown(number)} is too large; use {most:g} or less")
        if choices and value not in choices:
            raise ConfigError(f"{f.name}: unknown value {shown(value)}; choose from {', '.join(choices)}")
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
            raise ConfigError(f"{name}: expected names, or NAME=WEIGHT, got {shown(value)}")
        return {str(key): _coerce(f"{name}: {key}", weight, float) for key, weight in value.items()}
    if typing.get_origin(hint) is list:
        if isinstance(value, str) and typing.get_args(hint)[0] is str:
            value = [value]
        if not isinstance(value, list) or not value:
            raise ConfigError(f"{name}: expected a list, got {shown(value)}")
        return [_coerce(name, entry, typing.get_args(hint)[0]) for entry in value]
    if isinstance(hint, type) and is_dataclass(hint):
        if isinstance(value, hint):
            return check(value)
        if not isinstance(value, dict):
            raise ConfigError(f"{name}: expected `key: value` lines, got {shown(value)}")
        return merge(hint(), value, name)
    if hint is float and not isinstance(value, bool):
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            pass
        else:
            if math.isinf(number):
                raise ConfigError(f"{name}: {number} is no finite number")
            return number
    elif hint is str and isinstance(value, str) and "\0" in value:
        raise ConfigError(f"{name}: {shown(value)} holds a NUL character, which no name may")
    elif isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise ConfigError(f"{name}: expected {_EXPECTED[hint]}, got {shown(value)}")


def merge(config: C, values: Mapping[str, Any], source: str) -> C:
    """`config` with `values` laid over it. Unknown keys raise ConfigError with the nearest known name."""
    check_names(config, values, source)
    return check(replace(config, **values))


def check_names(config: Any, values: Mapping[str, Any], source: str) -> None:
    """Raise ConfigError for a key that is no field of the dataclass, with the nearest that is."""
    known = [f.name for f in fields(config)]
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"{source}: unknown key {shown(key)}; {hint}")


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; ConfigError where it is missing, unreadable or something else."""
    try:
        check_file(path)
        values = parse(Path(path).read_text(encoding="utf-8"))
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


def write_yaml(config: DataclassInstance, path: Path) -> None:
    """Save every field, resolved, so that the run can be repeated from this file alone."""
    write_mapping(asdict(config), path)


def write_mapping(values: Mapping[str, Any], path: Path) -> None:
    """Save `values` as YAML, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(yaml.safe_dump(dict(values), sort_keys=False), encoding="utf-8")


def add_flags(parser: argparse.ArgumentParser, kind: type[DataclassInstance], skip: tuple[str, ...] = ()) -> None:
    """One flag per field of a configuration, but for lists of dataclasses, which a file describes better.

    An absent flag stays out of the namespace, so only given flags override.
    """
    hints = typing.get_type_hints(kind)
    for f in fields(kind):
        hint, choices = hints[f.name], f.metadata["choices"]
        if f.name in skip or any(is_dataclass(kind) for kind in typing.get_args(hint)):
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
