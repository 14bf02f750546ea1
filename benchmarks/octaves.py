"""What octaves cost on large photos, and whether a photo looks the same however many pixels it comes with.

    uv run benchmarks/octaves.py --model great_wave --photos big/

For each photo: seconds of painting it natively and in octaves (by turns, least of --repeats), and how far the painting, reduced
to 1024 px, is from the painting of the photo that was reduced to 1024 px first (mean levels of 255).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from judge import Pixels
from rich.console import Console
from rich.table import Table

from onestroke.arrays import resize
from onestroke.images import find_images, read_image
from onestroke.inference.brush import AUTO, NATIVE, Brush
from onestroke.inference.stylizer import Stylizer

SIDE = 1024


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="great_wave")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos of 8 megapixels and more")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory", type=int, help="as of onestroke stylize")
    flags = parser.parse_args()
    stylizer = Stylizer(flags.model, memory=flags.memory)
    table = Table("photo", "megapixels", "native, s", "octaves, s", "times native", "native differs by", "octaves differ by")
    for path in find_images(flags.photos):
        photo = read_image(path).rgb
        small = stylizer(resize(photo, longer=SIDE))
        pictures: dict[Brush, Pixels] = {}
        seconds = {NATIVE: float("inf"), AUTO: float("inf")}
        for _ in range(flags.repeats):
            for brush in seconds:
                began = time.perf_counter()
                pictures[brush] = stylizer(photo, brush=brush)
                seconds[brush] = min(seconds[brush], time.perf_counter() - began)
        away = {brush: np.abs(resize(p, longer=SIDE).astype(int) - small).mean() for brush, p in pictures.items()}
        native, octaves = seconds[NATIVE], seconds[AUTO]
        figures = (f"{native:.2f}", f"{octaves:.2f}", f"{octaves / native:.2f}", f"{away[NATIVE]:.1f}", f"{away[AUTO]:.1f}")
        table.add_row(path.stem, f"{photo.size / 3e6:.1f}", *figures)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
