"""onestroke stylize MODEL INPUT...: paint pictures and videos with a trained style.

INPUT: files, folders, glob patterns; a numbered sequence such as frames/%05d.png; - for a video on standard input;
webcam (webcam:1, ...) for a camera, shown live.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from onestroke.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from onestroke.inference.stylizer import Stylizer
    from onestroke.jobs.engine import Done
    from onestroke.jobs.plan import Job
    from onestroke.jobs.settings import Settings

EXAMPLES = """examples:
  onestroke stylize wave.onnx photo.jpg                      writes photo-wave.jpg beside the photo
  onestroke stylize wave.onnx photo.jpg -o painted.png --strength 0.7
  onestroke stylize wave.onnx holiday/ -o painted/           a folder, its tree kept
  onestroke stylize wave.onnx "*.jpg" -o painted/ --keep-colors --size 2048
  onestroke stylize wave.onnx panorama.jpg --brush 1024      strokes as on a photo of 1024 pixels
  onestroke stylize wave.onnx clip.mp4                       writes clip-wave.mp4, sound kept
  onestroke stylize wave.onnx clip.mp4 --codec h265 --quality 24 --resume
  onestroke stylize wave.onnx clip.mp4 --steady              less flicker, for films with much noise
  onestroke stylize wave.onnx clip.mp4 -o painted.gif --size 480
  onestroke stylize wave.onnx frames/%05d.png -o film.mp4 --fps 24
  onestroke stylize wave.onnx webcam --size 640
  cat clip.mkv | onestroke stylize wave.onnx - -o - | ffplay -
