"""Throughput of pair-making by batch size, against one pair at a time. A GPU gains from batches; a CPU should not lose.

    uv run benchmarks/pairs.py --size 256 --batch 1 4 16

Interleaves a few evaluations of each batch size, Adam, the preset `training`, procedural photos.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from onestroke.losses.vgg import choose_device
from onestroke.optimization.gatys.materials import Painting
from onestroke.optimization.gatys.presets import recipe
from onestroke.optimization.gatys.synthesis import Gatys
from onestroke.samples import scenes
from onestroke.samples.painting import picture


def main() -> None:
    """Measure, print the table, save the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--evaluations", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("runs/benchmarks/pairs.json"))
    flags = parser.parse_args()
    device = choose_device("auto")
    # One scale, so that a round is `evaluations` at the pairs' own size; torch waits for each loss, so the clock is right.
    chosen = recipe("training", optimizer="adam", rate=0.02, size=flags.size, smallest=flags.size, steps=[flags.evaluations])
    photos = np.stack([scenes.draw(seed, flags.size) for seed in range(max(flags.batch))])
    work = {n: Gatys(chosen, photos[:n], [Painting("brushwork", picture())], device=device, memory=10**6) for n in flags.batch}
    rate: dict[int, list[float]] = {n: [] for n in flags.batch}
    for repeat in range(flags.repeats + 1):
        for n, gatys in work.items():
            gatys.restart(photos[:n])
            gatys.run()
            if repeat:
                rate[n].append(n * flags.evaluations / gatys.seconds)
    one = rate[flags.batch[0]]
    rows = {n: {"picture-evaluations/s": round(statistics.median(r), 2),
                f"times batch {flags.batch[0]}": round(statistics.median(a / b for a, b in zip(r, one, strict=True)), 3)}
            for n, r in rate.items()}  # fmt: skip
    table = Table(title=f"{device}, {torch.get_num_threads()} threads, {flags.size} px")
    for column in ("batch", *rows[flags.batch[0]]):
        table.add_column(column)
    for n, row in rows.items():
        table.add_row(str(n), *(str(value) for value in row.values()))
    Console().print(table)
    flags.json.parent.mkdir(parents=True, exist_ok=True)
    flags.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
