"""The one command for a GPU: trains a network for each painting, says how long it took and how busy the GPU was.

    uv run benchmarks/gpu.py paintings/*.jpg --content photos/ --val unseen/ --size 384 --steps 10000

Uses the default configuration (batches of 16: 160,000 crops a style). Trainings resume if the command is called again.
`--size 64 --steps 8 --batch 2` tries it out anywhere. Judge what came out with benchmarks/quality.py.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import threading
import time
from pathlib import Path

from rich.console import Console

from onestroke.api import run_training
from onestroke.config.schema import add_flags, merge
from onestroke.config.training import TrainConfig
from onestroke.events import Event, Judged, Note, Report, Step


class Utilization(threading.Thread):
    """Samples, twice a second, the share of the time that the GPU computes; empty where there is none."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[float] = []
        self.done = threading.Event()

    def run(self) -> None:
        """Ask the driver's tool until told to stop."""
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
        while not self.done.wait(0.5):
            try:
                self.samples.append(float(subprocess.run(query, capture_output=True, text=True, check=True).stdout))
            except (OSError, ValueError, subprocess.CalledProcessError):
                return


def _lines(console: Console) -> Report:
    """What a training reports, as lines: objectives, notes, every hundredth step."""

    def show(event: Event) -> None:
        if isinstance(event, Judged | Note) or (isinstance(event, Step) and event.step % 100 == 0):
            console.print(event)

    return show


def main() -> None:
    """Train one after the other; a line and a row of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paintings", nargs="+", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/gpu"))
    add_flags(parser, TrainConfig, skip=("style_image", "out", "minutes"))
    flags = vars(parser.parse_args())
    paintings, folder = flags.pop("paintings"), flags.pop("folder")
    console, rows = Console(), []
    for painting in paintings:
        config = merge(TrainConfig(), flags | {"style_image": [str(painting)]}, "flags")
        watch, began = Utilization(), time.monotonic()
        watch.start()
        result = run_training(config, folder / painting.stem, _lines(console))
        watch.done.set()
        if result.model is None:
            return
        seconds = time.monotonic() - began
        busy = statistics.mean(watch.samples) if watch.samples else None
        row = {"style": painting.stem, "minutes": seconds / 60, "images_per_second": config.steps * config.batch / seconds}
        rows.append(row | {"gpu_busy": busy, "model": str(result.model)} | result.objective)
        (folder / "gpu.json").write_text(json.dumps(rows, indent=1))
        console.print(rows[-1])


if __name__ == "__main__":
    main()
