"""Peak memory and time of painting pictures from 1 to 200 megapixels within a budget, and how far strips are from the whole.

    uv run benchmarks/big_picture.py
    uv run benchmarks/big_picture.py --model wave.onnx --photo photo.jpg --megapixels 1 4 --memory 300

Each size runs in a process of its own, on a photo enlarged to a square. Peaks are what that process touches at most beyond what
it holds once the model and the picture are open (Linux); the result's own bytes are taken away. Up to --whole megapixels the
picture is also painted at once. Naive tiles, each with statistics of its own, stand beside both on a sheet.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from onestroke.arrays import Array, resize
from onestroke.images import read_image
from onestroke.inference.stylizer import Stylizer
from onestroke.samples import scenes
from onestroke.saving import save_image

AT_ONCE = 1_000_000  # MB: a budget that any picture fits
SIDE, TILE, HALO = 1024, 256, 48  # of the pictures on the sheet, and of naive tiles

WORKER = """
import json, sys, time
from pathlib import Path
import numpy as np
from PIL import Image
from onestroke.inference.stylizer import Stylizer
Image.MAX_IMAGE_PIXELS = None
model, photo, out, device, side, memory = *sys.argv[1:5], int(sys.argv[5]), int(sys.argv[6])
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) * 1024
picture = np.asarray(Image.open(photo).resize((side, side), Image.Resampling.BICUBIC))
paint = Stylizer(model, device, memory)
paint(picture[:64, :64])
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before, began = peak(), time.perf_counter()
painted = paint(picture)
seconds = time.perf_counter() - began
print(json.dumps({"seconds": seconds, "peak_mb": (peak() - before - painted.nbytes) / 1e6}))
if out:
    np.save(out, painted)
"""


def main() -> None:
    """Measure, print the table, save JSON, plot and sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="great_wave", help=".onnx file, or a bundled style")
    parser.add_argument("--photo", type=Path, help="default: a drawn one")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 4, 12, 50, 200])
    parser.add_argument("--memory", type=int, default=300, metavar="MB")
    parser.add_argument("--whole", type=float, default=12, metavar="MEGAPIXELS")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/big_picture"))
    flags = parser.parse_args()
    photo = read_image(flags.photo).rgb if flags.photo else scenes.draw(3, 512)
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "photo.png"
        save_image(source, photo)
        rows = [_measure(source, megapixels, flags) for megapixels in flags.megapixels]
    result = {"model": str(flags.model), "memory_mb": flags.memory, "rows": rows, "sheet": _sheet(photo, flags)}
    flags.out.with_suffix(".json").write_text(json.dumps(result, indent=1))
    _print(result)
    _plot(rows, flags.memory, flags.out.with_suffix(".png"))


def _measure(photo: Path, megapixels: float, flags: argparse.Namespace) -> dict[str, Any]:
    side = round((megapixels * 1e6) ** 0.5)
    compare = megapixels <= flags.whole
    outs = [photo.with_name(f"{name}.npy") if compare else None for name in ("strips", "whole")]
    row: dict[str, Any] = {"megapixels": side**2 / 1e6, "strips": _run(photo, side, flags, flags.memory, outs[0])}
    if compare:
        row["whole"] = _run(photo, side, flags, AT_ONCE, outs[1])
        row["difference"] = _difference(*(np.load(str(out)) for out in outs))
    return row


def _run(photo: Path, side: int, flags: argparse.Namespace, memory: int, out: Path | None) -> dict[str, float]:
    command = [sys.executable, "-c", WORKER, str(flags.model), str(photo), str(out or ""), flags.device, str(side), str(memory)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def _difference(one: Array, other: Array) -> dict[str, float]:
    """In levels of 255."""
    difference = np.abs(one.astype(np.int16) - other)
    return {"most": int(difference.max()), "mean": float(difference.mean())}


def _sheet(photo: Array, flags: argparse.Namespace) -> dict[str, Any]:
    """Whole, strips and naive tiles side by side; the differences of the latter two from the whole."""
    picture = resize(photo, longer=SIDE)
    at_once = Stylizer(flags.model, flags.device, AT_ONCE)
    whole, strips, naive = at_once(picture), Stylizer(flags.model, flags.device, 1)(picture), np.empty_like(picture)
    height, width = picture.shape[:2]
    for top in range(0, height, TILE):
        for left in range(0, width, TILE):
            above, before = min(HALO, top), min(HALO, left)
            part = at_once(picture[top - above : top + TILE + HALO, left - before : left + TILE + HALO])[above:, before:]
            naive[top : top + TILE, left : left + TILE] = part[: min(TILE, height - top), : min(TILE, width - left)]
    save_image(flags.out.with_suffix(".jpg"), resize(np.concatenate([whole, strips, naive], 1), longer=3 * 640), quality=90)
    return {"strips": _difference(strips, whole), "naive": _difference(naive, whole)}


def _print(result: dict[str, Any]) -> None:
    table = Table(title=f"{result['model']}, {result['memory_mb']} MB")
    for column in ("megapixels", "seconds", "s/megapixel", "peak MB", "whole: seconds", "whole: peak MB", "times the whole",
                   "most levels apart", "mean"):  # fmt: skip
        table.add_column(column)
    for row in result["rows"]:
        strips, whole, apart = row["strips"], row.get("whole"), row.get("difference")
        table.add_row(
            f"{row['megapixels']:.0f}", f"{strips['seconds']:.1f}", f"{strips['seconds'] / row['megapixels']:.2f}",
            f"{strips['peak_mb']:.0f}",
            *((f"{whole['seconds']:.1f}", f"{whole['peak_mb']:.0f}", f"{strips['seconds'] / whole['seconds']:.2f}",
               f"{apart['most']}", f"{apart['mean']:.4f}") if whole and apart else ()),
        )  # fmt: skip
    console = Console(width=140)
    console.print(table)
    for name, apart in result["sheet"].items():
        console.print(f"on the sheet, {name}: {apart['most']} levels apart at most, {apart['mean']:.3f} on average")


def _plot(rows: list[dict[str, Any]], memory: int, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for panel, key, title in zip(panels, ("seconds", "peak_mb"), ("seconds", "peak MB"), strict=True):
        for name in ("strips", "whole"):
            found = [row for row in rows if name in row]
            panel.plot([row["megapixels"] for row in found], [row[name][key] for row in found], "o-", label=name)
        panel.set(xscale="log", yscale="log", xlabel="megapixels", title=title)
        panel.legend(frameon=False)
    panels[1].axhline(memory, color="gray", linewidth=0.8, linestyle="--")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
