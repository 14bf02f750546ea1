"""Frames through the network: read ahead, painted in batches, written behind, each in its own thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Protocol

import numpy as np

from onestroke.arrays import Array
from onestroke.images import check_size
from onestroke.inference.brush import for_frames
from onestroke.inference.stylizer import Stylizer
from onestroke.inference.temporal import Steady
from onestroke.jobs.settings import Settings
from onestroke.jobs.threads import Behind, ahead
from onestroke.media.clip import Clip, Frame
from onestroke.media.scene_cuts import Cuts
from onestroke.media.target import SEGMENT

Watch = Callable[[int, int | None], bool]
"""Called with the frames done and their number (None: unknown) after each batch; True stops."""

# Bytes a pixel of the frames that are read ahead, painted and wait to be written.
_BYTES = 32


class Source(Protocol):
    """A `Reader` or an `Animation`."""

    clip: Clip
    times: list[int]
    last_duration: int

    def frames(self, skip: int = 0) -> Iterator[Frame]:
        """The frames after the first `skip`."""


@dataclass
class Report:
    """How a run over one video went.

    frames: in the result. repeated: those of them that could not be read and show their neighbor. cuts: where scenes
    begin, in seconds. stopped: why it ended early, or "", and whether it can be resumed. notes: lines for the user.
    """

    frames: int = 0
    repeated: int = 0
    cuts: list[float] = field(default_factory=list)
    stopped: str = ""
    resumable: bool = False
    notes: list[str] = field(default_factory=list)


def shown(source: Source, count: int) -> tuple[list[int], int]:
    """When each of the first `count` frames (at least one) is shown, and when the last ends, in the clip's time base."""
    times = source.times[:count]
    return times, source.times[count] if len(source.times) > count else times[-1] + source.last_duration


class Painter:
    """Paints the frames of one video in turn. Raises ConfigError for settings that cannot be had here, ImageError for frames
    too large for the memory that is free."""

    def __init__(self, stylizer: Stylizer, settings: Settings, clip: Clip) -> None:
        check_size(clip.width, clip.height, _BYTES)
        self.stylizer, self.settings, self.clip = stylizer, settings, clip
        self._how = (settings.strength, settings.keep_colors, for_frames(settings.brush))
        self.cuts: list[float] = []
        self._is_cut = Cuts()
        self._steady = Steady() if settings.steady else None
        self._count = 0
        self._last: Array | None = None
        self.batch = stylizer.at_once(clip.height, clip.width)

    def __call__(self, frames: list[Frame]) -> list[Frame]:
        """The frames painted; repeated ones get the painting of the frame before them, but where a run may begin."""
        fresh = [not frame.repeated or (self._count + i) % SEGMENT == 0 for i, frame in enumerate(frames)]
        photos = [frame.rgb for frame, is_fresh in zip(frames, fresh, strict=True) if is_fresh]
        cut = [self._is_cut(frame.rgb) for frame in frames]
        self.cuts += [float(frame.pts * self.clip.time_base) for frame, begins in zip(frames, cut, strict=True) if begins]
        done = iter(self.stylizer(np.stack(photos), *self._how) if photos else ())
        painted = []
        for frame, is_fresh, begins in zip(frames, fresh, cut, strict=True):
            if is_fresh:
                self._last = self._held(frame.rgb, next(done), begins)
            assert self._last is not None
            painted.append(replace(frame, rgb=self._last))
            self._count += 1
        return painted

    def look_back(self, frames: Iterable[Frame]) -> None:
        """Be shown the frames before the first to paint, Cuts.REMEMBERED or all of them: whether that one, or the next, begins
        a scene depends on them."""
        for frame in frames:
            self._is_cut(frame.rgb)

    def _held(self, photo: Array, painted: Array, begins: bool) -> Array:
        """The painting, held still where that is asked for: anew with each scene, and each segment, where a run may resume."""
        if self._steady is None:
            return painted
        if begins or self._count % SEGMENT == 0:
            self._steady.restart()
        return self._steady(photo, painted)


def named(watch: Watch, report: Report) -> Watch:
    """`watch`, which notes in the report that it stopped the run."""

    def stop(done: int, total: int | None) -> bool:
        report.stopped = "interrupted" if watch(done, total) else ""
        return bool(report.stopped)

    return stop


def run(
    source: Source, painter: Painter, write: Callable[[Frame], None], watch: Watch, report: Report, skip: int = 0,
    count: int | None = None,
) -> None:  # fmt: skip
    """Paint `count` frames of `source`, or all, after the first `skip` and give them to `write`, until `watch` says stop.

    skip: a multiple of SEGMENT, so that each frame is painted as in a run from the first on. Fills in `report`; what was
    stopped after the last frame counts as done. Raises what reading and writing raise.
    """
    done, total = skip, source.clip.frames
    stop, gave_up = watch(done, total), False

    def give_up() -> bool:
        nonlocal gave_up
        gave_up = watch(done, total)
        return gave_up

    before = min(skip, Cuts.REMEMBERED)
    wanted = islice(source.frames(skip - before), None if count is None else before + count)
    with closing(ahead(wanted, 2 * painter.batch, give_up)) as frames, Behind(write, 2 * painter.batch) as out:
        painter.look_back(islice(frames, before))
        # no batch across segments, or a network on a GPU would see other batches, and round otherwise, in a run that resumes
        while not stop and (batch := list(islice(frames, min(painter.batch, SEGMENT - done % SEGMENT)))):
            for frame in painter(batch):
                out.put(frame)
            done += len(batch)
            report.repeated += sum(frame.repeated for frame in batch)
            stop = watch(done, total)
        if stop and next(frames, None) is None and not gave_up:
            report.stopped = ""
    report.frames, report.cuts = min(done, len(source.times)), painter.cuts
