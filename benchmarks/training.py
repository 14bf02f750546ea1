"""Images/s of a training step and the share of it spent outside VGG, on this machine.

    uv run benchmarks/training.py --size 128 --batch 4 --network onestroke johnson

Interleaves three timings of the same batch: VGG alone (forward and input gradient up to relu4_3), the losses (which add
the photos' content features, Grams, total variation), and the whole step (which adds the network and Adam).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from onestroke.config import TrainConfig, merge
from onestroke.fast import data, networks
from onestroke.fast.module import to_float
from onestroke.fast.prepare import prepare


def main() -> None:
    """Measure, print the table, save the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--network", nargs="+", default=["onestroke", "johnson"])
    parser.add_argument("--json", type=Path, default=Path("runs/benchmarks/training.json"))
    flags = parser.parse_args()
    config = merge(TrainConfig(), {"size": flags.size, "batch": flags.batch, "style_size": 2 * flags.size}, "flags")
    materials = prepare(config, Console())
    batches = data.Batches(materials.photos.train, config.size, config.batch, config.seed)
    loss, device = materials.loss, materials.device
    photos = to_float(batches.at(0).to(device))

    def vgg_alone() -> None:
        x = photos.clone().requires_grad_()
        loss.vgg(x, ["relu4_3"])["relu4_3"].square().mean().backward()

    def losses() -> None:
        x = photos.clone().requires_grad_()
        loss(x, photos)["total"].backward()

    work: dict[str, Callable[[], None]] = {"VGG alone": vgg_alone, "losses": losses}
    for name in flags.network:
        work[f"step of {name}"] = _step(name, batches, loss, device)
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for repeat in range(flags.repeats + 2):
        for name, run in work.items():
            began = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if repeat >= 2:
                seconds[name].append(time.perf_counter() - began)
    rows = {name: statistics.median(times) for name, times in seconds.items()}
    base = rows["VGG alone"]
    table = Table(
        title=f"{device}, {torch.get_num_threads()} threads, {flags.size} px, batch {flags.batch}, medians of {flags.repeats}"
    )
    for column in ("work", "seconds", "images/s", "times VGG alone", "share outside VGG"):
        table.add_column(column)
    for name, value in rows.items():
        table.add_row(name, f"{value:.3f}", f"{flags.batch / value:.1f}", f"{value / base:.2f}", f"{1 - base / value:.0%}")
    Console().print(table)
    flags.json.parent.mkdir(parents=True, exist_ok=True)
    flags.json.write_text(json.dumps({"size": flags.size, "batch": flags.batch, "seconds": rows}, indent=2))


def _step(name: str, batches: data.Batches, loss: torch.nn.Module, device: torch.device) -> Callable[[], None]:
    """One whole training step as the loop does it: batch, network, losses, backward, clipping, Adam."""
    net = networks.build(name).to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-3)
    steps = iter(batches)

    def run() -> None:
        photos = to_float(next(steps).to(device))
        optimiser.zero_grad()
        loss(net(photos), photos)["total"].backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()

    return run


if __name__ == "__main__":
    main()
