"""What a moving picture may come from, told by its name alone: files, numbered sequences, pipes."""

from __future__ import annotations

import re
from pathlib import Path

STDIN = "-"
SEQUENCE = re.compile(r"%0?(\d*)d")  # of a file name such as frames/%05d.png


def as_file(path: str | Path) -> str:
    """The path as FFmpeg is to be told it, which takes what stands before a colon (12:30.mp4) for a protocol."""
    return f"file:{path}"


def frame_path(pattern: Path, number: int) -> Path:
    """Frame `number` of a numbered sequence."""
    return pattern.with_name(SEQUENCE.sub(lambda match: f"{number:0{match[1] or 1}d}", pattern.name, count=1))


def frame_numbers(pattern: Path) -> list[int]:
    """The numbers of a sequence's frames that are there, sorted."""
    match = SEQUENCE.search(pattern.name)
    assert match is not None
    digits = re.compile(re.escape(pattern.name[: match.start()]) + r"(\d+)" + re.escape(pattern.name[match.end() :]))
    return sorted(int(m[1]) for f in pattern.parent.glob("*") if (m := digits.fullmatch(f.name)))
