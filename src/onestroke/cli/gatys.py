"""onestroke gatys PHOTO PAINTING...: paint one photo by optimizing its pixels; slow, and the reference for what is fast."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onestroke.arrays import resize_to
from onestroke.cli.flags import Parser
from onestroke.config import schema
from onestroke.config import training as configs
from onestroke.config.devices import TORCH_DEVICES
from onestroke.errors import ConfigError, OnestrokeError, because
from onestroke.images import Picture, read_image
from onestroke.interrupt import Interrupt
from onestroke.locking import locked
from onestroke.optimization.gatys.presets import PRESETS, Recipe, recipe
from onestroke.saving import WRITABLE, check_output, save_image

if TYPE_CHECKING:
    from rich.console import Console

    from onestroke.optimization.gatys.materials import Painting
    from onestroke.optimization.gatys.synthesis import Gatys, Progress

SAVE_EVERY = 60.0  # seconds between states

EXAMPLES = f"""presets: {", ".join(PRESETS)}

examples:
  onestroke gatys photo.jpg wave.jpg                                  writes photo-wave.jpg beside the photo
  onestroke gatys photo.jpg wave.jpg -o painted.png --preset fast --size 1024
  onestroke gatys photo.jpg wave.jpg scream.jpg --blend 0.7 0.3 --colors luminance
  onestroke gatys photo.jpg wave.jpg --size 6000 --memory 4000        exact tiles in 4 GB
  onestroke gatys photo.jpg a.jpg --regions photo_map.png --style-regions a_map.png
  onestroke gatys photo.jpg wave.jpg --resume                         go on after Ctrl-C or a crash
