"""Does a network paint something along a border that is no part of the photo? A frame, or a meadow along the bottom.

    uv run benchmarks/border.py --models brushwork mosaic --photos unseen/

Each photo is painted, and painted once more with its own mirror image attached to one side, so that this border lies in the
middle of a picture that continues as the margin around every picture does (inference/margin.py). Mean difference of the
color of the outermost 24 pixels, in levels of 255, for each side; a network that looks at the photo alone has a few levels,
since attaching doubles what its norms see.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from quality import shown
from rich.console import Console
from rich.table import Table

from onestroke.arrays import Array
from onestroke.images import find_images
from onestroke.inference.stylizer import Stylizer

STRIP = 24
# How often a photo is turned by a quarter, counterclockwise, until this side is its bottom.
TURNS = {"bottom": 0, "left": 1, "top": 2, "right": 3}


def main() -> None:
    """Measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", required=True)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    flags = parser.parse_args()
    photos = [shown(path) for path in find_images(flags.photos)]
    table = Table("model", *TURNS)
    for model in flags.models:
        stylizer = Stylizer(model)
        means = np.mean([strips(stylizer, photo) for photo in photos], 0)
        table.add_row(Path(model).stem, *(f"{mean:.1f}" for mean in means))
    Console(width=120).print(table)


def strips(stylizer: Stylizer, photo: Array) -> list[float]:
    """How far the strip along each side of a painting is from what it would be inside, mean levels over its three colors."""
    painting, found = stylizer(photo), []
    for turns in TURNS.values():
        upright = np.rot90(photo, turns)
        longer = np.ascontiguousarray(np.rot90(np.concatenate([upright, upright[::-1]]), -turns))
        rows = slice(len(upright) - STRIP, len(upright))
        at_border, inside = (np.rot90(picture, turns)[rows].mean((0, 1)) for picture in (painting, stylizer(longer)))
        found.append(float(np.abs(at_border - inside).mean()))
    return found


if __name__ == "__main__":
    main()
