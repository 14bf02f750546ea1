"""Images/s of a training step and the share of it spent outside the losses, on this machine.

    uv run benchmarks/training.py
    uv run benchmarks/training.py --size 256 --batch 16 --precision fp32 bf16 --network onestroke johnson

Interleaves timings of the same batch: the losses (VGG of photos and pictures at every scale, forward and back, and Grams),
the whole step (which adds the network and the optimizer), and one worker drawing a batch of crops, which runs beside the
step where there are several processors.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from onestroke.config.schema import merge
from onestroke.config.training import TrainConfig
from onestroke.losses.pixels import to_float
from onestroke.networks import registry as networks
from onestroke.training.schedule import make_optimizer, peak_rate
from onestroke.training.setup import Parts, in_bf16, prepare


def main() -> None:
    """Measure, print the table, save the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--network", nargs="+", default=["onestroke", "johnson"])
    parser.add_argument("--precision", nargs="+", default=["auto"], choices=("auto", "fp32", "bf16"))
    parser.add_argument("--json", type=Path, default=Path("runs/benchmarks/training.json"))
    flags = parser.parse_args()
    config = merge(TrainConfig(), {"size": flags.size, "batch": flags.batch, "device": "auto"}, "flags")
    parts = prepare(config)
    work: dict[str, Callable[[], object]] = {"one worker's crops": _crops(parts)}
    for precision in flags.precision:
        work |= _work(config, parts, precision, flags.network)
    seconds = _interleave(work, flags.repeats, parts.device)
    _report(seconds, flags, f"{parts.device}, {torch.get_num_threads()} threads")


def _crops(parts: Parts) -> Callable[[], object]:
    steps = iter(parts.photos.batches())
    return lambda: next(steps)


def _work(config: TrainConfig, parts: Parts, precision: str, names: list[str]) -> dict[str, Callable[[], object]]:
    """What is timed at one precision."""
    loss, device = parts.step.loss, parts.device
    batch = parts.photos.batches().at(0).to(device)
    photos, low = to_float(batch), in_bf16(precision, device)

    def autocast() -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=low)

    def losses() -> None:
        x = photos.clone().requires_grad_()
        with autocast():
            total = loss(x, photos)["total"]
        total.backward()

    def step(name: str) -> Callable[[], None]:
        net = networks.build(name).to(device).to(memory_format=torch.channels_last)
        optimizer = make_optimizer(config.optimizer, net, peak_rate(config.optimizer, name, config.batch))
        lesson, steps = replace(parts.step, strongest=networks.entry(name).strongest), itertools.count()

        def run() -> None:
            optimizer.zero_grad()
            with autocast():
                total = lesson.terms(net, batch, next(steps))["total"]
            torch.autograd.backward(total)
            torch.nn.utils.clip_grad_norm_(net.parameters(), config.clip)
            optimizer.step()

        return run

    works = {"losses": losses} | {f"step of {name}": step(name) for name in names}
    return {f"{part}, {precision}": run for part, run in works.items()}


def _interleave(work: dict[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, float]:
    """Median seconds of each, after two rounds to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for repeat in range(repeats + 2):
        for name, run in work.items():
            began = time.perf_counter()
            run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if repeat >= 2:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in seconds.items()}


def _report(seconds: dict[str, float], flags: argparse.Namespace, where: str) -> None:
    table = Table(title=f"{where}, {flags.size} px, batch {flags.batch}, medians of {flags.repeats}")
    for column in ("work", "seconds", "images/s", "times losses", "share outside losses"):
        table.add_column(column)
    for name, value in seconds.items():
        base = seconds.get(f"losses, {name.rpartition(', ')[2]}")
        shares = [f"{value / base:.2f}", f"{1 - base / value:.0%}"] if base else ["", ""]
        table.add_row(name, f"{value:.4f}", f"{flags.batch / value:.1f}", *shares)
    Console().print(table)
    flags.json.parent.mkdir(parents=True, exist_ok=True)
    flags.json.write_text(json.dumps({"size": flags.size, "batch": flags.batch, "seconds": seconds}, indent=2))


if __name__ == "__main__":
    main()
