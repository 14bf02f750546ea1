"""What a moving picture may be written to, told by its name alone."""

from __future__ import annotations

from pathlib import Path

from onestroke.errors import ConfigError
from onestroke.files import hidden

STDOUT = "-"
CONTAINERS = {
    ".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".ts": "mpegts",
}  # fmt: skip
ANIMATIONS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG"}
MOVING = (*CONTAINERS, *ANIMATIONS)
# What `codec` may also be: formats that are no video codecs. A "png" is a numbered sequence.
FORMATS = {"gif": ".gif", "webp": ".webp", "apng": ".apng", "png": ".png"}

NOTE = "run.json"  # beside the segments of an unfinished video: what they are of
SEGMENT = 120  # frames: at most this many are painted again after a kill; x264 would put a keyframe as often anyway


def parts_folder(target: Path) -> Path:
    """Where the segments of an unfinished `target` lie."""
    return hidden(target, ".parts")


def segment_path(folder: Path, number: int) -> Path:
    """Where a whole segment lies, counted from 0."""
    return folder / f"{number:06d}.mkv"


def check_kind(target: Path) -> None:
    """Raise ConfigError where no moving picture is written to such a name."""
    if target.suffix.lower() not in MOVING:
        kind = target.suffix.lower() or "a file without extension"
        raise ConfigError(f"{target}: cannot write {kind}; use {' '.join(MOVING)}")
