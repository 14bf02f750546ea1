"""How steady paintings of moving pictures are: warping error, against the input's own and a reference model's.

    uv run benchmarks/flicker.py --model steady.onnx --reference plain.onnx --photos photos/
    uv run benchmarks/flicker.py --model a.onnx b.onnx --reference plain.onnx --photos photos/ --clips clips/

Frames t and t + 1 are painted, painting t is moved by the motion of the input, and what then differs from painting t + 1 is
the error: root mean square, in levels of 255. On photos the camera moves in a known way and each frame has noise of its
own; on clips the motion is estimated (DIS, Kroeger 2016), and pixels that it cannot explain are left out. Moving a picture
blurs it a little, so the error of a perfect painter is not zero: the input's own, treated alike, shows by how much. (The
fast pan goes by whole pixels and blurs nothing.) Look at the paintings too: a pale one has small errors.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from onestroke.arrays import resize
from onestroke.images import find_images, read_image
from onestroke.inference.brush import AUTO, for_frames
from onestroke.inference.stylizer import Stylizer
from onestroke.inference.temporal import Steady

Pixels = NDArray[np.uint8]
# Side of the view in the photo (both in pixels), pixels along its edges not compared, standard deviation of the noise.
VIEW, PHOTO, EDGE, NOISE = 320, 448, 16, 2.0
# What the camera does from one frame to the next: pixels right and down, and zoom.
MOTIONS = {"still": (0.0, 0.0, 1.0), "pan": (1.3, 0.4, 1.0), "fast pan": (7.0, -3.0, 1.0), "zoom": (0.0, 0.0, 1.02)}
# Pairs of frames a clip, spread over its first FRAMES, its longer side in pixels, and the pixels that must be followed.
PAIRS, FRAMES, SIDE, FOLLOWED = 6, 150, 448, 0.5


@dataclass(frozen=True)
class Pair:
    """Two frames [H, W, 3], `move`, which brings a picture of the first to the second, and where that is right [H, W]."""

    scene: str
    first: Pixels
    second: Pixels
    move: Callable[[Pixels], Pixels]
    mask: NDArray[np.bool_]

    def error(self, first: Pixels, second: Pixels) -> float:
        """Mean square over the mask, in levels squared, of pictures of the two frames."""
        return float(np.square(self.move(first).astype(float) - second)[self.mask].mean())


def main() -> None:
    """Measure, print the table, save JSON and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", required=True, help=".onnx files or bundled styles")
    parser.add_argument("--reference", required=True, help=".onnx file or style to compare with")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--clips", type=Path, help="folder of videos")
    parser.add_argument("--count", type=int, default=6, help="photos to use (default: 6)")
    parser.add_argument("--steady", action="store_true", help="judge each model once more with `stylize --steady`")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks"))
    flags = parser.parse_args()
    console = Console(width=140)
    pairs = list(moved_photos(flags.photos, flags.count))
    if flags.clips:
        pairs += list(clips(flags.clips))
    if not pairs:
        parser.error(f"{flags.photos}: no photos there")
    names = list(dict.fromkeys([flags.reference, *flags.model]))
    own = _by_scene(pairs, [pair.error(pair.first, pair.second) for pair in pairs])
    paints = {name: partial(Stylizer(name, flags.device), brush=for_frames(AUTO)) for name in names}
    found = {name: judge(paint, pairs) for name, paint in paints.items()}
    found |= {f"{name} --steady": judge(paint, pairs, held=True) for name, paint in paints.items() if flags.steady}
    rows = [
        {"model": Path(name).name.replace(".onnx", ""), "scene": scene, "pairs": sum(pair.scene == scene for pair in pairs)}
        | {"error": error, "input": own[scene], "times_input": error / own[scene]}
        | {"times_reference": error / found[flags.reference][scene]}
        for name, errors in found.items()
        for scene, error in errors.items()
    ]
    flags.folder.mkdir(parents=True, exist_ok=True)
    (flags.folder / "flicker.json").write_text(json.dumps(rows, indent=1))
    _print(rows, console)
    _plot(rows, flags.folder / "flicker.png")


def judge(paint: Callable[[Pixels], Pixels], pairs: list[Pair], held: bool = False) -> dict[str, float]:
    """Error of each scene: root mean square, in levels. `held`: as `--steady` holds the second frame to the first."""

    def error(pair: Pair) -> float:
        hold = Steady() if held else lambda photo, painted: painted
        return pair.error(*(hold(frame, paint(frame)) for frame in (pair.first, pair.second)))

    return _by_scene(pairs, [error(pair) for pair in pairs])


def _by_scene(pairs: list[Pair], squares: list[float]) -> dict[str, float]:
    scenes: dict[str, list[float]] = {}
    for pair, square in zip(pairs, squares, strict=True):
        scenes.setdefault(pair.scene, []).append(square)
    return {scene: float(np.sqrt(np.mean(values))) for scene, values in scenes.items()}


