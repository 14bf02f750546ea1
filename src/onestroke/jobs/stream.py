"""A video that passes by once, from standard input or to standard output: encoded and muxed as it comes."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.stream import VideoStream

from onestroke.errors import ConfigError, VideoError, because
from onestroke.files import replacing
from onestroke.inference.stylizer import Stylizer
from onestroke.jobs.painter import Painter, Report, Watch, named, run
from onestroke.jobs.settings import Settings
from onestroke.media.clip import Frame
from onestroke.media.encoder import Encoding, encode
from onestroke.media.frames import Converter
from onestroke.media.mux import add_copy, copy_about, open_output
from onestroke.media.reader import Reader
from onestroke.media.source import File, Source, as_file
from onestroke.media.target import STDOUT


def stream(stylizer: Stylizer, source: Source, target: Path, settings: Settings, watch: Watch) -> Report:
    """Paint `source` into `target` ("-": standard output, as Matroska), sound passed along.

    A run that is stopped leaves a playable file. Raises VideoError and ConfigError.
    """
    if settings.resume:
        raise ConfigError("resume: what comes through a pipe is gone; name files to go on from a stopped run")
    if isinstance(source, File) and source.kind == "animation" and source.path.suffix.lower() == ".webp":  # not for FFmpeg
        raise ConfigError(f"{source}: an animated WebP does not go through a pipe; name a file with -o")
    out = str(target) == STDOUT
    suffix = ".mkv" if out else target.suffix.lower()
    encoding = Encoding.choose(suffix, settings.codec, settings.quality)
    report = Report()
    try:
        with (
            Reader(source, settings.size, settings.rate, passing=True) as reader,
            nullcontext(target) if out else replacing(target) as place,
            open_output("pipe:1" if out else as_file(place), suffix, reader.clip) as container,
        ):
            passage = _Passage(container, reader, encoding, report)
            try:
                run(reader, Painter(stylizer, settings, reader.clip), passage.write, named(watch, report), report)
            finally:
                passage.close()
    except (FFmpegError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            report.stopped = "the reader of the pipe left"
            return report
        name = "standard output" if out else target
        raise VideoError(f"{name}: cannot be written ({because(error)})") from None
    return report


class _Passage:
    """The output's streams: frames are encoded, and packets of the others wait until the next frame takes them along."""

    def __init__(self, container: OutputContainer, reader: Reader, encoding: Encoding, report: Report) -> None:
        self._container, self._converter, self._waiting = container, Converter(reader.clip), reader.others
        self._copies: dict[int, Stream] = {}
        for original in reader.container.streams:
            if original.index == reader.painted:
                self._video: VideoStream = encoding.add_to(container, reader.clip, pipe=True)
                self._video.time_base = reader.clip.time_base
            elif original.type in ("audio", "subtitle"):
                copy = add_copy(container, original)
                if copy is not None:
                    self._copies[original.index] = copy
                else:
                    report.notes.append(f"{original.type} stream {original.index} does not fit this container; left out")
        copy_about(container, reader.container)

    def write(self, frame: Frame) -> None:
        self._pass_on()
        encode(self._container, self._video, self._converter, frame, frame.pts)

    def _pass_on(self) -> None:
        while not self._waiting.empty():
            packet = self._waiting.get()
            copy = self._copies.get(packet.stream.index)
            if copy is not None and packet.size and packet.dts is not None:
                packet.stream = copy
                self._container.mux(packet)

    def close(self) -> None:
        self._container.mux(self._video.encode(None))
        self._pass_on()
