"""Run folders: the settings and the place of a new run, or of one to go on with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onestroke.config import schema
from onestroke.config import training as configs
from onestroke.config.training import QUICK, TrainConfig, style_name
from onestroke.errors import ConfigError
from onestroke.training.processes import rank

PATHS = ("content", "val", "pairs", "vgg_weights", "initialize_from")


def choose(settings: Mapping[str, Any], source: str | None = None, resume: bool = False) -> tuple[TrainConfig, Path]:
    """The configuration and the folder of a run: a new one, or with `resume` the last of these paintings, or the one in out.

    settings: fields of TrainConfig, which win over those of the YAML file `source`. Raises ConfigError.
    """
    given = {**configs.plain(settings), **settings}
    if "steps" in given and "minutes" not in given:
        given["minutes"] = 0.0
    if resume:
        return _resumed((configs.read_settings(source) if source else {}) | given)
    config = _fresh(given, source)
    return config, _new_folder(config)


def _fresh(given: dict[str, Any], source: str | None) -> TrainConfig:
    """Defaults for this machine, then the YAML, then the flags."""
    if source:
        config = configs.load(source)
        if config.title and not (config.style_image or given.get("style_image")):
            raise ConfigError(f"style_image: {source} is the recipe of {config.title!r}; name the painting's file too")
    else:
        config = TrainConfig() if _has_gpu(given.get("device", "auto")) else schema.merge(TrainConfig(), QUICK, "quick")
    return _absolute(schema.merge(config, given, "settings"))


def _absolute(config: TrainConfig) -> TrainConfig:
    """With paths that mean the same wherever the run is resumed from."""
    paths: dict[str, Any] = {name: str(Path(path).resolve()) for name in PATHS if (path := getattr(config, name))}
    paths["style_image"] = [str(Path(path).resolve()) for path in config.style_image]
    if not Path(config.initialize_from).is_file():  # a name
        del paths["initialize_from"]
    return schema.merge(config, paths, "flags")


def _has_gpu(device: str) -> bool:
    import torch

    return device != "cpu" and torch.cuda.is_available()


def _runs(painting: Sequence[str]) -> list[Path]:
    """runs/NAME, runs/NAME-2, ... that exist, in order."""
    stem = style_name(painting)
    numbered = {
        int(m[1] or 1): p for p in Path("runs").glob("*") if (m := re.fullmatch(re.escape(stem) + r"(?:-(\d+))?", p.name))
    }
    return [numbered[n] for n in sorted(numbered)]


def _new_folder(config: TrainConfig) -> Path:
    """The run folder: --out, which must not hold a run yet, or the next free runs/NAME."""
    if config.devices * config.nodes > 1:
        if not config.out:
            raise ConfigError("out: several processes need a name for the run's folder; add --out FOLDER")
        if rank(config.devices, config.nodes):  # the first process looks after it
            return Path(config.out)
    if config.out:
        if (Path(config.out) / "config.yaml").exists():
            raise ConfigError(f"out: {config.out} holds a run already; add --resume to continue it, or name another folder")
        # A kill may have left a hidden file before the first of the run was whole.
        if Path(config.out).is_dir() and any(not path.name.startswith(".") for path in Path(config.out).iterdir()):
            raise ConfigError(f"out: {config.out} holds files that are no run; name a new folder")
        return Path(config.out)
    taken = _runs(config.style_image)
    number = 1 + max((int(m[1]) if (m := re.search(r"-(\d+)$", p.name)) else 1 for p in taken), default=0)
    stem = style_name(config.style_image)
    return Path("runs") / (stem if number == 1 else f"{stem}-{number}")


def _resumed(flags: dict[str, Any]) -> tuple[TrainConfig, Path]:
    """The saved configuration of the run to continue, with what may be changed changed; its steps are what minutes became."""
    if "out" in flags:
        folder = Path(flags["out"])
    else:
        found = _runs(flags.get("style_image", []))
        if not found:
            raise ConfigError(
                f"resume: no run of {style_name(flags.get('style_image', ''))!r} under runs/; name its folder with --out"
            )
        folder = found[-1]
    if not (folder / "config.yaml").is_file():
        raise ConfigError(f"resume: {folder} holds no run (no config.yaml)")
    saved = configs.load_run(folder / "config.yaml")
    given = {name: value for name, value in flags.items() if name != "minutes" and (name != "size" or value)}  # 0: as settled
    config = _absolute(schema.merge(saved, given, "flags"))
    for name in configs.differing(saved, config):
        before, now = getattr(saved, name), getattr(config, name)
        raise ConfigError(f"resume: {name} was {before!r} in {folder} and cannot become {now!r}; start a new run")
    return config, folder
