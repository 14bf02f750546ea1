"""Frames a second from file to file (decode, network, encode, overlapped), and the share of the time in the network.

    uv run benchmarks/video.py --clip film.mp4
    uv run benchmarks/video.py --clip film.mp4 --model great_wave wave.onnx --sizes 1280 1920 --frames 60

The clip is enlarged or reduced to each longer side while it is read, as `--size` does; encoding is H.264 at the default
quality. The network's share is its own calls' time over the whole: what is left is decoding, encoding and waiting.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from onestroke.inference.stylizer import Stylizer
from onestroke.jobs.render import render
from onestroke.jobs.settings import Settings
from onestroke.media.source import parse_path


class Timed(Stylizer):
    """A Stylizer that adds up the seconds it is asked for."""

    seconds = 0.0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """As Stylizer."""
        began = time.perf_counter()
        painted = super().__call__(*args, **kwargs)
        self.seconds += time.perf_counter() - began
        return painted


def main() -> None:
    """Measure, print the table, save the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--model", nargs="+", default=["great_wave"], help="bundled styles or model files")
    parser.add_argument("--sizes", nargs="+", type=int, default=[640, 1280, 1920], help="longer side in pixels")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, default=Path("runs/benchmarks/video.json"))
    flags = parser.parse_args()
    rows = [_measure(model, size, flags) for size in flags.sizes for model in flags.model]
    flags.json.parent.mkdir(parents=True, exist_ok=True)
    flags.json.write_text(json.dumps(rows, indent=1))
    table = Table(title=f"{flags.clip.name}, {flags.frames} frames")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=120).print(table)


def _measure(model: str, size: int, flags: argparse.Namespace) -> dict[str, Any]:
    """One run of up to `frames` frames; the clock starts with the first of them painted."""
    stylizer, marks = Timed(model, flags.device), []
    stylizer(np.zeros((64, 64, 3), np.uint8))

    def watch(done: int, total: int | None) -> bool:
        marks.append((time.perf_counter(), done, stylizer.seconds))
        return bool(done >= flags.frames)

    with tempfile.TemporaryDirectory() as folder:
        render(stylizer, parse_path(flags.clip), Path(folder) / "painted.mp4", Settings(size=size), watch)
    (began, first, before), (ended, last, after) = marks[1], marks[-1]
    return {
        "model": Path(model).stem, "longer side": size, "device": stylizer.model.device,
        "frames a second": (last - first) / (ended - began), "share in the network": (after - before) / (ended - began),
    }  # fmt: skip


if __name__ == "__main__":
    main()
