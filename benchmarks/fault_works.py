"""Four small works that take a while: what they are given, how they are begun and gone on with, and what must come out."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import yaml
from PIL import Image

from onestroke.samples import scenes
from onestroke.training.checkpoint import load_checkpoint

STYLE = "brushwork"
PICTURES, FRAMES = 24, 400


@dataclass(frozen=True)
class Work:
    """A command, what goes on with it, and what must be the same however it came about, by name."""

    name: str
    begin: list[str]
    again: list[str]
    begun: str  # the file, below the folder written to, without which there is nothing to go on with; "" for none
    result: Callable[[Path], dict[str, Any]]


def works(inputs: Path, out: Path) -> list[Work]:
    """Make the inputs; the works write below `out`."""
    _make(inputs)
    photos, painting = str(inputs / "photos"), str(inputs / "painting.png")
    cpu = ["--device", "cpu"]
    small = ["--size", "64", "--batch", "2", "--style-size", "64", "--style-layers", "relu1_2", "relu2_1", "--content-layers",
             "relu2_1", "--network", "tiny", "--initialize-from", "none", "--workers", "0"]  # fmt: skip
    often = ["--steps", "40", "--save-every", "7", "--val-every", "10", "--preview-every", "9"]
    run, pairs, pictures, film = (str(out / name) for name in ("run", "pairs", "pictures", "film.mp4"))
    train = ["train", painting, "--content", photos, "--out", run, *small, *often, *cpu]
    make = ["pairs", painting, "--content", photos, "-o", pairs, "--preset", "fast", "--size", "64", "--steps", "3", *cpu]
    paint = ["stylize", STYLE, str(inputs / "pictures"), "-o", pictures, *cpu]
    render = ["stylize", STYLE, str(inputs / "film.mp4"), "-o", film, *cpu]
    return [
        Work("training", train, ["train", "--out", run, "--resume"], "run/config.yaml", _run),
        Work("pairs", make, make, "", _pairs),
        Work("pictures", paint, [*paint, "--resume"], "", _files),
        Work("video", render, [*render, "--resume"], "", _film),
    ]


def _make(inputs: Path) -> None:
    for name, count, side in (("photos", 6, 80), ("pictures", PICTURES, 160)):
        (inputs / name / "deep").mkdir(parents=True)
        for i in range(count):
            place = inputs / name / ("deep" if i % 3 else ".") / f"{i:02}.{'jpg' if i % 2 else 'png'}"
            Image.fromarray(scenes.draw(i, side)).save(place)
    Image.fromarray(scenes.draw(99, 96)).save(inputs / "painting.png")
    with av.open(str(inputs / "film.mp4"), "w") as out:
        video, sound = out.add_stream("libx264", rate=25), out.add_stream("aac", rate=48000)
        assert isinstance(video, av.VideoStream) and isinstance(sound, av.AudioStream)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        scene = scenes.draw(5, 160)
        for number in range(FRAMES):
            pixels = np.ascontiguousarray(np.roll(scene, number, 1)[:48, :64])
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = 40 * number + number % 7, Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for number in range(FRAMES * 40 * 48 // 1024):
            tone = np.sin(np.arange(1024 * number, 1024 * (number + 1), dtype=np.float32) / 20)
            heard = av.AudioFrame.from_ndarray(np.stack([tone, tone]), "fltp", "stereo")
            heard.sample_rate, heard.pts = 48000, 1024 * number
            out.mux(sound.encode(heard))
        out.mux(sound.encode(None))


def _files(out: Path) -> dict[str, Any]:
    """Every file by its name below `out`, hidden ones included."""
    return {str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest() for p in out.rglob("*") if p.is_file()}


def _run(out: Path) -> dict[str, Any]:
    """Files as they are, but for times of day: of metrics all columns except seconds, of checkpoints what is computed.

    Held-out photos are also measured where a run is stopped, and not where it was killed while it measured them, after it had
    saved: these rows are left out.
    """
    files = {name: hash for name, hash in _files(out).items() if "tensorboard" not in name}
    files |= {"run/metrics.csv": [], "run/last.ckpt": {}}
    with (out / "run" / "metrics.csv").open() as file:
        rows = [row[:-1] for row in csv.reader(file)]
    files["run/metrics.csv"] = [row for row in rows if row[1] != "val"]
    saved = load_checkpoint(out / "run" / "last.ckpt")
    files["run/last.ckpt"] = _digests({name: saved[name] for name in ("global_step", "state_dict", "optimizer_states")})
    return files


def _digests(value: Any) -> Any:
    """The same, with tensors as text."""
    if isinstance(value, dict):
        return {str(name): _digests(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_digests(part) for part in value]
    return hashlib.sha256(value.numpy().tobytes()).hexdigest() if hasattr(value, "numpy") else value


def _pairs(out: Path) -> dict[str, Any]:
    """Pictures and settings as they are; of the manifest all but seconds."""
    files = _files(out)
    name = "pairs/manifest-1-of-1.jsonl"
    lines = [json.loads(line) for line in (out / name).read_text().splitlines()]
    files[name] = [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
    files["pairs/settings.yaml"] = yaml.safe_load((out / "pairs" / "settings.yaml").read_text())
    return files


def _film(out: Path) -> dict[str, Any]:
    """What is shown when, and the packets of the sound; of other files only their names."""
    with av.open(str(out / "film.mp4")) as film:
        frames = [(frame.pts, hashlib.sha256(frame.to_ndarray(format="rgb24").tobytes()).hexdigest())
                  for frame in film.decode(video=0)]  # fmt: skip
    with av.open(str(out / "film.mp4")) as film:
        sound = [(packet.pts, hashlib.sha256(bytes(packet)).hexdigest()) for packet in film.demux(audio=0) if packet.size]
    return dict.fromkeys(_files(out)) | {"frames": frames, "sound": sound}
