"""Judges models by their pictures of unseen photos, and draws sheets to look at, which count for more.

    uv run benchmarks/quality.py wave.jpg --photos unseen/ --models great_wave runs/wave/wave.onnx
    uv run benchmarks/quality.py wave.jpg --photos unseen/ --models great_wave peer=pictures/ --big big/

A model is a bundled style, a .onnx of ours, or a folder of finished pictures that are named as the photos; NAME=MODEL
names its line. Photos have a shorter side of 512 px. Writes the table as JSON, a sheet of all pictures at full size and,
for each photo in --big, the picture of each model at 1024 px and 1024 px of it at 100 %.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from grid import measure
from judge import COLUMNS, Judge, Pixels
from rich.console import Console
from rich.table import Table

from onestroke.arrays import resize
from onestroke.images import find_images, read_image
from onestroke.inference.stylizer import Stylizer
from onestroke.saving import save_image

SIDE, SHOWN = 512, 1024


def main() -> None:
    """Judge, print the table, save JSON and sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("painting", type=Path, help="the style image")
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos that were in no training")
    parser.add_argument("--models", nargs="+", required=True, metavar="[NAME=]MODEL")
    parser.add_argument("--style", default="", help="of models with several styles: which")
    parser.add_argument("--big", type=Path, help="folder of photos of 8 megapixels and more")
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/quality"))
    flags = parser.parse_args()
    flags.folder.mkdir(parents=True, exist_ok=True)
    paths = list(find_images(flags.photos))
    photos = [shown(path) for path in paths]
    judge, rows, columns = Judge(shown(flags.painting), photos), {}, [photos]
    for text in flags.models:
        name, _, model = text.rpartition("=")
        pictures, grid = _pictures(model, flags.style, paths, photos)
        rows[name or Path(model).stem] = judge(pictures) | {"grid": grid}
        columns.append(pictures)
        (flags.folder / "quality.json").write_text(json.dumps(rows, indent=1))
    _print(rows, f"{flags.painting.stem}: {len(photos)} photos")
    save_image(flags.folder / "sheet.jpg", sheet(columns), quality=88)
    for path in find_images(flags.big) if flags.big else []:
        for text in flags.models:
            name, _, model = text.rpartition("=")
            if not Path(model).is_dir():
                picture = Stylizer(model, style=flags.style)(read_image(path).rgb)
                save_image(flags.folder / f"{path.stem}_{name or Path(model).stem}.jpg", _whole_and_part(picture), quality=88)


def shown(path: Path) -> Pixels:
    """A picture with a shorter side of SIDE, cut to sides that 4 divides."""
    found = resize(read_image(path).rgb, shorter=SIDE)
    return np.ascontiguousarray(found[: found.shape[0] // 4 * 4, : found.shape[1] // 4 * 4])


def _pictures(model: str, style: str, paths: list[Path], photos: list[Pixels]) -> tuple[list[Pixels], float]:
    """What a model, or a folder, shows of the photos, and how much of a grid."""
    if Path(model).is_dir():
        found = {path.stem: path for path in find_images(Path(model))}
        return [shown(found[path.stem]) for path in paths], float("nan")
    stylizer = Stylizer(model, style=style)
    return [stylizer(photo) for photo in photos], measure(stylizer, photos)["photos"]


def _print(rows: dict[str, dict[str, float]], title: str) -> None:
    table = Table("model", *COLUMNS, "grid", title=title)
    for name, row in rows.items():
        table.add_row(name, *(f"{row[column]:.{2 if i > 4 else 3}f}" for i, column in enumerate((*COLUMNS, "grid"))))
    Console(width=140).print(table)


def sheet(columns: list[list[Pixels]]) -> Pixels:
    """Photos across, painters down, at full size: no scaling hides a pattern."""
    height = max(photo.shape[0] for photo in columns[0])

    def framed(picture: Pixels) -> Pixels:
        return np.pad(picture, ((0, height - picture.shape[0] + 4), (0, 4), (0, 0)), constant_values=255)

    return np.concatenate([np.concatenate([framed(picture) for picture in column], 1) for column in columns])


def _whole_and_part(picture: Pixels) -> Pixels:
    """The picture at SHOWN px, and beside it as much of its middle at 100 %."""
    whole = resize(picture, longer=SHOWN)
    top, left = ((own - small) // 2 for own, small in zip(picture.shape[:2], whole.shape[:2], strict=True))
    return np.concatenate([whole, picture[top : top + whole.shape[0], left : left + whole.shape[1]]], 1)


if __name__ == "__main__":
    main()
