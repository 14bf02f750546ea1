"""onestroke dream IMAGE: raise what a network sees in a picture until everyone sees it (DeepDream)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onestroke.arrays import resize_to
from onestroke.cli.flags import Parser
from onestroke.config import schema
from onestroke.config.devices import TORCH_DEVICES
from onestroke.errors import ConfigError
from onestroke.images import Picture, read_image
from onestroke.interrupt import Interrupt
from onestroke.locking import locked
from onestroke.media.source import frame_path, is_of, remove_frames
from onestroke.optimization.deepdream.presets import PRESETS, Dream, dream_recipe
from onestroke.saving import WRITABLE, check_output, save_image

if TYPE_CHECKING:
    from rich.console import Console

    from onestroke.optimization.deepdream.dreamer import Dreamer

FRAMES = "frame_%05d.png"  # of a zoom

EXAMPLES = f"""presets: {", ".join(PRESETS)}

examples:
  onestroke dream photo.jpg                                           writes photo-dream.jpg beside the photo
  onestroke dream photo.jpg -o dream.png --preset vgg16 --size 1024
  onestroke dream photo.jpg --layers relu3_3 relu5_1=2                shallow layers: strokes; deep ones: eyes and creatures
  onestroke dream photo.jpg --layers relu5_1 --units 3,17             two channels of one layer
  onestroke dream photo.jpg --guide flowers.jpg                       what in the photo resembles the guide
  onestroke dream photo.jpg --frames 100 --steps 3 -o flight          a zoom into the dream, as numbered frames; the dream
                                                                      adds up, so few steps each are enough
"""


def parser() -> Parser:
    """All flags: one per field of Dream, and what is about files."""
    made = Parser("dream", __doc__, EXAMPLES)
    made.add_argument("image", help="picture file")
    made.add_argument("-o", "--out", help="file to write, or folder for --frames; default: IMAGE-dream beside the picture")
    made.add_argument("--preset", default="google", metavar="NAME", help="settings to start from; default: google")
    made.add_argument("--guide", metavar="FILE", help="picture whose patterns are to come out")
    made.add_argument("--device", default="auto", choices=TORCH_DEVICES, help="default: a GPU where there is one")
    made.add_argument("--resume", action="store_true", help="with --frames: go on after the frames that are there")
    made.add_argument("--overwrite", action="store_true", help="replace an existing output")
    schema.add_flags(made, Dream)
    return made


def main(arguments: Sequence[str]) -> int:
    """Parse, dream, save; after Ctrl-C the picture so far, or the frames that are whole."""
    flags = vars(parser().read(arguments))
    own = {name: flags.pop(name) for name in ("image", "out", "preset", "guide", "device", "resume", "overwrite")}
    recipe = dream_recipe(own["preset"], **flags)
    out = _output(own, recipe.frames > 1)
    photo = read_image(own["image"])
    guide = read_image(own["guide"]).rgb if own["guide"] else None

    from rich.console import Console

    from onestroke.losses.vgg import choose_device
    from onestroke.optimization.deepdream.dreamer import Dreamer, octave_sizes

    console = Console(highlight=False, stderr=True, soft_wrap=True)
    dreamer = Dreamer(recipe, guide, choose_device(own["device"]))
    octave_sizes(recipe, *photo.rgb.shape[:2])  # before old frames make room for new ones
    with locked(out):
        if recipe.frames > 1:
            stopped = _frames(dreamer, photo, out, own["resume"], console)
        else:
            stopped = _picture(dreamer, photo, out, console)
    if stopped:
        return stopped
    print(out)
    return 0


def _picture(dreamer: Dreamer, photo: Picture, out: Path, console: Console) -> int:
    """Dream one picture with progress, and save it. Returns 0, or the exit code of what stopped it."""
    from onestroke.cli.pixels import ProgressLine
    from onestroke.optimization.gatys.synthesis import Progress

    line = ProgressLine(console)
    with Interrupt() as interrupt, line:

        def watch(progress: Progress) -> bool:
            line.show(progress)
            return interrupt.asked

        result = dreamer.dream(photo.rgb, watch)
    console.print(f"{line.seconds:.0f} s", style="dim")
    alpha = None if photo.alpha is None else resize_to(photo.alpha, *result.shape[:2])
    save_image(out, result, like=Picture(result, alpha, photo.exif, photo.info))
    if interrupt.asked:
        console.print(f"stopped; {out} is the picture so far", markup=False)
    return interrupt.code


def _frames(dreamer: Dreamer, photo: Picture, out: Path, resume: bool, console: Console) -> int:
    """Dream the frames of a zoom, each saved when it is whole. Returns 0, or the exit code of what stopped it."""
    from onestroke.optimization.deepdream.dreamer import octave_sizes

    total, start, done = dreamer.recipe.frames, photo.rgb, 0
    if resume:
        while _frame(out, done).exists():
            done += 1
        if done:
            start = read_image(last := _frame(out, done - 1)).rgb
            h, w = octave_sizes(dreamer.recipe, *photo.rgb.shape[:2])[-1]
            if start.shape[:2] != (h, w):
                raise ConfigError(f"{last}: is not {w}x{h} pixels; repeat the run's settings, or leave out --resume")
    else:
        remove_frames(out / FRAMES)
    began = time.perf_counter()
    with Interrupt() as interrupt:
        for number, frame in enumerate(dreamer.zoom(start, done, lambda _: interrupt.asked), done + 1):
            if interrupt.asked:
                console.print(f"stopped; {out} holds {number - 1} whole frames; add --resume to go on", markup=False)
                return interrupt.code
            save_image(_frame(out, number - 1), frame)
            each = (time.perf_counter() - began) / (number - done)
            console.print(f"frame {number}/{total}  {each:.1f} s a frame  {each * (total - number):.0f} s left")
    return 0


def _frame(folder: Path, number: int) -> Path:
    return frame_path(folder / FRAMES, number)


def _output(own: dict[str, Any], folder: bool) -> Path:
    photo = Path(own["image"])
    suffix = "" if folder else photo.suffix if photo.suffix.lower() in WRITABLE else ".png"
    out = Path(own["out"]) if own["out"] else photo.with_name(f"{photo.stem}-dream{suffix}")
    inputs = [Path(p).resolve() for p in (own["image"], own["guide"]) if p]
    if any(out.resolve() == path or (folder and is_of(path, out.resolve() / FRAMES)) for path in inputs):
        raise ConfigError(f"{out}: is one of the inputs, which are never touched; name another place with -o")
    if own["resume"] and not folder:
        raise ConfigError("resume: one picture is not resumed; add --frames N, or leave out --resume")
    if folder:
        if out.exists() and not out.is_dir():
            raise ConfigError(f"{out}: is a file, where a folder for frames is wanted; name another place with -o")
        if out.exists() and any(out.iterdir()) and not (own["overwrite"] or own["resume"]):
            raise ConfigError(f"{out}: holds files already; add --resume to go on, --overwrite to replace frames, or use -o")
        return out
    check_output(out, own["overwrite"])
    return out
