"""Joins painted segments with the sound and subtitles of the source, copied byte for byte, under the source's own times."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from onestroke.errors import VideoError
from onestroke.media.clip import Clip
from onestroke.media.encoder import Encoding
from onestroke.media.frames import fraction
from onestroke.media.opening import TAGS
from onestroke.media.source import as_file
from onestroke.media.target import CONTAINERS

_COPIED = ("audio", "subtitle", "video", "attachment")  # timecode and telemetry tracks have no form common to containers


def join(
    target: Path, segments: Sequence[Path], times: Sequence[int], end: int, clip: Clip, encoding: Encoding,
    original: str | None, painted: int, *, whole: bool = True,
) -> list[str]:  # fmt: skip
    """Write `target` from the frames in `segments`, shown at `times` until `end` (all in the clip's time base).

    Stream number `painted` of the file `original` is replaced by them; what else it holds is copied, only up to `end`
    where the frames are not the `whole`. Returns a line for each stream that the container cannot hold. Raises FFmpegError.
    """
    with ExitStack() as stack:
        first = stack.enter_context(av.open(as_file(segments[0])))
        source = stack.enter_context(av.open(as_file(original), **TAGS)) if original else None
        out = stack.enter_context(open_output(as_file(target), target.suffix.lower(), clip))
        streams, notes = _streams(out, source, painted, first.streams.video[0], clip, encoding)
        video = _painted(segments, times, end, clip, streams.pop(painted))
        copied = _copied(source, streams, None if whole else end * clip.time_base) if source and streams else iter(())
        for packet in heapq.merge(video, copied, key=_seconds):
            out.mux(packet)
    return notes


# Sound and subtitles that MPEG-TS has a name for; of others it makes data without one.
_IN_MPEGTS = frozenset(
    ("aac", "aac_latm", "ac3", "dts", "dvb_subtitle", "dvb_teletext", "eac3", "mp2", "mp3", "opus", "truehd")
)


def open_output(target: str, suffix: str, clip: Clip) -> OutputContainer:
    """An output container for a file or a pipe."""
    options = {}
    if suffix in (".mp4", ".m4v", ".mov"):
        # the start of a stream is stored in units of the whole file, by default of a millisecond, which would round it
        unit = clip.time_base.denominator
        options = {"movie_timescale": str(unit * -(-10_000 // unit)), "movflags": "+faststart"}
    elif suffix in (".mkv", ".webm"):
        # sound may begin before 0, to warm its decoder up; Matroska would move everything to have it begin at 0
        options = {"avoid_negative_ts": "disabled"}
    opened: OutputContainer = av.open(target, "w", format=CONTAINERS[suffix], options=options, **TAGS)
    return opened


def copy_about(out: OutputContainer, original: InputContainer) -> None:
    """Title, date and such, and chapters."""
    out.metadata.update({k: v for k, v in original.metadata.items() if k.lower() not in _OWN})
    if chapters := original.chapters():
        out.set_chapters(chapters)


_OWN = ("encoder", "major_brand", "minor_version", "compatible_brands")  # describe the file they stood in


def add_copy(out: OutputContainer, stream: Stream) -> Stream | None:
    """A stream of `out` for packets copied from `stream`; None where the container cannot hold them."""
    if not _fits(out.format.name, stream):
        return None
    try:
        added = out.add_stream_from_template(stream, opaque=True)
    except (ValueError, FFmpegError):
        return None
    added.time_base = stream.time_base
    added.metadata.update(stream.metadata)
    added.disposition = stream.disposition
    return added


def _fits(container: str, stream: Stream) -> bool:
    """Whether players find a copy there again: FFmpeg says no too late, or not at all."""
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
    if stream.type == "attachment":
        return container == "matroska"
    if container == "mpegts":
        return codec in _IN_MPEGTS or stream.type == "video"
    return container != "mov" or codec not in ("opus", "flac")


def _streams(
    out: OutputContainer, source: InputContainer | None, painted: int, video: VideoStream, clip: Clip, encoding: Encoding
) -> tuple[dict[int, Stream], list[str]]:
    """Output streams by the index of their originals, in the original order."""
    notes: list[str] = []
    if source is None:
        return {painted: _add_painted(out, video, clip, encoding)}, notes
    streams: dict[int, Stream] = {}
    for stream in source.streams:
        if stream.index == painted:
            streams[painted] = _add_painted(out, video, clip, encoding)
            streams[painted].metadata.update(stream.metadata)
            streams[painted].disposition = stream.disposition
        elif stream.type in _COPIED:
            copy = add_copy(out, stream)
            if copy is not None:
                streams[stream.index] = copy
            else:
                name = stream.codec_context.name if stream.codec_context else "unknown"
                notes.append(f"{stream.type} stream {stream.index} ({name}) does not fit this container; use .mkv to keep it")
    copy_about(out, source)
    return streams, notes


def _add_painted(out: OutputContainer, video: VideoStream, clip: Clip, encoding: Encoding) -> VideoStream:
    added = out.add_stream_from_template(video, opaque=True)
    added.time_base = clip.time_base
    if clip.pixel_aspect:
        added.codec_context.sample_aspect_ratio = clip.pixel_aspect
    if encoding.name == "h265" and out.format.name in ("mp4", "mov"):
        added.codec_context.codec_tag = "hvc1"  # what Apple's players look for
    return added


def _painted(segments: Sequence[Path], times: Sequence[int], end: int, clip: Clip, stream: Stream) -> Iterator[Packet[Any]]:
    """The segments' packets with the frames' true times, in decoding order.

    Within a segment the n-th time belongs to the n-th frame. A decoding time must grow from packet to packet and never
    be later than the frame's own: the n-th is the n-th frame's, `delay` frames earlier.
    """
    shown: list[int] = []  # of each packet: the number of its frame
    for path in segments:
        shown += [len(shown) + rank for rank in _ranks(path)]
    if len(shown) != len(times):
        folder = segments[0].parent
        raise VideoError(f"{folder}: {len(times)} frames can be read, but {len(shown)} were painted; run again, or delete it")
    delay = max((n - rank for n, rank in enumerate(shown)), default=0)
    step = max(1, round(1 / (clip.rate * clip.time_base)))
    early = [times[0] - step * (delay - n) for n in range(delay)]
    decoding = [*early, *times][: len(times)]
    number = 0
    for path in segments:
        with av.open(as_file(path)) as segment:
            packets: Iterator[Packet[Any]] = segment.demux(segment.streams.video[0])
            for packet in packets:
                if packet.size:
                    at = shown[number]
                    packet.stream, packet.time_base = stream, clip.time_base
                    packet.pts, packet.dts = times[at], decoding[number]
                    packet.duration = (times[at + 1] if at + 1 < len(times) else end) - times[at]
                    number += 1
                    yield packet


def frames_in(segment: Path) -> int:
    """How many frames a segment holds."""
    return len(_ranks(segment))


def _ranks(path: Path) -> list[int]:
    """Of each packet in the file: which frame it is, counted in the order of showing."""
    with av.open(as_file(path)) as segment:
        times = [packet.pts or 0 for packet in segment.demux(segment.streams.video[0]) if packet.size]
    place = {time: rank for rank, time in enumerate(sorted(times))}
    return [place[time] for time in times]


def _copied(original: InputContainer, streams: dict[int, Stream], limit: Fraction | None) -> Iterator[Packet[Any]]:
    """The other streams' packets that start before `limit` seconds, where there is one."""
    try:
        for packet in original.demux([original.streams[index] for index in streams]):
            if packet.dts is None and packet.pts is None:
                continue  # the empty packet that ends a stream
            if limit is None or _seconds(packet) < limit:
                packet.stream = streams[packet.stream.index]
                yield packet
    except FFmpegError:  # the file ends in the middle of a packet
        return


def _seconds(packet: Packet[Any]) -> Fraction:
    time = packet.dts if packet.dts is not None else packet.pts
    return (time or 0) * (fraction(packet.time_base) or Fraction(1))