"""


def parser() -> argparse.ArgumentParser:
    """All flags."""
    made = argparse.ArgumentParser(
        prog="onestroke stylize",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("model", help=".onnx file, or a bundled style")
    made.add_argument("inputs", nargs="+", metavar="input", help="picture or video file, folder, glob pattern or -")
    made.add_argument("-o", "--out", help="file (for one input) or folder to write to; - for standard output")
    made.add_argument("--strength", type=float, default=1.0, metavar="S", help="0: the photo, 1: the style (default), to 1.5")
    made.add_argument(
        "--style", default="", metavar="NAME[:W],...", help="of a model with several: one, or a mix (a:0.7,b:0.3)"
    )
    made.add_argument("--keep-colors", action="store_true", help="lightness from the style, colors from the photo")
    made.add_argument("--size", type=int, metavar="PX", help="longer side of the result; default: the photo's own")
    made.add_argument(
        "--brush", default="auto", metavar="PX|%", help="strokes as on a photo of this longer side (512 or 25%%);"
        " auto (default): as trained; native: the network's own, which vanish on large photos",
    )  # fmt: skip
    made.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda", "webgpu"), help="default: a GPU where there is one"
    )
    made.add_argument("--memory", type=int, metavar="MB", help="what a picture may take; default: half of what is free")
    made.add_argument("--overwrite", action="store_true", help="replace existing files, originals included")
    made.add_argument(
        "--shard", default="1/1", metavar="I/N", help="only this machine's part of the files: 1/8 on the first of eight"
    )
    video = made.add_argument_group("videos")
    video.add_argument("--codec", metavar="NAME", help="h264 (default), h265, av1, prores; gif, webp, apng; png: a sequence")
    video.add_argument("--quality", type=int, metavar="CRF", help="smaller is better; default: 18 for h264, 21 h265, 26 av1")
    video.add_argument("--steady", action="store_true", help="mix each frame with those before, moved along (needs OpenCV)")
    video.add_argument("--fps", type=float, metavar="N", help="frames a second of a numbered sequence; default: 25")
    video.add_argument("--resume", action="store_true", help="go on from a run that was stopped; leave out what is done")
    return made


def main(arguments: Sequence[str]) -> int:
    """Parse, stylize, report; 1 if some files had to be skipped."""
    flags = parser().parse_args(arguments)
    if flags.size is not None and flags.size < 1:
        raise ConfigError(f"size: {flags.size} is no size in pixels; use 1 or more")
    if flags.fps is not None and not 0 < flags.fps <= 1000:
        raise ConfigError(f"fps: {flags.fps:g} is out of range; use more than 0, up to 1000")

    from onestroke import bundled
    from onestroke.config.shard import Shard
    from onestroke.inference.brush import Brush
    from onestroke.inference.stylizer import Stylizer
    from onestroke.inference.temporal import Steady
    from onestroke.jobs.plan import plan
    from onestroke.jobs.settings import Settings
    from onestroke.media.source import Camera, parse

    model = bundled.path(flags.model)
    brush = Brush.parse(flags.brush)
    rate = None if flags.fps is None else Fraction(flags.fps).limit_denominator(1001)
    settings = Settings(
        flags.strength, flags.keep_colors, flags.size, flags.codec, flags.quality, rate, flags.resume, brush, flags.steady
    )
    if settings.steady:
        Steady()  # so that it is missed before anything is opened
    only = parse(flags.inputs[0]) if len(flags.inputs) == 1 else None
    live = only.name if isinstance(only, Camera) else None
    if live and (flags.out or flags.codec or flags.quality is not None or flags.resume):
        raise ConfigError(f"{live}: is shown live and not stored; leave out -o, --codec, --quality and --resume")
    name = _label(flags.style) or model.stem
    jobs = [] if live else plan(flags.inputs, flags.out, name, flags.overwrite, settings, Shard.parse(flags.shard))
    stylizer = Stylizer(model, flags.device, flags.memory, flags.style)
    stylizer.check_strength(flags.strength)

    from rich.console import Console

    console = Console(highlight=False, stderr=True, soft_wrap=True)
    note = f" ({stylizer.model.note})" if stylizer.model.note else ""
    console.print(f"{stylizer.card.name} on {stylizer.model.device}{note}", style="dim", markup=False)
    if live:
        from onestroke.cli import webcam

        return webcam.main(stylizer, live, settings, console)
    return _work(stylizer, jobs, settings, console)


def _label(style: str) -> str:
    """What outputs in one style of several, or in a mix, are named after: "wave:0.7,scream:0.3" is wave-scream."""
    return "-".join(part.partition(":")[0].strip() for part in style.split(",")) if style else ""


def _work(stylizer: Stylizer, jobs: list[Job], settings: Settings, console: Console) -> int:
    from onestroke.cli.progress import Lines
    from onestroke.interrupt import Interrupt
    from onestroke.jobs.engine import stylize_files

    failed = 0
    with Interrupt() as interrupt, Lines(console, len(jobs), lambda: interrupt.asked) as lines:
        for number, done in enumerate(stylize_files(stylizer, jobs, settings, lines.frames), 1):
            left = len(jobs) - number
            failed += done.error is not None or bool(done.report and done.report.stopped)
            _tell(done, len(jobs), console)
            lines.file()
            if interrupt.asked and left:
                console.print(f"stopped with {left} of {len(jobs)} files to go; add --resume to go on", markup=False)
            if interrupt.asked and (left or (done.report and done.report.stopped)):
                return interrupt.code
    if len(jobs) > 1:
        folders = sorted({str(job.target.parent) for job in jobs})
        print(f"{len(jobs) - failed} of {len(jobs)} files in {folders[0]}" + (" and below" if len(folders) > 1 else ""))
    if not jobs:
        print("nothing left to do")
    if failed and failed == len(jobs) == 1:
        return 2
    return 1 if failed else 0


def _tell(done: Done, jobs: int, console: Console) -> None:
    """What happened to one file: results on standard output, the rest on standard error."""
    if done.error:
        console.print(f"skipped: {done.error}", style="red", markup=False)
        return
    target, report = done.job.target, done.report
    for note in done.notes:
        console.print(note, style="yellow", markup=False)
    if report:
        for note in report.notes:
            console.print(f"{target.name}: {note}", style="yellow", markup=False)
        if report.repeated:
            console.print(f"{target.name}: {report.repeated} broken frames show the one before", style="yellow", markup=False)
        scenes = f", {len(report.cuts)} scene cuts" if report.cuts else ""
        console.print(f"{target.name}: {report.frames} frames{scenes}", style="dim", markup=False)
        if report.stopped:
            more = "; --resume goes on" if report.resumable else "; --resume starts it over"
            console.print(f"{target.name}: {report.stopped} after {report.frames} frames{more}", style="red", markup=False)
    if jobs == 1 and str(target) != "-":
        print(target)
