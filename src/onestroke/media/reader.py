"""Reads a video's frames through FFmpeg: every timestamp kept, broken frames stood in for by their neighbor."""

from __future__ import annotations

import heapq
import queue
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from onestroke.errors import VideoError
from onestroke.media.clip import Clip, Frame
from onestroke.media.frames import Converter, Turn, color_of, fraction
from onestroke.media.opening import choose_video, open_input
from onestroke.media.source import Numbered, Pipe, Source


class Reader:
    """An open video. Use as a context; `clip` says what it is, `frames` gives its pictures.

    `passing` keeps the packets of other streams, for a source that can be read only once: they wait in `others`.
    A numbered sequence is read at `rate` frames a second.
    `times` grows to hold the timestamp of every frame seen.
    Raises VideoError where there is no picture to be had.
    """

    def __init__(self, source: Source, size: int | None = None, rate: Fraction | None = None, passing: bool = False) -> None:
        self._piped = isinstance(source, Pipe)
        self.name = str(source)
        self.times: list[int] = []
        self.last_duration = 1
        self._container = open_input(source, rate)
        try:
            self.stream = choose_video(self._container, self.name)
            self._packets = iter(self._container.demux(*(self._container.streams if passing else [self.stream])))
            self.original = None if isinstance(source, Numbered) else str(source.path)
            self.painted, self.announced = self.stream.index, self.stream.frames
            self.others: queue.SimpleQueue[Packet[Any]] = queue.SimpleQueue()
            self._owed: list[int] = []
            self._failed = self._busy = False
            self._decoded = self._decode()
            self._first, waiting = self._look_ahead()
        except BaseException:
            self._container.close()
            raise
        self._waiting = waiting
        self._clock = _Clock()
        turn = Turn.of(self._first)
        self.clip = _describe(self._container, self.stream, self._first, turn).scaled(size)
        self._converter = Converter(self.clip, turn)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._busy:  # a thread left behind, which waits for a pipe, would crash
            self._container.close()

    @property
    def container(self) -> av.container.InputContainer:
        """The open file, for whoever copies its other streams."""
        return self._container

    def _look_ahead(self) -> tuple[VideoFrame, list[VideoFrame | int]]:
        """The first frame that can be decoded, and everything up to it."""
        seen: list[VideoFrame | int] = []
        for item in self._decoded:
            seen.append(item)
            if isinstance(item, VideoFrame):
                return item, seen
        why = "damaged, or of a kind whose index comes last: give the file's name" if self._piped else "it is empty or damaged"
        raise VideoError(f"{self.name}: no frame of it can be read; {why}")

    def frames(self, skip: int = 0) -> Iterator[Frame]:
        """The frames in the order of their times, without the first `skip`, which are only decoded."""
        self._busy = True
        whole, shown = self._first, None
        for item in self._sequence():
            broken = not isinstance(item, VideoFrame)
            if isinstance(item, VideoFrame):
                whole, shown = item, None
                self.last_duration = item.duration or self.last_duration
            self.times.append(self._time(item))
            if len(self.times) > skip:
                shown = shown or self._converter.to_rgb(whole)
                self._busy = False
                yield Frame(self.times[-1], *shown, repeated=broken)
                self._busy = True
        self._busy = False

    def _sequence(self) -> Iterator[VideoFrame | int]:
        yield from self._waiting
        self._waiting = []
        yield from self._decoded

    def _time(self, item: VideoFrame | int) -> int:
        """The item's timestamp; steady steps where the file has none.

        Times that stand still or run back, which no container could hold, become half a step.
        """
        step = max(1, round(1 / (self.clip.rate * self.clip.time_base)))
        pts = item if isinstance(item, int) else self._clock(item)
        if not self.times:
            return pts or 0
        if pts is None:
            return self.times[-1] + step
        return pts if pts > self.times[-1] else self.times[-1] + max(1, step // 2)

    def _decode(self) -> Iterator[VideoFrame | int]:
        """Decoded frames, and the timestamps of those that failed, in order.

        The decoder works several packets ahead, so a failure cannot be pinned to a packet. But frames come out in order:
        when one appears, packets of earlier times that have shown nothing since the failure are the broken ones.
        """
        while True:
            try:
                packet = next(self._packets, None)
            except FFmpegError:
                packet = None  # the file ends in the middle of a packet
            if packet is None:
                break
            if packet.stream.index != self.stream.index:
                self.others.put(packet)
                continue
            time = packet.pts if packet.pts is not None else packet.dts
            if packet.size and time is not None and not packet.is_discard:
                heapq.heappush(self._owed, time)
            yield from self._emit(packet)
        yield from self._emit(None)
        if self._failed:
            yield from (heapq.heappop(self._owed) for _ in range(len(self._owed)))

    def _emit(self, packet: Packet[Any] | None) -> Iterator[VideoFrame | int]:
        try:
            decoded = self.stream.decode(packet)
        except EOFError:  # flushed already
            return
        except FFmpegError:
            self._failed = True
            return
        for frame in decoded:
            while self._owed and frame.pts is not None and self._owed[0] < frame.pts:
                stale = heapq.heappop(self._owed)
                if self._failed:
                    yield stale
            if self._owed and self._owed[0] == frame.pts:
                heapq.heappop(self._owed)
            self._failed = False
            yield frame


class _Clock:
    """A frame's time: when to show it, or when it was decoded where the former run back more often.

    That is FFmpeg's own rule for files whose packets carry false times (some writers leave out the reordering).
    """

    def __init__(self) -> None:
        self._last: tuple[int | None, int | None] = None, None
        self._wrong = [0, 0]

    def __call__(self, frame: VideoFrame) -> int | None:
        times = frame.pts, frame.dts
        for i, (time, last) in enumerate(zip(times, self._last, strict=True)):
            self._wrong[i] += time is not None and last is not None and time <= last
        pts, dts = times
        self._last = (dts if pts is None else pts), (pts if dts is None else dts)
        return dts if pts is None or (self._wrong[0] > self._wrong[1] and dts is not None) else pts


def _describe(container: av.container.InputContainer, stream: VideoStream, first: VideoFrame, turn: Turn) -> Clip:
    rate = fraction(stream.average_rate) or fraction(stream.guessed_rate) or Fraction(25)
    time_base = fraction(stream.time_base) or Fraction(1, 90_000)
    frames = stream.frames or None
    if frames is None and container.duration:
        frames = max(1, round(container.duration / av.time_base * rate))
    width, height = (first.height, first.width) if turn.transposed else (first.width, first.height)
    alpha = any(component.is_alpha for component in first.format.components)
    aspect = fraction(stream.sample_aspect_ratio)
    aspect = 1 / aspect if turn.transposed and aspect else aspect
    return Clip(width, height, time_base, rate, frames, color_of(first), aspect, alpha)
