"""What is to be stylized, told apart once (`parse`) by its name, and by its first bytes where that says too little."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from onestroke.errors import VideoError
from onestroke.images import READABLE
from onestroke.media.target import ANIMATIONS, CONTAINERS

VIDEOS = frozenset((*CONTAINERS, ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".m2v", ".m2ts", ".mts", ".3gp", ".3g2", ".ogv",
                    ".vob", ".mxf", ".y4m", ".nut", ".asf", ".h264", ".264", ".hevc", ".ivf"))  # fmt: skip
_MOST_DIGITS = 3  # of the number of digits
SEQUENCE = re.compile(r"%0?(\d*)d")  # of a file name such as frames/%05d.png


@dataclass(frozen=True)
class File:
    """A file, there or not: a picture, an animation that Pillow reads, or a video for FFmpeg.

    origin: of a copy, what it is a copy of, in which version.
    """

    path: Path
    kind: Literal["picture", "animation", "video"]
    origin: str = ""

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Numbered:
    """A sequence of pictures, numbered in their names: frames/%05d.png."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Pipe:
    """A video on standard input."""

    path = Path("-")

    def __str__(self) -> str:
        return "standard input"


@dataclass(frozen=True)
class Camera:
    """A camera: "webcam" (the first), "webcam:1", "webcam:NAME", "webcam:/dev/..."."""

    name: str

    def __str__(self) -> str:
        return self.name


Source = File | Numbered | Pipe


def parse(text: str | Path) -> Source | Camera:
    """What a command line's input, or a path, means. A glob pattern or a folder is the caller's to expand."""
    name = str(text)
    if name == "-":
        return Pipe()
    if isinstance(text, str) and name.partition(":")[0] == "webcam":
        return Camera(name)
    return parse_path(Path(text))


def parse_path(path: Path) -> File | Numbered:
    """A path, which is neither a pipe nor a camera."""
    suffix = path.suffix.lower()
    if SEQUENCE.search(path.name) and not path.is_file():
        return Numbered(path)
    if suffix in ANIMATIONS and path.is_file():
        return File(path, "animation" if is_animated(path) else "picture")
    if suffix in VIDEOS:
        return File(path, "video")
    return File(path, "picture" if suffix in READABLE or _is_picture(path) else "video")


def is_animated(path: Path) -> bool:
    """Whether the picture file has more than one frame; False for what cannot be read."""
    try:
        with Image.open(path) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...; reading will say it
        return False


def _is_picture(path: Path) -> bool:
    """Whether Pillow knows what it is."""
    if not path.is_file():  # a pipe would be waited for, and lose what was read
        return False
    try:
        with Image.open(path):
            return True
    except Exception:  # as above
        return False


def as_file(path: str | Path) -> str:
    """The path as FFmpeg is to be told it, which takes what stands before a colon (12:30.mp4) for a protocol."""
    return f"file:{path}"


def frame_path(pattern: Path, number: int) -> Path:
    """Frame `number` of a numbered sequence. Raises VideoError for more digits than a name can hold."""
    match = SEQUENCE.search(pattern.name)
    if match and len(match[1].lstrip("0")) > _MOST_DIGITS:
        raise VideoError(f"{pattern}: a number of so many digits fits no file's name; use %06d")
    return pattern.with_name(SEQUENCE.sub(lambda match: f"{number:0{match[1] or 1}d}", pattern.name, count=1))


def frame_numbers(pattern: Path) -> list[int]:
    """The numbers of a sequence's frames that are there, sorted."""
    named = _numbers(pattern)
    return sorted(int(found[1]) for file in pattern.parent.glob("*") if (found := named.fullmatch(file.name)))


def remove_frames(pattern: Path) -> None:
    """Remove a sequence's frames, named as `frame_path` names them."""
    for number in frame_numbers(pattern):
        frame_path(pattern, number).unlink(missing_ok=True)


def exists(target: Path) -> bool:
    """Whether the file is there, or any frame of the numbered sequence."""
    return target.exists() or (bool(SEQUENCE.search(target.name)) and bool(frame_numbers(target)))


def is_of(path: Path, pattern: Path) -> bool:
    """Whether the file's name is one of the numbered sequence, or the pattern of a sequence has names in common with it."""
    return path.parent == pattern.parent and bool(_numbers(pattern).fullmatch(SEQUENCE.sub("1", path.name)))


def _numbers(pattern: Path) -> re.Pattern[str]:
    """What the names of a sequence's frames match."""
    match = SEQUENCE.search(pattern.name)
    assert match is not None
    return re.compile(re.escape(pattern.name[: match.start()]) + r"(\d+)" + re.escape(pattern.name[match.end() :]))
