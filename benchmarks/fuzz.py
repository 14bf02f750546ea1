"""Feeds mutated files to the commands, in this process, and counts what is not told in one line.

    uv run benchmarks/fuzz.py --count 20000 --seed 0

Input number i of a seed is always the same, whatever ran before it. A traceback, an exception that is reported under its own
name, an exit code that is none of ours, a crash and a hang count as failures; the files that made them are kept in --keep.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import random
import re
import resource
import shutil
import signal
import struct
import tempfile
import time
import traceback
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onestroke.exporting.onnx as exporting
import onestroke.jobs.render
import onestroke.training.run  # noqa: F401 (read once, before the processes part)
from onestroke.bundled import path as bundled
from onestroke.cli.main import main as command
from onestroke.errors import ModelError

STYLE = "brushwork"
CHUNK = 400  # inputs a process
FOLDER = 20  # pictures a command: opening the model takes longer than most of them
SECONDS = 60
ADDRESSES = 16 << 30  # bytes
# Shares of the kinds of input.
SHARES = {"settings": 0.3, "model": 0.2, "checkpoint": 0.07, "video": 0.03, "picture": 0.4}
WORDS = [
    b"!!int ",
    b"!!timestamp ",
    b"!!python/object:os.system ",
    b"&a ",
    b"*a",
    b"[",
    b"{",
    b"]",
    b"}",
    b": ",
    b"- ",
    b"\n",
    b"9" * 400,
    b"1e999",
    b".nan",
    b".inf",
    b"\\0",
    b"~",
    b"<<: ",
    b"null",
    b"true",
    b"\xff",
    b"\xe6\x97\xa5",
    b"-1",
    b"0x",
    b"|\n",
]
NUMBERS = [0, 1, 2, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1]
VALUES = ["null", "[]", "{}", "-1", "1e999", "NaN", '""', "0", "9" * 30, '"x"', "[1]", "true", "[" * 2000]
RAW = re.compile(r"\b[A-Z]\w*(Error|Exception|Warning): |Traceback")


def mutated(data: bytes, rng: random.Random, words: bool = False) -> bytes:
    """A copy with one to six places changed, cut, doubled or overwritten."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        place = rng.randrange(len(changed) + 1)
        # headers say more than pixels do
        place = place if rng.random() < 0.5 else min(place, rng.randrange(64))
        length = min(rng.choice((1, 2, 4, 16, 200)), len(changed) - place)
        how = rng.randrange(8 if words else 7)
        if how == 0:
            changed[place : place + 1] = bytes([rng.randrange(256)])
        elif how == 1:
            changed[place : place + length] = rng.randbytes(length)
        elif how == 2:
            del changed[place : place + length]
        elif how == 3:
            changed[place:place] = changed[place : place + length] * rng.choice((1, 2, 50))
        elif how == 4:
            changed[place : place + 4] = struct.pack(rng.choice("<>") + "I", rng.choice(NUMBERS))
        elif how == 5:
            changed[place : place + 2] = struct.pack(rng.choice("<>") + "H", rng.choice(NUMBERS) & 0xFFFF)
        elif how == 6 and rng.random() < 0.3:
            del changed[place:]
        elif words:
            changed[place:place] = rng.choice(WORDS)
    return bytes(changed)


