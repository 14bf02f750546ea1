"""Opens a video for reading, and says in one line what is wrong with it."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from onestroke.errors import VideoError, because
from onestroke.files import check_file
from onestroke.media.source import SEQUENCE, Numbered, Pipe, Source, as_file, frame_numbers

# Tags that are no valid UTF-8 come in, and go out, as they are: from PyAV 19 on without asking.
TAGS: dict[str, Any] = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "surrogateescape"}


# What FFmpeg also opens: text, which it draws letter by letter, and lists that lead to other files.
_TEXT, _LISTS = frozenset(("tty", "bin", "xbin", "adf", "idf")), frozenset(("hls", "concat", "dash", "imf"))


def open_input(source: Source, rate: Fraction | None) -> InputContainer:
    """Open a file, standard input, or a numbered sequence at `rate` frames a second. Raises VideoError."""
    try:
        if isinstance(source, Pipe):
            return _open("pipe:0")
        if isinstance(source, Numbered):
            start = str(_check_sequence(source.path))
            options = {"framerate": str(rate or 25), "start_number": start}
            return av.open(_as_pattern(source.path), format="image2", options=options)
        check_file(source.path)
        return _checked(_open(as_file(source.path)), source)
    except FileNotFoundError:
        raise VideoError(f"{source}: no such file") from None
    except (FFmpegError, OSError) as error:
        raise VideoError(f"{source}: not a video, or a damaged one ({because(error)})") from None


def _checked(container: InputContainer, source: Source) -> InputContainer:
    """The open file, where it is a video. Raises VideoError, and closes it, where FFmpeg makes one of something else."""
    kind = container.format.name
    wrong = {kind in _TEXT: "text", kind in _LISTS: "a list of other files", kind.endswith("_pipe"): "a picture"}.get(True)
    if wrong:
        container.close()
        raise VideoError(f"{source}: {wrong}, not a video; give it the ending of what it is, or name another file")
    return container


def _open(source: str) -> InputContainer:
    opened: InputContainer = av.open(source, **TAGS)
    return opened


def _as_pattern(pattern: Path) -> str:
    """The pattern as FFmpeg is to be told it: but for the number, a percent sign means itself."""
    number = SEQUENCE.search(pattern.name)
    assert number is not None
    before = str(pattern).removesuffix(pattern.name) + pattern.name[: number.start()]
    return before.replace("%", "%%") + number[0] + pattern.name[number.end() :].replace("%", "%%")


def _check_sequence(pattern: Path) -> int:
    """The first number of a sequence; VideoError where there is none or one is missing."""
    numbers = frame_numbers(pattern)
    if not numbers:
        raise VideoError(f"{pattern}: no frame of that name")
    missing = next((n for n, found in enumerate(numbers, numbers[0]) if n != found), None)
    if missing is not None:
        raise VideoError(f"{pattern}: frame {missing} of {numbers[0]} to {numbers[-1]} is missing; put it back or renumber")
    return numbers[0]


def count_frames(source: Source) -> int:
    """How many frames the packets of a file promise, where it announces no number; none is decoded. Raises VideoError."""
    with open_input(source, None) as container:
        found = 0
        with suppress(FFmpegError):  # the file ends in the middle of a packet
            for packet in container.demux(choose_video(container, str(source))):
                found += bool(packet.size and not packet.is_discard)
        return found


def choose_video(container: InputContainer, name: str) -> VideoStream:
    """The main video stream; a cover picture is none. Raises VideoError, saying `name`."""
    videos = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not videos:
        only = "only sound" if container.streams.audio else "nothing to show"
        raise VideoError(f"{name}: no video in it, {only}")
    best = container.streams.best("video")
    chosen = best if isinstance(best, VideoStream) and best in videos else videos[0]
    if chosen.codec_context is None:
        raise VideoError(f"{name}: its video is of a kind that this FFmpeg cannot decode")
    chosen.thread_type = "AUTO"  # frames on several cores
    return chosen
