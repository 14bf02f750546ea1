"""What the pixel loop costs beyond VGG's bare forward and backward pass, and the peak memory, by tile.

    uv run benchmarks/gatys.py --size 512 --vgg vgg16

Interleaves bare passes (to the deepest layer, with the gradient of the input) with whole steps of each optimizer.
`--memory` instead runs one gradient at each tile size in a process of its own, and prints peak memory and time.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from onestroke.losses import vgg, weights
from onestroke.optimization.gatys.objective import GatysObjective
from onestroke.optimization.gatys.presets import Recipe, recipe
from onestroke.optimization.gatys.targets import style_targets
from onestroke.optimization.pixels import PixelOptimizer, Updates


def main() -> None:
    """Measure, print the table, save the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--vgg", default="vgg16", choices=("vgg16", "vgg19"))
    parser.add_argument("--vgg-weights", default="")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--tile", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, default=Path("runs/benchmarks/gatys.json"))
    flags = parser.parse_args()
    if flags.tile is not None:
        _one_gradient(flags)
        return
    rows = _memory(flags) if flags.memory else _overhead(flags)
    table = Table(title=f"{torch.get_num_threads()} threads, {flags.vgg}, {flags.size}x{flags.size}")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console().print(table)
    flags.json.parent.mkdir(parents=True, exist_ok=True)
    flags.json.write_text(json.dumps(rows, indent=1))


def _objective(chosen: Recipe, size: int, side: int = 0) -> tuple[vgg.VGGFeatures, GatysObjective, torch.Tensor]:
    device = vgg.choose_device("auto")
    found = weights.resolve(chosen.vgg, chosen.vgg_weights or None).as_lineage(chosen.lineage)
    net = vgg.build(found, [*chosen.style_layers, *chosen.content_layers], chosen.pooling, device, "replicate")
    photo, painting = torch.rand(2, 1, 3, size, size, device=device)
    targets = style_targets(net, chosen, [(painting, (None,))], [1.0], side)
    return net, GatysObjective(net, chosen, targets, photo, side=side), photo


def _overhead(flags: argparse.Namespace) -> list[dict[str, Any]]:
    """Medians of interleaved repeats."""
    chosen = recipe("quality", vgg=flags.vgg, vgg_weights=flags.vgg_weights)
    net, objective, photo = _objective(chosen, flags.size)
    deepest = net.names[-1]

    def bare() -> None:
        x = photo.clone(memory_format=torch.channels_last).requires_grad_()
        net(x, [deepest])[deepest].sum().backward()

    work: dict[str, Callable[[], object]] = {"bare VGG": bare, "objective": lambda: objective(photo * 0.99)}
    lbfgs = {"optimizer": "lbfgs", "rate": 1.0}
    variants = {"adam (quality)": {}, "lbfgs, history 10 (fast)": lbfgs | {"history": 10}, "lbfgs, history 100": lbfgs}
    for name, changes in variants.items():
        updates = Updates(**({f.name: getattr(chosen, f.name) for f in fields(Updates) if hasattr(chosen, f.name)} | changes))
        loop = PixelOptimizer(photo, objective, updates, 10**9)
        for _ in range(updates.history + 5 if changes else 2):  # a full history is what a run's later steps pay for
            _step_on_a_bowl(loop)
        work[f"step of {name}"] = loop._advance
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for repeat in range(flags.repeats + 1):
        for name, run in work.items():
            began = time.perf_counter()
            run()
            if photo.device.type == "cuda":
                torch.cuda.synchronize()
            if repeat:
                seconds[name].append(time.perf_counter() - began)
    ratios = {n: statistics.median(a / b for a, b in zip(t, seconds["bare VGG"], strict=True)) for n, t in seconds.items()}
    return [{"work": name, "seconds": f"{statistics.median(times):.3f}", "times bare VGG": f"{ratios[name]:.3f}"}
            for name, times in seconds.items()]  # fmt: skip


def _step_on_a_bowl(loop: PixelOptimizer) -> None:
    """One step without VGG, to fill L-BFGS's history quickly."""

    def bowl(x: torch.Tensor) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        curvature = torch.linspace(1, 2, x.shape[3], device=x.device)
        return {"total": (curvature * (x - 0.3).square()).sum()[None]}, 2 * curvature * (x - 0.3)

    objective, loop.objective = loop.objective, bowl
    loop._advance()
    loop.objective = objective
    loop.recent.clear()


def _memory(flags: argparse.Namespace) -> list[dict[str, Any]]:
    rows = []
    for tile in (0, flags.size // 2, flags.size // 4, flags.size // 8):
        command = [sys.executable, __file__, "--size", str(flags.size), "--vgg", flags.vgg, "--tile", str(tile),
                   "--vgg-weights", flags.vgg_weights]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append({"tile": tile or "whole"} | json.loads(done.stdout))
    return rows


def _one_gradient(flags: argparse.Namespace) -> None:
    _, objective, photo = _objective(recipe("quality", vgg=flags.vgg, vgg_weights=flags.vgg_weights), flags.size, flags.tile)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    began = time.perf_counter()
    objective(photo * 0.99)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(json.dumps({"tiles": len(objective.tiles), "seconds": round(time.perf_counter() - began, 2), "peak MB": round(peak),
                      "MB before the gradient": round(before)}))  # fmt: skip


if __name__ == "__main__":
    main()
