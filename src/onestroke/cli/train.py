"""onestroke train PAINTING...: train a network that paints in the style of a painting, or of several, and export it."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from onestroke import config as configs
from onestroke.config import QUICK, TrainConfig, style_name
from onestroke.errors import ConfigError

PATHS = ("content", "val", "pairs", "vgg_weights", "start")

EXAMPLES = """examples:
  python train.py                                   the painting and photos in the box; minutes on a CPU
  python train.py wave.jpg --content photos/        your painting, your photos
  python train.py wave.jpg scream.jpg               one network, two styles: stylize --style wave:0.7,scream:0.3
  python train.py wave.jpg --config configs/default.yaml --steps 20000
  python train.py wave.jpg --resume                 go on after Ctrl-C or a crash
"""


def parser() -> argparse.ArgumentParser:
    """All flags: one per field of TrainConfig."""
    made = argparse.ArgumentParser(
        prog="train.py", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("painting", nargs="*", help="the style images' files; none: a painting of ours")
    made.add_argument("--config", metavar="YAML", help="a file of settings; flags win over it")
    made.add_argument("--resume", action="store_true", help="continue the last run of this painting, or the one in --out")
    configs.add_flags(made, TrainConfig, skip=("painting",))
    return made


def main(arguments: Sequence[str]) -> int:
    """Parse, train, say where everything is."""
    flags = vars(parser().parse_args(arguments))
    source, resume = flags.pop("config"), flags.pop("resume")
    if not flags["painting"]:
        del flags["painting"]
    flags = configs.plain(flags) | flags
    if "steps" in flags and "minutes" not in flags:
        flags["minutes"] = 0.0
    if resume:
        config, folder = _resumed((configs.read_yaml(source) if source else {}) | flags)
    else:
        config = _fresh(flags, source)
        folder = _new_folder(config)

    from rich.console import Console

    from onestroke.fast import run

    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()
    result = run.train(config, folder, console)
    if result.model is None:
        console.print(
            f"stopped at step {result.steps} of {config.steps} and saved; go on with: train.py --out {folder} --resume"
        )
        return 130
    terms = ", ".join(f"{name} {value:.3f}" for name, value in result.objective.items())
    console.print(f"done in {(time.monotonic() - began) / 60:.1f} minutes; held-out objective: {terms}")
    console.print(f"  model    {result.model}\n  sample   {result.sample}\n  previews {folder / 'previews'}", markup=False)
    console.print(f"paint a photo: onestroke stylize {result.model} photo.jpg", markup=False)
    return 0


def _fresh(flags: dict[str, Any], source: str | None) -> TrainConfig:
    """Defaults for this machine, then the YAML, then the flags."""
    if source:
        config = configs.load(source)
    else:
        config = TrainConfig() if _has_gpu(flags.get("device", "auto")) else configs.merge(TrainConfig(), QUICK, "quick")
    return _absolute(configs.merge(config, flags, "flags"))


def _absolute(config: TrainConfig) -> TrainConfig:
    """With paths that mean the same wherever the run is resumed from."""
    paths: dict[str, Any] = {name: str(Path(path).resolve()) for name in PATHS if (path := getattr(config, name))}
    paths["painting"] = [str(Path(path).resolve()) for path in config.painting]
    if not Path(config.start).is_file():  # a name
        del paths["start"]
    return configs.merge(config, paths, "flags")


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
    if config.out:
        if (Path(config.out) / "config.yaml").exists():
            raise ConfigError(f"out: {config.out} holds a run already; add --resume to continue it, or name another folder")
        return Path(config.out)
    taken = _runs(config.painting)
    number = 1 + max((int(m[1]) if (m := re.search(r"-(\d+)$", p.name)) else 1 for p in taken), default=0)
    stem = style_name(config.painting)
    return Path("runs") / (stem if number == 1 else f"{stem}-{number}")


def _resumed(flags: dict[str, Any]) -> tuple[TrainConfig, Path]:
    """The saved configuration of the run to continue, with what may be changed changed; its steps are what minutes became."""
    if "out" in flags:
        folder = Path(flags["out"])
    else:
        found = _runs(flags.get("painting", []))
        if not found:
            raise ConfigError(
                f"resume: no run of {style_name(flags.get('painting', ''))!r} under runs/; name its folder with --out"
            )
        folder = found[-1]
    if not (folder / "config.yaml").is_file():
        raise ConfigError(f"resume: {folder} holds no run (no config.yaml)")
    saved = configs.load(folder / "config.yaml")
    config = _absolute(configs.merge(saved, {k: v for k, v in flags.items() if k != "minutes"}, "flags"))
    for name in configs.differing(saved, config):
        before, now = getattr(saved, name), getattr(config, name)
        raise ConfigError(f"resume: {name} was {before!r} in {folder} and cannot become {now!r}; start a new run")
    return config, folder
