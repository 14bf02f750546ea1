"""How many Gatys iterations one forward pass is worth, and how many times faster it is than 500 of them.

    uv run benchmarks/worth.py runs/wave --photos unseen/ --count 6 --size 512 --iterations 200 --optimizer adam

For each photo, the objective that the run's network was trained on (its own losses and units, but of whole pictures instead
of windows) is minimized over pixels with L-BFGS or Adam, from the photo or from noise. The network is worth the first
iteration whose picture is at least as good as its own.
Johnson et al. 2016 found 50 to 100 iterations, and 1,060 times the speed of 500 at 256 px.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from onestroke.arrays import Array, center_crop
from onestroke.config.training import load
from onestroke.images import find_images, read_image
from onestroke.inference.stylizer import Stylizer
from onestroke.losses.objective import PerceptualLoss
from onestroke.losses.pixels import tensor
from onestroke.optimization.pixels import Objective, PixelOptimizer, Step, Updates
from onestroke.training.setup import prepare

RATES = {"lbfgs": 1.0, "adam": 0.02}


def main() -> None:
    """Measure, print, save JSON and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of train.py")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos that the run has not seen")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--optimizer", default="lbfgs", choices=("lbfgs", "adam"))
    parser.add_argument("--start", default="photo", choices=("photo", "noise"))
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/worth"))
    flags = parser.parse_args()
    config = load(flags.run / "config.yaml")
    config = replace(config, scales=[replace(scale, window=0, windows=1) for scale in config.scales])
    parts = prepare(config)
    stylizer = Stylizer(next(flags.run.glob("*.onnx")), "cpu" if parts.device.type == "cpu" else "auto")
    paths = [path for path in find_images(flags.photos) if min(read_image(path).rgb.shape[:2]) >= flags.size]
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(flags.count, len(paths))).astype(int)]
    rows = []
    for number, path in enumerate(chosen, 1):
        photo = center_crop(read_image(path).rgb, flags.size)
        rows.append({"photo": path.name} | _row(photo, stylizer, parts.step.loss, parts.device, flags))
        print(f"{number}/{len(chosen)} {path.name}: net {rows[-1]['net']:.3f}, passed at {rows[-1]['passed']}", flush=True)
    result = {"start": flags.start, "optimizer": flags.optimizer} | _summary(rows, flags.size)
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    flags.out.with_suffix(".json").write_text(json.dumps(result | {"rows": rows}, indent=1))
    _plot(rows, result, flags.out.with_suffix(".png"))
    print(json.dumps(result, indent=1))


def _row(
    photo: Array, stylizer: Stylizer, loss: PerceptualLoss, device: torch.device, flags: argparse.Namespace
) -> dict[str, Any]:
    """One photo: the net's objective and seconds, the curve of the pixels' objective and its seconds an iteration."""
    stylizer(photo)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        stylized = stylizer(photo)
        seconds.append(time.perf_counter() - began)
    pixels = tensor(photo).to(device)
    with torch.no_grad():
        net = {name: float(value) for name, value in loss(tensor(stylized).to(device), pixels).items()}
    curve: list[float] = []
    noise = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(0)).to(device)
    start = noise if flags.start == "noise" else pixels
    work = PixelOptimizer(
        start, _objective(loss, pixels), Updates(flags.optimizer, RATES[flags.optimizer], clamp=False), flags.iterations
    )

    def note(step: Step) -> None:
        curve.append(step.terms["total"])

    work.run(note)
    best = np.minimum.accumulate(curve)
    passed = next((i for i, value in enumerate(best) if value <= net["total"]), None)
    return {"net": net["total"], "net_terms": net, "net_seconds": statistics.median(seconds),
            "curve": [round(float(v), 5) for v in best], "seconds": work.seconds / work.step, "passed": passed}  # fmt: skip


def _objective(loss: PerceptualLoss, photo: Tensor) -> Objective:
    """The training loss as the pixel loop wants it."""

    def evaluate(x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        leaf = x.detach().requires_grad_()
        terms = loss(leaf, photo)
        (gradient,) = torch.autograd.grad(terms["total"], leaf)
        return {name: value.detach()[None] for name, value in terms.items()}, gradient

    return evaluate


def _summary(rows: list[dict[str, Any]], size: int) -> dict[str, Any]:
    passed = [row["passed"] if row["passed"] is not None else len(row["curve"]) for row in rows]
    net, iteration = (statistics.median(row[key] for row in rows) for key in ("net_seconds", "seconds"))
    return {
        "photos": len(rows), "size": size, "iterations_worth_median": statistics.median(passed),
        "iterations_worth_quartiles": [float(np.quantile(passed, q)) for q in (0.25, 0.75)],
        "never_passed": sum(row["passed"] is None for row in rows),
        "net_objective_median": statistics.median(row["net"] for row in rows),
        "start_objective_median": statistics.median(row["curve"][0] for row in rows),
        "last_objective_median": statistics.median(row["curve"][-1] for row in rows),
        "net_seconds": net, "seconds_an_iteration": iteration, "times_faster_than_500": 500 * iteration / net,
    }  # fmt: skip


def _plot(rows: list[dict[str, Any]], result: dict[str, Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    curves = np.array([row["curve"] for row in rows])
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    x = np.arange(curves.shape[1])
    axes.fill_between(x, *np.quantile(curves, (0.25, 0.75), axis=0), alpha=0.25, label="middle half of the photos")
    axes.plot(x, np.median(curves, axis=0), label="Gatys, median")
    axes.axhline(result["net_objective_median"], color="black", linestyle="--", label="one forward pass, median")
    axes.axvline(result["iterations_worth_median"], color="gray", linestyle=":")
    axes.set(xlabel=f"iterations of {result['optimizer']} from {result['start']}", ylabel="objective", yscale="log")
    axes.set_title(f"One forward pass is worth {result['iterations_worth_median']:g} iterations ({len(rows)} unseen photos)")
    axes.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