"""


def parser() -> Parser:
    """All flags: one per field of Recipe, and what is about files."""
    made = Parser("gatys", __doc__, EXAMPLES)
    made.add_argument("photo", help="picture file")
    made.add_argument("paintings", nargs="+", metavar="painting", help="picture files; transparent parts do not count")
    made.add_argument("-o", "--out", help="file to write; default: PHOTO-PAINTING beside the photo")
    made.add_argument("--preset", default="quality", metavar="NAME", help="settings to start from; default: quality")
    made.add_argument("--blend", nargs="+", type=float, metavar="W", help="weight of each painting; default: equal")
    made.add_argument("--regions", metavar="MAP", help="picture of the photo's size, one flat color a region")
    made.add_argument("--style-regions", nargs="+", metavar="MAP", help="the same for each painting, in the same colors")
    made.add_argument(
        "--memory", type=int, default=0, metavar="MB", help="bound, kept by exact tiles; default: half of what is free"
    )
    made.add_argument("--device", default="auto", choices=TORCH_DEVICES, help="default: a GPU where there is one")
    made.add_argument("--resume", action="store_true", help="go on from where the same command was stopped")
    made.add_argument("--overwrite", action="store_true", help="replace an existing output")
    schema.add_flags(made, Recipe)
    return made


def main(arguments: Sequence[str]) -> int:
    """Parse, optimize, save; after Ctrl-C or SIGTERM the picture so far and a state to resume from."""
    flags = vars(parser().read(arguments))
    own = {name: flags.pop(name) for name in ("photo", "paintings", "out", "preset", "blend", "regions", "style_regions",
                                              "memory", "device", "resume", "overwrite")}  # fmt: skip
    chosen = recipe(own["preset"], **flags)
    if own["memory"] < 0:
        raise ConfigError(f"memory: {own['memory']} is no size in MB; use 1 or more")
    out = _output(own, chosen.start)
    photo = read_image(own["photo"])

    from rich.console import Console

    from onestroke.losses.vgg import choose_device
    from onestroke.optimization.gatys.synthesis import Gatys

    console = Console(highlight=False, stderr=True, soft_wrap=True)
    region_map = read_image(own["regions"]).rgb if own["regions"] else None
    work = Gatys(chosen, photo.rgb[None], _paintings(own), region_map=region_map, device=choose_device(own["device"]),
                 memory=own["memory"])  # fmt: skip
    state = out.with_name(out.name + ".resume")
    with locked(out):
        if own["resume"]:
            work.load(state)
        stopped = _run(work, state, console)
        _save(out, work, photo, state, console)
    if stopped:
        more = "; add --resume to go on" if state.is_file() else ""
        console.print(f"stopped; {out} is the picture so far{more}", markup=False)
        return stopped
    state.unlink(missing_ok=True)
    print(out)
    return 0


def _run(work: Gatys, state: Path, console: Console) -> int:
    """Run with progress; a state every minute and when stopped. Returns 0, or the exit code of what stopped it."""
    from onestroke.cli.pixels import ProgressLine, peak_memory

    line, saved = ProgressLine(console), time.monotonic()
    with Interrupt() as interrupt, line:

        def watch(progress: Progress) -> bool:
            nonlocal saved
            line.show(progress)
            if interrupt.asked or time.monotonic() - saved > SAVE_EVERY:
                saved = time.monotonic()
                try:
                    work.save(state)
                except OnestrokeError as error:  # a full disk must not end hours of work
                    console.print(str(error), style="yellow", markup=False)
            return interrupt.asked

        done = work.run(watch)
    console.print(f"{line.seconds:.0f} s, peak memory {peak_memory(work.device)} MB", style="dim")
    return 0 if done else interrupt.code


def _save(out: Path, work: Gatys, photo: Picture, state: Path, console: Console) -> None:
    """Write the picture; where that fails, keep the state, so that nothing is lost."""
    result = work.pictures[0]
    alpha = None if photo.alpha is None else resize_to(photo.alpha, *result.shape[:2])
    try:
        save_image(out, result, like=Picture(result, alpha, photo.exif, photo.info))
    except OnestrokeError as error:
        try:
            work.save(state)
        except OnestrokeError:
            raise error from None
        raise OnestrokeError(f"{error}; {state} holds the work: make room, then add --resume") from None


def _output(own: dict[str, Any], start: str) -> Path:
    """The file to write, in a folder that is there and writable: found out now, not hours later."""
    photo = Path(own["photo"])
    style = "-".join(configs.style_names(own["paintings"]))
    suffix = photo.suffix if photo.suffix.lower() in WRITABLE else ".png"
    out = Path(own["out"]) if own["out"] else photo.with_name(f"{photo.stem}-{style}{suffix}")
    check_output(out, own["overwrite"] or own["resume"])
    given = [own["photo"], *own["paintings"], own["regions"], *(own["style_regions"] or []), start]
    if any(out.resolve() == Path(p).resolve() for p in given if p):
        raise ConfigError(f"{out}: is one of the inputs, which are never touched; name another place with -o")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out.parent}: cannot be made ({because(error)})") from None
    if not os.access(out.parent, os.W_OK):
        raise ConfigError(f"{out.parent}: cannot be written to; name another place with -o")
    return out


def _paintings(own: dict[str, Any]) -> list[Painting]:
    from onestroke.optimization.gatys.materials import Painting

    paths, maps = own["paintings"], own["style_regions"] or []
    shares = own["blend"] or [1.0] * len(paths)
    if len(shares) != len(paths) or not all(0 <= s < float("inf") for s in shares) or not any(shares):
        raise ConfigError(
            f"blend: got {len(shares)} weights for {len(paths)} paintings; give one each, none negative, not all zero"
        )
    if maps and len(maps) != len(paths):
        raise ConfigError(f"style_regions: got {len(maps)} maps for {len(paths)} paintings; give one each")
    found = []
    for i, (path, share) in enumerate(zip(paths, shares, strict=True)):
        picture = read_image(path)
        found.append(Painting(path, picture.rgb, picture.alpha, read_image(maps[i]).rgb if maps else None, share))
    return found