def moved_photos(folder: Path, count: int) -> Iterator[Pair]:
    """Photos evenly spread over the folder, each seen by a camera that moves in every one of MOTIONS."""
    paths = list(find_images(folder))
    rng = np.random.default_rng(0)
    for i in np.linspace(0, len(paths) - 1, min(count, len(paths))).astype(int):
        photo = resize(read_image(paths[i]).rgb, shorter=PHOTO)
        for scene, (right, down, zoom) in MOTIONS.items():
            # From pixels of the second view to those of the first, which stands off the photo's grid: both are interpolated.
            middle = VIEW / 2
            move = (1 / zoom, middle - middle / zoom + right, middle - middle / zoom + down)
            left, top = photo.shape[1] / 2 - middle + 0.37, photo.shape[0] / 2 - middle + 0.37
            first = _affine(photo, (1.0, left, top))
            second = _affine(photo, (move[0], move[1] + left, move[2] + top))
            mask = np.zeros((VIEW, VIEW), bool)
            mask[EDGE:-EDGE, EDGE:-EDGE] = True
            one, other = _noisy(rng, first), _noisy(rng, second)
            yield Pair(scene, one, other, partial(_affine, move=move), mask)


def _affine(picture: Pixels, move: tuple[float, float, float]) -> Pixels:
    """The view [VIEW, VIEW, 3] whose pixel (x, y) lies at (scale * x + right, scale * y + down) of the picture."""
    scale, right, down = move
    matrix = (scale, 0, right, 0, scale, down)
    image = Image.fromarray(picture)
    return np.asarray(image.transform((VIEW, VIEW), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC))


def _noisy(rng: np.random.Generator, frame: Pixels) -> Pixels:
    return np.clip(frame + rng.normal(0, NOISE, frame.shape) + 0.5, 0, 255).astype(np.uint8)


def clips(folder: Path) -> Iterator[Pair]:
    """Neighboring frames of each video in the folder, by the name of its file; scene cuts and chaos are left out."""
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in (".mp4", ".mkv", ".mov", ".webm", ".avi")):
        with av.open(str(path)) as container:
            seen = islice(container.decode(video=0), FRAMES)
            frames = [resize(np.asarray(f.to_ndarray(format="rgb24"), np.uint8), longer=SIDE) for f in seen]
        for i in np.unique(np.linspace(0, len(frames) - 2, PAIRS).astype(int)) if len(frames) > 1 else ():
            pair = _followed(path.stem, frames[i], frames[i + 1])
            if pair.mask.mean() >= FOLLOWED:
                yield pair


def _followed(scene: str, first: Pixels, second: Pixels) -> Pair:
    """A pair whose motion is estimated both ways; where the two disagree, something was hidden (Sundaram 2010)."""
    estimate: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
    forth, back = estimate.calc(gray[0], gray[1], None), estimate.calc(gray[1], gray[0], None)
    height, width = first.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    at_x, at_y = x + back[..., 0], y + back[..., 1]

    def move(picture: NDArray[Any]) -> NDArray[Any]:
        return cv2.remap(picture, at_x, at_y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)

    there = cv2.remap(forth, at_x, at_y, cv2.INTER_LINEAR)
    length = np.square(back).sum(-1) + np.square(there).sum(-1)
    mask = np.square(back + there).sum(-1) < 0.01 * length + 0.5
    for at, end in ((at_x, width), (at_y, height), (x, width), (y, height)):
        mask &= (at >= EDGE) & (at < end - EDGE)
    return Pair(scene, first, second, move, mask)


def _print(rows: list[dict[str, Any]], console: Console) -> None:
    table = Table(title="warping error in levels of 255: 0 is a painting that moves as its photo does")
    for column in ("scene", "pairs", "model", "error", "input's own", "times input", "times reference"):
        table.add_column(column)
    for row in sorted(rows, key=lambda row: [r["scene"] for r in rows].index(row["scene"])):
        values = (row["error"], row["input"], row["times_input"], row["times_reference"])
        table.add_row(row["scene"], str(row["pairs"]), row["model"], *(f"{value:.2f}" for value in values))
    console.print(table)
    for model in dict.fromkeys(row["model"] for row in rows):
        ratios = [row["times_reference"] for row in rows if row["model"] == model]
        console.print(
            f"{model}: {np.exp(np.mean(np.log(ratios))):.2f} times the reference, geometric mean of {len(ratios)} scenes"
        )


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Bars of each scene, one a model, and the input's own."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    scenes, models = (list(dict.fromkeys(row[key] for row in rows)) for key in ("scene", "model"))
    bars = {"the input itself": {row["scene"]: row["input"] for row in rows}}
    bars |= {model: {row["scene"]: row["error"] for row in rows if row["model"] == model} for model in models}
    figure, axes = plt.subplots(figsize=(max(6, 1.1 * len(scenes)), 4), layout="constrained")
    for i, (name, errors) in enumerate(bars.items()):
        axes.bar(np.arange(len(scenes)) + i * 0.8 / len(bars), [errors[s] for s in scenes], 0.8 / len(bars), label=name)
    axes.set_xticks(np.arange(len(scenes)) + 0.4 - 0.4 / len(bars), scenes, rotation=30, ha="right")
    axes.set_ylabel("warping error, levels (lower is better)")
    figure.legend(loc="outside upper center", ncols=4)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
