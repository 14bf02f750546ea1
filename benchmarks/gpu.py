"""The one command for a GPU: how long the default training takes there, and whether it reaches what took others 40,000 steps.

    uv run benchmarks/gpu.py --painting wave.jpg --content photos/ --val unseen/

Trains the default configuration, then `johnson` as published (256 px, batch 4, 40,000 steps of Adam at 0.001; the same losses),
judges both exported models on the same unseen photos with the same units, and watches how busy the GPU is meanwhile.
Both trainings resume if the command is called again. `--steps 8 --published-steps 8 --size 64` tries it out anywhere.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import threading
import time
from pathlib import Path

from quality import PUBLISHED, judge
from rich.console import Console
from rich.table import Table

from onestroke.config import TrainConfig, add_flags, merge, read_yaml
from onestroke.fast.prepare import prepare
from onestroke.fast.run import train
from onestroke.runtime.stylize import Stylizer


class Utilisation(threading.Thread):
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


def main() -> None:
    """Train, judge, print the table, save the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published-steps", type=int, default=40_000)
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/gpu"))
    add_flags(parser, TrainConfig, skip=("network", "out", "minutes"))
    flags = vars(parser.parse_args())
    folder, published = flags.pop("folder"), flags.pop("published_steps")
    config = merge(TrainConfig(), {"val_photos": 40} | flags, "flags")
    console = Console()
    materials = prepare(config, console)
    runs = {"onestroke": config, "johnson as published": merge(config, read_yaml(PUBLISHED) | {"steps": published}, PUBLISHED)}
    rows = []
    for name, chosen in runs.items():
        watch, began = Utilisation(), time.monotonic()
        watch.start()
        result = train(chosen, folder / chosen.network, console)
        watch.done.set()
        if result.model is None:
            return
        seconds = time.monotonic() - began
        terms = judge(Stylizer(result.model, config.device), materials.loss, materials.photos, materials.device)
        row = {"run": name, "minutes": seconds / 60, "images_per_second": chosen.steps * chosen.batch / seconds}
        rows.append(row | {"gpu_busy": statistics.mean(watch.samples) if watch.samples else None} | terms)
        (folder / "gpu.json").write_text(json.dumps(rows, indent=1))
    table = Table(title=f"{materials.device}, {config.size} px; 1.0 of each term = what doing nothing costs")
    for column in rows[0]:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
