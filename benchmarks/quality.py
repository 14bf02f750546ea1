"""How good networks are after the same training: objective on unseen photos, grid, and a sheet to look at.

    uv run benchmarks/quality.py --painting wave.jpg --content photos/ --val unseen/
    uv run benchmarks/quality.py --painting wave.jpg --content photos/ --val unseen/ --runs johnson tiny configs/video.yaml

A run is a network, or a YAML file of settings. Each is trained by the program itself, on the same number of images and with the
same losses, into a run folder of its own (a second call goes on where the first stopped), and judged by the model it
exported: uint8 in and out, one set of units for all. All begin with random weights, as a comparison of networks
should; `--start auto` lets them begin as the program does by itself.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from grid import measure
from rich.console import Console
from rich.table import Table

from onestroke.config import QUICK, TrainConfig, add_flags, merge, read_yaml
from onestroke.fast import networks
from onestroke.fast.module import to_float
from onestroke.fast.prepare import prepare
from onestroke.fast.run import train
from onestroke.images import find_images, read_image, resize, save_image
from onestroke.perception.losses import PerceptualLoss
from onestroke.runtime.stylize import Stylizer

TERMS = ("style", "content", "tv", "total")
SHEET_SIDE, SHEET_PHOTOS = 320, 6
PUBLISHED = str(Path(__file__).parents[1] / "configs" / "johnson_2016.yaml")


def main() -> None:
    """Train, judge, print the table, save JSON, plot and sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", nargs="+", default=[*networks.NETWORKS, PUBLISHED])
    parser.add_argument("--sheet", type=Path, help="folder of photos for the sheet and the grid; default: --val")
    parser.add_argument(
        "--speed", type=Path, default=Path("runs/benchmarks/speed.json"), help="what speed.py wrote, for the plot"
    )
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/quality"))
    add_flags(parser, TrainConfig, skip=("network", "out", "minutes"))
    flags = vars(parser.parse_args())
    names, sheet, speed, folder = (flags.pop(name) for name in ("runs", "sheet", "speed", "folder"))
    slow = {} if torch.cuda.is_available() and flags.get("device") != "cpu" else QUICK | {"minutes": 0.0, "steps": 2000}
    config = merge(TrainConfig(), slow | {"val_photos": 40, "start": "none"} | flags, "flags")
    console = Console()
    rows = []
    materials = prepare(config, console)
    shown = _pictures(sheet or Path(config.val)) if sheet or config.val else [materials.preview]
    columns = [shown]
    for run in names:
        name, chosen = Path(run).stem, settings(run, config)
        console.print(f"[bold]{name}")
        result = train(chosen, folder / name, console)
        if result.model is None:
            return
        paint = Stylizer(result.model, config.device)
        terms = judge(paint, materials.loss, materials.photos, materials.device)
        rows.append(
            {"run": name, "network": chosen.network, "images": chosen.steps * chosen.batch}
            | terms
            | {"grid": measure(paint, shown)}
        )
        columns.append([paint(photo) for photo in shown])
        (folder / "quality.json").write_text(json.dumps(rows, indent=1))
    _print(rows, config)
    _sheet(columns, folder / "sheet.jpg")
    _plot(rows, speed, folder / "quality.png")


def settings(run: str, config: TrainConfig) -> TrainConfig:
    """`config` with a network or the settings of a YAML file laid over it, for as many images whatever the batch."""
    chosen = merge(config, read_yaml(run) if run.endswith(".yaml") else {"network": run}, run)
    return merge(chosen, {"steps": config.steps * config.batch // chosen.batch}, run)


def judge(paint: Stylizer, loss: PerceptualLoss, photos: Any, device: torch.device) -> dict[str, float]:
    """Mean terms over the held-out photos, central squares, of the exported model."""
    found: dict[str, list[float]] = {name: [] for name in TERMS}
    for (batch,) in photos.val_dataloader():
        pixels, stylised = (to_float(torch.from_numpy(p).to(device)) for p in (batch.numpy(), paint(batch.numpy())))
        with torch.no_grad():
            terms = loss(stylised, pixels)
        for name in TERMS:
            found[name] += [float(terms[name])] * len(batch)
    return {name: float(np.mean(values)) for name, values in found.items()}


def _pictures(folder: Path) -> list[np.ndarray]:
    """Some photos of a folder, evenly spread, 512 pixels on the shorter side."""
    paths = list(find_images(folder))
    chosen = [paths[i] for i in np.linspace(0, len(paths) - 1, min(SHEET_PHOTOS, len(paths))).astype(int)]
    return [resize(read_image(path).rgb, shorter=512) for path in chosen]


def _print(rows: list[dict], config: TrainConfig) -> None:
    base = next((row["total"] for row in rows if row["run"] == "johnson"), float("nan"))
    table = Table(title=f"{config.steps * config.batch} images of {config.size} px; 1.0 = what doing nothing costs")
    for column in ("run", *TERMS, "times johnson", "grid: flat", "smooth", "calm", "photos"):
        table.add_column(column)
    for row in rows:
        terms, grid = [f"{row[name]:.3f}" for name in TERMS], [f"{value:.2f}" for value in row["grid"].values()]
        table.add_row(row["run"], *terms, f"{row['total'] / base:.3f}", *grid)
    Console(width=140).print(table)


def _sheet(columns: list[list[np.ndarray]], path: Path) -> None:
    """Photos down, runs across, full-size central squares: no scaling hides a pattern."""
    side = min(SHEET_SIDE, *(min(photo.shape[:2]) for photo in columns[0]))

    def square(picture: np.ndarray) -> np.ndarray:
        top, left = ((length - side) // 2 for length in picture.shape[:2])
        return picture[top : top + side, left : left + side]

    save_image(path, np.concatenate([np.concatenate([square(p) for p in column]) for column in columns], 1), quality=80)


def _plot(rows: list[dict], speed: Path, path: Path) -> None:
    """Objective against speed, where speed.py has been run."""
    if not speed.is_file():
        return
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    ratios = {row["network"]: row["ratio"] for row in json.loads(speed.read_text())["rows"] if row["size"] == "512x512"}
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for row in rows:
        if row["network"] in ratios:
            axes.scatter(ratios[row["network"]], row["total"])
            axes.annotate(row["run"], (ratios[row["network"]], row["total"]), textcoords="offset points", xytext=(6, 4))
    axes.set_xscale("log")
    axes.margins(0.2)
    axes.set_xlabel("times as fast as johnson, 512x512")
    axes.set_ylabel("objective on unseen photos (lower is better)")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
