"""onestroke train PAINTING...: train a network that paints in the style of a painting, or of several, and export it."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Sequence

from onestroke.cli import cluster, engines
from onestroke.cli.flags import Parser
from onestroke.config import schema
from onestroke.config.cache import MOST, photo_folder, size
from onestroke.config.training import TrainConfig
from onestroke.errors import ConfigError

EXAMPLES = """examples:
  onestroke train                                   the sample painting and photos; minutes on a CPU
  onestroke train wave.jpg --content photos/        your painting, your photos
  onestroke train wave.jpg scream.jpg               one network, two styles: stylize --style wave:0.7,scream:0.3
  onestroke train wave.jpg --config configs/default.yaml --steps 20000
  onestroke train a.jpg b.jpg c.jpg --engine ray    a network for each, runs/a, runs/b, ..., on a Ray cluster's GPUs or cores
  onestroke train wave.jpg --resume                 go on after Ctrl-C or a crash
"""


def parser() -> Parser:
    """All flags: one per field of TrainConfig."""
    folder = photo_folder()
    kept = (
        f"decoded photos are kept in {folder} ({size(folder) / 1e9:.1f} GB, at most {MOST / 1e9:.0f}; ONESTROKE_CACHE moves it)"
    )
    made = Parser("train", __doc__, f"{EXAMPLES}\n{kept}")
    made.add_argument("style_image", nargs="*", help="files of the style images; none: the sample painting")
    made.add_argument("--config", metavar="YAML", help="a file of settings; flags win over it")
    made.add_argument("--resume", action="store_true", help="continue the last run of this painting, or the one in --out")
    engines.add_flags(made, "a network for each style image, in OUT/<painting>, on a Ray cluster; run again to go on")
    schema.add_flags(made, TrainConfig, skip=("style_image",))
    return made


def main(arguments: Sequence[str]) -> int:
    """Parse, train, say where everything is."""
    flags = vars(parser().read(arguments))
    source, resume = flags.pop("config"), flags.pop("resume")
    engine, address = flags.pop("engine"), flags.pop("address")
    if not flags["style_image"]:
        del flags["style_image"]
    if engine == "ray":
        return cluster.train_each(flags, source, address)
    if address:
        raise ConfigError("address: is of a cluster; add --engine ray")

    from rich.console import Console

    from onestroke.api import run_training
    from onestroke.cli.progress import TrainingLine
    from onestroke.training.folders import choose
    from onestroke.training.processes import rank

    config, folder = choose(flags, source, resume)
    if rank(config.devices, config.nodes):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # they reach all processes: the first one tells the others to stop
        run_training(config, folder)
        return 0
    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()
    with TrainingLine(console) as line:
        run = run_training(config, folder, line.show)
    if run.model is None:
        again = f"onestroke train --out {shlex.quote(str(folder))} --resume"
        console.print(f"stopped at step {run.steps} and saved; go on with: {again}", markup=False)
        return line.interrupt.code
    terms = ", ".join(f"{name} {value:.3f}" for name, value in run.objective.items())
    console.print(f"done in {(time.monotonic() - began) / 60:.1f} minutes; held-out objective: {terms}")
    console.print(f"  model    {run.model}\n  sample   {run.sample}\n  previews {folder / 'previews'}", markup=False)
    console.print(f"stylize a photo: onestroke stylize {shlex.quote(str(run.model))} photo.jpg", markup=False)
    return 0
