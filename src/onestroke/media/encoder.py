"""Encoders, and the two ways to use them: whole segments on disk that a stopped run goes on from, or straight into a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from onestroke.errors import ConfigError
from onestroke.media.clip import Clip, Frame
from onestroke.media.frames import Converter
from onestroke.media.source import as_file
from onestroke.media.target import FORMATS, SEGMENT, segment_path


@dataclass(frozen=True)
class Codec:
    """An encoder, the containers it is written into, and its quality scale (`None`: it has none)."""

    encoder: str
    containers: tuple[str, ...]
    quality: int | None
    worst: int = 51
    options: dict[str, str] = field(default_factory=dict)
    smallest: int = 1  # pixels a side
    fastest: int = 500  # frames a second; what is faster keeps its times, which are given anew when segments are joined


_USUAL = (".mp4", ".m4v", ".mov", ".mkv", ".ts")
# Painted frames are all edges, which low quality turns to mush: the defaults look lossless at a glance.
# cpu-independent: without it x264's assembly for "mbtree" reads memory that was never written, and encodes the same frames
# differently now and then (tests/jobs/test_video.py). It takes no measurable time.
# x265 writes beyond its memory where a picture is at most 48 wide, SVT-AV1 where a side is below 32: 64 is a block of theirs.
CODECS = {
    "h264": Codec("libx264", _USUAL, 18, 51, {"preset": "medium", "x264-params": "cpu-independent=1"}),
    "h265": Codec("libx265", _USUAL, 21, 51, {"preset": "fast", "x265-params": "log-level=none"}, smallest=64),
    "av1": Codec("libsvtav1", (".mp4", ".m4v", ".mkv", ".webm"), 26, 63, {"preset": "8"}, smallest=64, fastest=240),
    "prores": Codec("prores_ks", (".mov", ".mkv"), None, 0, {"profile": "3", "vendor": "apl0"}),
}


@dataclass(frozen=True)
class Encoding:
    """What to encode as: a name of CODECS and its quality (constant rate factor: smaller is better)."""

    name: str
    quality: int | None

    @classmethod
    def choose(cls, suffix: str, name: str | None = None, quality: int | None = None) -> Encoding:
        """For a container's extension. Raises ConfigError for what does not fit together."""
        name = name or ("av1" if suffix == ".webm" else "h264")
        codec = CODECS.get(name)
        if name in FORMATS:
            raise ConfigError(f"codec: {name} does not go into a {suffix or 'pipe'}; name a {FORMATS[name]}")
        if codec is None:
            raise ConfigError(f"codec: unknown {name!r}; choose from {', '.join(CODECS)}, or name a .gif, .webp or .png")
        if suffix not in codec.containers:
            raise ConfigError(f"codec: {name} does not go into a {suffix or 'pipe'}; use {' or '.join(codec.containers)}")
        if quality is not None and (codec.quality is None or not 0 <= quality <= codec.worst):
            scale = f"goes from 0 (best) to {codec.worst}" if codec.quality is not None else "cannot be set"
            raise ConfigError(f"quality: {quality} is wrong; the quality of {name} {scale}")
        return cls(name, codec.quality if quality is None else quality)

    def pixel_format(self, clip: Clip) -> str:
        """What is stored. Chroma has half the resolution, which every player knows, except where a side is odd.

        Half of an odd side is no whole number, and neither H.264 nor H.265 can crop a single row: full chroma keeps the
        size exactly. Padding would play in more places, but change the size, and scaling would blur.
        """
        if self.name == "prores":
            return "yuva444p10le" if clip.has_alpha else "yuv422p10le"
        odd = (clip.width % 2 or clip.height % 2) and self.name != "av1"
        return "yuv444p" if odd else "yuv420p"

    def add_to(self, container: OutputContainer, clip: Clip, *, pipe: bool = False) -> VideoStream:
        """A new stream of `container` that encodes frames of `clip`; a pipe gets no frames out of order, to flow at once.

        Raises ConfigError for a clip too small for the encoder.
        """
        codec = CODECS[self.name]
        if min(clip.width, clip.height) < codec.smallest:
            raise ConfigError(
                f"codec: {self.name} needs {codec.smallest} pixels a side, and the frames are {clip.width} x {clip.height}; "
                "use h264 in a .mp4, or a larger --size"
            )
        options = dict(codec.options) | ({} if self.quality is None else {"crf": str(self.quality)})
        if pipe and self.name in ("h264", "h265"):
            options["bf"] = "0"
        if self.name == "prores" and clip.has_alpha:
            options["profile"] = "4"  # 4444, the one with alpha
        rate = min(clip.rate, Fraction(codec.fastest)).limit_denominator(60_000)
        stream = container.add_stream(codec.encoder, rate=rate, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, self.pixel_format(clip)
        context = stream.codec_context
        context.time_base = clip.time_base if pipe else 1 / rate
        if clip.pixel_aspect:
            context.sample_aspect_ratio = clip.pixel_aspect
        context.colorspace, context.color_range = clip.color.tagged, 2 if clip.color.full else 1
        context.color_primaries, context.color_trc = clip.color.primaries, clip.color.transfer
        if self.name == "h265" and container.format.name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # what Apple's players look for
        return stream


class Segments:
    """Frames go into numbered files of SEGMENT frames in `folder`, each whole or not there.

    Inside, frames run at a steady rate: their true times are known anew whenever the source is read, and are given to
    them when the segments are joined. A rest shorter than a segment is written too, but not trusted by a later run.

    `first` is the number of the first one here: those before it are others'. `whole` is that of the first that is not there
    yet. The one at work lies in the folder `own`, by default `folder`.
    """

    def __init__(self, folder: Path, clip: Clip, encoding: Encoding, first: int = 0, own: Path | None = None) -> None:
        self.folder, self.clip, self.encoding = folder, clip, encoding
        self.rest = folder / "rest.mkv"
        self._at_work = (own or folder) / "open.mkv"
        self._count = 0  # frames in the open segment, or in the rest
        self._first = self.whole = first
        while segment_path(folder, self.whole).is_file():
            self.whole += 1
        self.size = sum(path.stat().st_size for path in self.files)  # bytes
        self._open: tuple[OutputContainer, VideoStream] | None = None
        self._converter = Converter(clip)

    @property
    def files(self) -> Sequence[Path]:
        """The files that hold them, in order; complete only after `close`."""
        whole = (segment_path(self.folder, number) for number in range(self._first, self.whole))
        return [*whole, *([self.rest] if self._count else [])]

    def write(self, frame: Frame) -> None:
        """Encode one frame. Raises FFmpegError or OSError where the disk is full."""
        if self._open is None:
            container = av.open(as_file(self._at_work), "w", format="matroska")
            self._open = container, self.encoding.add_to(container, self.clip)
        container, stream = self._open
        encode(container, stream, self._converter, frame, self._count)
        self._count += 1
        if self._count == SEGMENT:
            self.end()

    def close(self) -> None:
        """Finish the rest."""
        if self._open is not None:
            self._finish(self.rest)

    def end(self) -> None:
        """Finish the segment at work; one that is shorter than the others is the last: no frame comes after it, ever."""
        if self._open is not None:
            self._finish(segment_path(self.folder, self.whole))
            self.whole, self._count = self.whole + 1, 0

    def abandon(self) -> None:
        """Give up the open segment, whose frames do not count."""
        if self._open is not None:
            with suppress(FFmpegError, OSError):
                self._open[0].close()
            self._open, self._count = None, 0
        self._at_work.unlink(missing_ok=True)

    def _finish(self, path: Path) -> None:
        assert self._open is not None
        container, stream = self._open
        container.mux(stream.encode(None))
        container.close()
        self._open = None
        self.size += self._at_work.stat().st_size
        self._at_work.replace(path)


def encode(container: OutputContainer, stream: VideoStream, converter: Converter, frame: Frame, pts: int) -> None:
    """Encode `frame` at `pts` (in the stream's own time base, or 1 / rate where it has none) and write what comes out."""
    picture = converter.from_rgb(frame, stream.pix_fmt or "yuv420p")
    picture.pts = pts
    picture.time_base = stream.codec_context.time_base
    container.mux(stream.encode(picture))
