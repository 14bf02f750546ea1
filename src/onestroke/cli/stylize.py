"""onestroke stylize MODEL INPUT...: paint pictures with a trained style. INPUT: files, folders, glob patterns."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from onestroke.errors import ConfigError

EXAMPLES = """examples:
  onestroke stylize wave.onnx photo.jpg                      writes photo-wave.jpg beside the photo
  onestroke stylize wave.onnx photo.jpg -o painted.png --strength 0.7
  onestroke stylize wave.onnx holiday/ -o painted/           a folder, its tree kept
  onestroke stylize wave.onnx "*.jpg" -o painted/ --keep-colors --size 2048
"""


def parser() -> argparse.ArgumentParser:
    """All flags."""
    made = argparse.ArgumentParser(
        prog="onestroke stylize", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("model", help=".onnx file of export.py, or a style that comes in the box")
    made.add_argument("inputs", nargs="+", metavar="input", help="picture file, folder or glob pattern")
    made.add_argument("-o", "--out", help="file (for one input) or folder to write to")
    made.add_argument("--strength", type=float, default=1.0, metavar="S", help="0: the photo, 1: the style (default)")
    made.add_argument("--keep-colors", action="store_true", help="lightness from the style, colours from the photo")
    made.add_argument("--size", type=int, metavar="PX", help="longer side of the result; default: the photo's own")
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default: a GPU where there is one")
    made.add_argument("--overwrite", action="store_true", help="replace existing files, originals included")
    return made


def main(arguments: Sequence[str]) -> int:
    """Parse, stylise, report; 1 if some files had to be skipped."""
    flags = parser().parse_args(arguments)
    if not 0 <= flags.strength <= 1:
        raise ConfigError(f"strength: {flags.strength:g} is out of range; use 0 to 1")
    if flags.size is not None and flags.size < 1:
        raise ConfigError(f"size: {flags.size} is no size in pixels; use 1 or more")

    from onestroke.runtime.session import find_model
    from onestroke.runtime.stylize import Stylizer, plan, stylize_files

    jobs = plan(flags.inputs, flags.out, find_model(flags.model).stem, flags.overwrite)
    stylizer = Stylizer(flags.model, flags.device)

    from rich.console import Console
    from rich.progress import track

    console = Console(highlight=False, stderr=True, soft_wrap=True)
    console.print(stylizer.model.note or f"{stylizer.card.name} on {stylizer.model.device}", style="dim", markup=False)
    failed = 0
    work = stylize_files(stylizer, jobs, strength=flags.strength, keep_colors=flags.keep_colors, size=flags.size)
    for job, error in track(work, "painting", total=len(jobs), console=console, disable=len(jobs) == 1):
        if error:
            failed += 1
            console.print(f"skipped: {error}", style="red", markup=False)
        elif len(jobs) == 1:
            print(job.target)
    if len(jobs) > 1:
        folders = sorted({str(job.target.parent) for job in jobs})
        print(f"{len(jobs) - failed} of {len(jobs)} pictures in {folders[0]}" + (" and below" if len(folders) > 1 else ""))
    if failed and failed == len(jobs) == 1:
        return 2
    return 1 if failed else 0