def png_mended(data: bytes) -> bytes:
    """A PNG with right checksums, so that its chunks are read."""
    out, place = bytearray(data[:8]), 8
    while place + 12 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        body = data[place + 4 : place + 8 + length]
        out += data[place : place + 4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + length
    return bytes(out + data[place:])


class Seeds:
    """Whole files to begin from, made here: pictures and videos in many formats, a model, settings, a checkpoint."""

    def __init__(self) -> None:
        import numpy as np
        import torch
        from PIL import Image, ImageCms

        from onestroke.networks import registry

        noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
        base, profile = Image.fromarray(noise), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "words"
        self.pictures: dict[str, list[bytes]] = {}

        def add(ending: str, kind: str, image: Any = base, **options: Any) -> None:
            image.save(held := io.BytesIO(), kind, **options)
            self.pictures.setdefault(ending, []).append(held.getvalue())

        for ending, kind in (("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP"), ("tif", "TIFF"), ("avif", "AVIF")):
            add(ending, kind, exif=exif, icc_profile=profile)
        for ending, kind in (("bmp", "BMP"), ("gif", "GIF"), ("ppm", "PPM"), ("jp2", "JPEG2000"), ("tga", "TGA")):
            add(ending, kind)
        add("png", "PNG", Image.fromarray(noise[..., 0].astype(np.uint16) * 257))
        add("png", "PNG", base.quantize(16), transparency=3)
        add("jpg", "JPEG", base.convert("CMYK"), progressive=True)
        add("tif", "TIFF", base.convert("F").split()[0], compression="tiff_lzw")
        for ending, kind in (("gif", "GIF"), ("webp", "WEBP"), ("png", "PNG")):
            add(ending, kind, save_all=True, append_images=[base.rotate(90), base.rotate(180)], duration=[40, 90, 30])
        self.videos = {ending: video(ending) for ending in ("mp4", "mkv", "ts")}
        self.model = bundled(STYLE).read_bytes()
        self.settings = [path.read_bytes() for path in sorted((Path(__file__).parent.parent / "configs").rglob("*.yaml"))]
        net = registry.build("tiny")
        state = {f"ema.module.{name}": value for name, value in net.state_dict().items()}
        torch.save({"state_dict": state, "global_step": 3}, held := io.BytesIO())
        self.checkpoint = held.getvalue()


def video(ending: str) -> bytes:
    """Six small frames."""
    import av
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        with av.open(f"{folder}/x.{ending}", "w") as out:
            stream = out.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
            for number in range(6):
                out.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 48, 3), 40 * number, np.uint8), "rgb24")))
            out.mux(stream.encode(None))
        return Path(f"{folder}/x.{ending}").read_bytes()


def pictures(seeds: Seeds, rng: random.Random, number: int) -> list[str]:
    """Writes in/NUMBER.ENDING."""
    ending = rng.choice(sorted(seeds.pictures))
    data = mutated(rng.choice(seeds.pictures[ending]), rng)
    data = png_mended(data) if ending == "png" and rng.random() < 0.7 else data
    Path(f"in/{number}.{ending}").write_bytes(data)
    return ["stylize", STYLE, "in", "-o", "out", "--device", "cpu", "--overwrite"]


def videos(seeds: Seeds, rng: random.Random, number: int) -> list[str]:
    """A clip, to another clip or an animation."""
    ending = rng.choice(sorted(seeds.videos))
    Path(f"clip.{ending}").write_bytes(mutated(seeds.videos[ending], rng))
    target = rng.choice(("o.mkv", "o.gif", "o.mp4"))
    return ["stylize", STYLE, f"clip.{ending}", "-o", target, "--device", "cpu", "--overwrite"]


def models(seeds: Seeds, rng: random.Random, number: int) -> list[str]:
    """Half of them with one field of the card, half with any bytes changed."""
    if rng.random() < 0.5:
        import onnx

        model = onnx.load_from_string(seeds.model)
        rng.choice(list(model.metadata_props)).value = rng.choice(VALUES)
        data = model.SerializeToString()
    else:
        data = mutated(seeds.model, rng)
    Path("bad.onnx").write_bytes(data)
    return ["stylize", "bad.onnx", "photo.png", "-o", "o.png", "--device", "cpu", "--overwrite"]


def settings(seeds: Seeds, rng: random.Random, number: int) -> list[str]:
    """Settings that are good after all end at a folder that holds a run: nothing is trained here."""
    Path("c.yaml").write_bytes(mutated(rng.choice(seeds.settings), rng, words=True))
    return ["train", "--config", "c.yaml", "--out", "run"]


