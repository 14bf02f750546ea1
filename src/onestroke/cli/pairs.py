"""onestroke pairs PAINTING... --content DIR -o DIR: photos and what the slow half makes of them, to train on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onestroke.cli import cluster, engines
from onestroke.cli.flags import Parser
from onestroke.config import schema
from onestroke.config.devices import TORCH_DEVICES
from onestroke.config.shard import Shard
from onestroke.errors import ConfigError
from onestroke.images import read_image
from onestroke.interrupt import Interrupt
from onestroke.optimization.gatys.presets import PRESETS, Recipe, recipe

if TYPE_CHECKING:
    from onestroke.optimization.gatys.synthesis import Progress as Where

EXAMPLES = f"""presets: {", ".join(PRESETS)}

examples:
  onestroke pairs wave.jpg --content photos/ -o pairs/wave --count 200       run again to go on after Ctrl-C or a crash
  onestroke pairs wave.jpg --content photos/ -o pairs/wave --shard 1/4       one of four processes on the same folder
  onestroke pairs wave.jpg --content photos/ -o pairs/wave --engine ray      a shard on each core, or GPU, of a Ray cluster
  onestroke pairs wave.jpg --content photos/ -o pairs/wave --preset quality --batch 8       a GPU (not with L-BFGS)
  onestroke train wave.jpg --content photos/ --supervision both --pairs pairs/wave
"""


def parser() -> Parser:
    """All flags: one per field of Recipe, and what is about folders."""
    made = Parser("pairs", __doc__, EXAMPLES)
    made.add_argument("paintings", nargs="+", metavar="painting", help="picture files")
    made.add_argument("--content", required=True, metavar="DIR", help="folder of photos, searched recursively")
    made.add_argument("-o", "--out", required=True, metavar="DIR", help="folder of pairs, new or to go on with")
    made.add_argument("--preset", default="training", metavar="NAME", help="settings to start from; default: training")
    made.add_argument("--shard", default="1/1", metavar="I/N", help="make part I of N; parts may run at the same time")
    made.add_argument("--batch", type=int, default=1, metavar="N", help="pairs at a time; more than one helps a GPU")
    made.add_argument(
        "--count", type=int, default=0, metavar="N", help="of the shard's photos (with Ray: of all), only the first N"
    )
    made.add_argument(
        "--memory", type=int, default=0, metavar="MB", help="bound, kept by exact tiles; default: half of what is free"
    )
    made.add_argument("--device", default="auto", choices=TORCH_DEVICES, help="default: a GPU where there is one")
    engines.add_flags(made, "a shard on each worker of a Ray cluster, into one folder that all machines share")
    made.add_argument("--workers", type=int, default=0, metavar="N", help="of Ray; default: one a GPU, else one a core")
    schema.add_flags(made, Recipe)
    return made


def main(arguments: Sequence[str]) -> int:
    """Parse, make what is missing, say how many there are; 1 if some photos had to be skipped."""
    flags = vars(parser().read(arguments))
    engine, address, workers = (flags.pop(name) for name in ("engine", "address", "workers"))
    if engine == "local" and (address or workers):
        raise ConfigError("address, workers: are of a cluster; add --engine ray")
    own = {name: flags.pop(name) for name in ("paintings", "content", "out", "preset", "shard", "batch", "count", "memory",
                                              "device")}  # fmt: skip
    for name, least in (("batch", 1), ("count", 0), ("memory", 0)):
        if own[name] < least:
            raise ConfigError(f"{name}: {own[name]} is too small; use {least} or more")
    chosen = recipe(own["preset"], **flags)
    pictures = [(path, read_image(path)) for path in own["paintings"]]
    if engine == "ray":
        return cluster.make_pairs(own, flags, address, workers)

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from onestroke.losses.vgg import choose_device
    from onestroke.optimization import pairs
    from onestroke.optimization.gatys.materials import Painting

    console = Console(highlight=False, stderr=True, soft_wrap=True)
    paintings = [Painting(path, picture.rgb, picture.alpha) for path, picture in pictures]
    folder, shard = Path(own["out"]), Shard.parse(own["shard"])
    bar = Progress(TextColumn("{task.completed}/{task.total} pairs"), BarColumn(None), TextColumn("{task.description}"),
                   TimeRemainingColumn(), console=console, disable=not console.is_terminal)  # fmt: skip
    skipped = made = 0
    with Interrupt() as interrupt, bar:
        task = bar.add_task("", total=None)

        def watch(progress: Where) -> bool:
            bar.update(task, description=f"scale {progress.scale + 1}/{progress.scales} step {progress.step.step}")
            return interrupt.asked

        for report in pairs.make(folder, Path(own["content"]), chosen, paintings, shard=shard, batch=own["batch"],
                                 count=own["count"], device=choose_device(own["device"]), memory=own["memory"],
                                 callback=watch):  # fmt: skip
            made, skipped = made + (not report.skipped), skipped + bool(report.skipped)
            if report.skipped:
                console.print(f"skipped: {report.skipped}", style="yellow", markup=False)
            bar.update(task, completed=made + skipped, total=made + skipped + report.left)
            if interrupt.asked:
                break
    print(f"{made} pairs made, {len(pairs.read_pairs(folder))} in {folder}")
    if interrupt.asked:
        console.print("stopped; run the same command again to go on")
        return interrupt.code
    return 1 if skipped else 0
