"""onestroke stylize MODEL INPUT...: paint pictures and videos with a trained style.

INPUT: files, folders, glob patterns; a numbered sequence such as frames/%05d.png; - for a video on standard input;
webcam (webcam:1, ...) for a camera, shown live; s3:// and gs:// for files or folders in an object store.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from onestroke.cli import engines
from onestroke.cli.flags import Parser
from onestroke.config.devices import DEVICES
from onestroke.errors import ConfigError

if TYPE_CHECKING:
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
  onestroke stylize wave.onnx s3://bucket/photos -o s3://bucket/painted --engine ray
  cat clip.mkv | onestroke stylize wave.onnx - -o - | ffplay -
"""


def parser() -> Parser:
    """All flags."""
    made = Parser("stylize", __doc__, EXAMPLES)
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
    made.add_argument("--device", default="auto", choices=DEVICES, help="default: a GPU where there is one")
    made.add_argument("--memory", type=int, metavar="MB", help="what the network may take; default: half of what is free")
    made.add_argument("--overwrite", action="store_true", help="replace existing files, originals included")
    many = made.add_argument_group("many machines")
    engines.add_flags(
        many, "on all machines of a Ray cluster, leaving out what is done; failures are listed in a file in the folder -o"
    )
    many.add_argument("--workers", type=int, default=0, metavar="N", help="processes; default: one a GPU, else one a core")
    many.add_argument(
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
    flags = parser().read(arguments)
    settings = _settings(flags)

    from onestroke import bundled
    from onestroke.config.shard import Shard
    from onestroke.inference.stylizer import Stylizer
    from onestroke.jobs.plan import plan
    from onestroke.media.source import Camera, parse

    model, shard = bundled.path(flags.model), Shard.parse(flags.shard)
    only = parse(flags.inputs[0]) if len(flags.inputs) == 1 else None
    live = only.name if isinstance(only, Camera) else None
    if live and (flags.out or flags.codec or flags.quality is not None or flags.resume or flags.engine != "local"):
        raise ConfigError(f"{live}: is shown live and not stored; leave out -o, --codec, --quality, --resume and --engine")
    name = _label(flags.style) or model.stem
    jobs = [] if live else plan(flags.inputs, flags.out, name, flags.overwrite, settings, shard)
    stylizer = Stylizer(model, flags.device if flags.engine == "local" else "cpu", flags.memory, flags.style)
    stylizer.check_strength(flags.strength)

    from rich.console import Console

    from onestroke.cli.work import on_cluster, work
    from onestroke.jobs.engine import stylize_files

    console = Console(highlight=False, stderr=True, soft_wrap=True)
    if flags.engine == "ray":
        return on_cluster(flags, model, jobs, settings, shard, console)
    note = f" ({stylizer.model.note})" if stylizer.model.note else ""
    console.print(f"{stylizer.card.name} on {stylizer.model.device}{note}", style="dim", markup=False)
    if live:
        from onestroke.cli import webcam

        return webcam.main(stylizer, live, settings, console)

    return work(partial(stylize_files, stylizer), jobs, settings, console)[0]


def _settings(flags: argparse.Namespace) -> Settings:
    """What the flags ask of the painting. Raises ConfigError."""
    if flags.fps is not None and not 0.001 <= flags.fps <= 1000:
        raise ConfigError(f"fps: {flags.fps:g} is out of range; use 0.001 to 1000")
    if flags.workers < 0:
        raise ConfigError(f"workers: {flags.workers} is no number of processes; use 1 or more")
    if flags.engine == "local" and (flags.address or flags.workers):
        raise ConfigError("address, workers: are of a cluster; add --engine ray")

    from onestroke.inference.brush import Brush
    from onestroke.inference.temporal import Steady
    from onestroke.jobs.settings import Settings
    from onestroke.jobs.targets import names_a_file

    if flags.engine == "ray" and (flags.out is None or names_a_file(flags.out)):
        raise ConfigError(f"out: --engine ray writes to a folder, not {flags.out or 'beside the photos'}; name one with -o")
    if flags.steady:
        Steady()  # so that it is missed before anything is opened
    rate = None if flags.fps is None else Fraction(flags.fps).limit_denominator(1001)
    resume = flags.resume or (flags.engine == "ray" and not flags.overwrite)
    return Settings(
        flags.strength, flags.keep_colors, flags.size, flags.codec, flags.quality, rate, resume, Brush.parse(flags.brush),
        flags.steady,
    )  # fmt: skip


def _label(style: str) -> str:
    """What outputs in one style of several, or in a mix, are named after: "wave:0.7,scream:0.3" is wave-scream."""
    from onestroke.inference.session import split_mix

    return "-".join(name for name, _ in split_mix(style))