def checkpoints(seeds: Seeds, rng: random.Random, number: int) -> list[str]:
    """Half of them with bytes of the pickle changed, inside a zip that is whole."""
    data = seeds.checkpoint
    if rng.random() < 0.5:
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(held := io.BytesIO(), "w") as new:
            for name in old.namelist():
                part = old.read(name)
                new.writestr(name, mutated(part, rng) if name.endswith("data.pkl") else part)
        data = held.getvalue()
    else:
        data = mutated(data, rng)
    Path("run/last.ckpt").write_bytes(data)
    return ["export", "run", "-o", "e.onnx"]


MAKERS: dict[str, Callable[[Seeds, random.Random, int], list[str]]] = {
    "picture": pictures, "video": videos, "model": models, "settings": settings, "checkpoint": checkpoints,
}  # fmt: skip


def prepare(seeds: Seeds) -> None:
    """The folder that a process works in."""
    for name in ("in", "run"):
        shutil.rmtree(name, ignore_errors=True)
        Path(name).mkdir()
    Path("run/config.yaml").write_text("network: tiny\nsteps: 3\nsize: 64\n")
    Path("photo.png").write_bytes(seeds.pictures["png"][0])

    def refuse(*_: Any) -> None:
        raise ModelError("e.onnx: read, and not exported here")

    exporting.export = refuse  # type: ignore[assignment]


def told(arguments: list[str]) -> tuple[str, str]:
    """("", or what is wrong with how a command ended; what it printed)."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        signal.alarm(SECONDS)
        try:
            code = command(arguments)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else -1
        except BaseException:
            return "traceback", traceback.format_exc()
        finally:
            signal.alarm(0)
    text = printed.getvalue()
    if code not in (0, 1, 2):
        return f"exit code {code}", text
    return ("raw exception" if RAW.search(text) else ""), text


def work(seed: int, numbers: range, kind: str, seeds: Seeds, folder: Path, keep: Path) -> None:
    """Try inputs of one kind; what fails is written to `keep`, and how far it came to folder/done."""
    os.chdir(folder)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    prepare(seeds)
    step = FOLDER if kind == "picture" else 1
    for first in numbers[::step]:
        group = range(first, min(first + step, numbers.stop))
        for number in group:
            arguments = MAKERS[kind](seeds, random.Random(f"{seed} {kind} {number}"), number)
        Path("at").write_text(json.dumps([first, group.stop]))
        wrong, text = told(arguments)
        if wrong:
            place = keep / f"{kind}-{first}"
            shutil.copytree(".", place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("out"))
            (place / "said.txt").write_text(f"{wrong}\n{text}", errors="replace")
        shutil.rmtree("out", ignore_errors=True)
        for old in Path("in").iterdir():
            old.unlink()
    Path("at").write_text(json.dumps([numbers.stop, numbers.stop]))


def main() -> None:
    """Parse, try kind after kind in processes of CHUNK inputs, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=sorted(MAKERS), help="only this kind; default: a share of each")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for what failed")
    flags = parser.parse_args()
    seeds, began, tried = Seeds(), time.monotonic(), Counter[str]()
    keep = flags.keep.resolve()
    context = multiprocessing.get_context("fork")
    shares = {flags.kind: 1.0} if flags.kind else SHARES
    with tempfile.TemporaryDirectory() as scratch:
        for kind, share in shares.items():
            start, end = 0, round(flags.count * share)
            while start < end:
                numbers = range(start, min(start + CHUNK, end))
                process = context.Process(target=work, args=(flags.seed, numbers, kind, seeds, Path(scratch), keep))
                process.start()
                process.join()
                first, start = json.loads((Path(scratch) / "at").read_text())
                if process.exitcode:
                    shutil.copytree(scratch, keep / f"{kind}-{first}-crash", dirs_exist_ok=True)
            tried[kind] = end
            failed = len(list(keep.glob(f"{kind}-*")))
            print(f"{kind:10} {end:6} inputs, {failed} failures  ({time.monotonic() - began:.0f} s)", flush=True)
    failures = len(list(keep.glob("*-*")))
    print(
        f"{sum(tried.values())} inputs with seed {flags.seed}: {failures} failures" + (f", kept in {keep}" if failures else "")
    )


if __name__ == "__main__":
    main()
