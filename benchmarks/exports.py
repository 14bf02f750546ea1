"""What each form of an exported model costs and is worth: size, difference, speed, and what runs it.

    uv run benchmarks/exports.py runs/styles/great_wave
    uv run benchmarks/exports.py runs/styles/great_wave --web

Every precision and io of one run is exported, and all are run in one process in turns, at 512x512 on the CPU. OpenCV's column
is filled where it is installed, that of the page with `--web` (as web.py measures it, which needs chromium).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from onestroke.card import PRECISIONS
from onestroke.exporting.compare import SIDE, in_opencv, side_by_side
from onestroke.exporting.onnx import export_run
from onestroke.inference.session import open_model
from onestroke.networks.wrappers import WRAPPERS
from onestroke.samples import scenes


def main() -> None:
    """Export, measure, print the table, save JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of train.py")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--web", action="store_true", help="in the page too, by chromium")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/exports.json"))
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = _measure(flags.run, Path(folder), flags.repeats, flags.web)
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    flags.out.write_text(json.dumps({"run": flags.run.name, "side": SIDE, "rows": rows}, indent=1))
    _print(rows)


def _measure(run: Path, folder: Path, repeats: int, web: bool) -> list[dict[str, Any]]:
    forms = [(precision, io) for io in WRAPPERS for precision in PRECISIONS]
    paths = [export_run(run, folder / f"{precision}_{io}.onnx", io, precision) for precision, io in forms]
    models = [open_model(path, "cpu") for path in paths]
    seconds = side_by_side(models, repeats)
    browser = _web(paths) if web else ["not tried"] * len(paths)
    return [
        {
            "precision": precision, "io": io, "bytes": path.stat().st_size, **model.card.parity,
            "seconds": statistics.median(own),
            "ratio": statistics.median(a / b for a, b in zip(seconds[0], own, strict=True)),
            "opencv": in_opencv(path, model), "web": found,
        }
        for (precision, io), path, model, own, found in zip(forms, paths, models, seconds, browser, strict=True)
    ]  # fmt: skip


def _web(paths: list[Path]) -> list[str]:
    """Milliseconds in the page, or what it says instead, of each file."""
    from web import WAIT, milliseconds, open_page, show

    photo = np.ascontiguousarray(scenes.draw(4, SIDE))
    found = []
    with open_page(str(paths[0])) as page:
        show(page, photo)
        for path in paths:
            page.set_input_files("#file", path)
            name = path.stem.replace("_", " ").capitalize()
            page.wait_for_selector(f"#title:text-is('{name}'), #message:visible", timeout=WAIT)
            wrong = page.inner_text("#message")
            found.append(wrong or f"{statistics.median(milliseconds(page, photo) for _ in range(3)):.0f}")
    return found


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table(title=f"against fp32 with uint8 in and out, {SIDE}x{SIDE}")
    for column in ("form", "kB", "mean", "most", "dB", "ms", "speed", "Web ms", "OpenCV DNN"):
        table.add_column(column)
    for row in rows:
        table.add_row(
            f"{row['precision']} {row['io']}", f"{row['bytes'] / 1000:.0f}", f"{row['mean']:.3f}", f"{row['most']:g}",
            f"{row['psnr']:.1f}", f"{1000 * row['seconds']:.0f}", f"{row['ratio']:.2f}",
            row["web"], row["opencv"],
        )  # fmt: skip
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
