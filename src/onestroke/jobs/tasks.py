"""What is given to the workers of a cluster, in which order, and what is made of their answers; knows nothing of Ray."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from onestroke.errors import OnestrokeError
from onestroke.jobs.connection import TRIES
from onestroke.jobs.engine import Done
from onestroke.jobs.job import Job
from onestroke.jobs.painter import Report
from onestroke.media.source import SEQUENCE, File
from onestroke.media.target import CONTAINERS, SEGMENT

# Pictures that a worker is given at once: the driver gives some thousand times a second, and many cores paint more.
_AT_ONCE = 16
# Parts of a video for each worker that paints it, so that a slow one is not long waited for.
_PARTS = 2


@dataclass(frozen=True)
class Task:
    """Jobs for one worker, and how many have died over them.

    Of a video: into how many parts it may be split (`most`); or the `part` of it, some segments, that is to be painted; or
    whether it is to be joined (`joins`).
    """

    jobs: Sequence[Job]
    deaths: int = 0
    most: int = 1
    part: range | None = None
    joins: bool = False


@dataclass
class _Film:
    """A video that is painted in parts: how many are left, and what was told of the others."""

    left: int
    reports: list[Report] = field(default_factory=list)


class Tasks:
    """All tasks of a run: `waiting` are those that no worker has."""

    def __init__(self, jobs: Sequence[Job], workers: int) -> None:
        self.waiting = deque(_tasks(jobs, workers))
        self.most = sum(task.most for task in self.waiting)  # that there can be at the same time
        self._films = dict[Job, _Film]()
        self._frames = [0, 0]

    @property
    def frames(self) -> tuple[int, int | None]:
        """How many frames are done of the videos in parts, and of how many; (0, None) where there are none."""
        return (self._frames[0], self._frames[1]) if self._films else (0, None)

    def settle(self, task: Task, answer: Any) -> list[Done]:
        """What is done for good with a worker's answer to the task: parts, for one that was to split a video, the Report of
        a part, or a list of Done."""
        if task.part is not None:
            self._end_part(task, task.part, answer)
            return []
        if task.most > 1:
            self._split(task, answer)
            return []
        return [self._whole(done) for done in answer] if task.joins else list(answer)

    def died(self, task: Task, why: str) -> list[Done]:
        """What is given up where a worker has died over the task; the rest waits to be tried again: each job by itself."""
        first = task.jobs[0]
        if (task.part is not None or task.joins) and first not in self._films:  # given up meanwhile
            return []
        if len(task.jobs) == 1 and task.deaths + 1 == TRIES:
            self._films.pop(first, None)
            self.waiting = deque(other for other in self.waiting if first not in other.jobs)
            return [Done(first, OnestrokeError(f"{first.reads}: {TRIES} workers died over it ({why})"))]
        self.waiting.extendleft(replace(task, jobs=[job], deaths=task.deaths + 1) for job in reversed(task.jobs))
        return []

    def _split(self, task: Task, parts: Sequence[range]) -> None:
        """The parts of a video, to be painted next; or the whole of it, where it has none."""
        if not parts:
            self.waiting.appendleft(replace(task, most=1))
            return
        self._films[task.jobs[0]] = _Film(len(parts))
        self._frames[1] += SEGMENT * sum(map(len, parts))
        self.waiting.extendleft(Task(task.jobs, part=part) for part in reversed(parts))

    def _end_part(self, task: Task, part: range, report: Report) -> None:
        film = self._films.get(task.jobs[0])
        if film is None:  # given up meanwhile
            return
        self._frames[0] += SEGMENT * len(part)
        film.left -= 1
        film.reports.append(report)
        if not film.left:
            self.waiting.appendleft(Task(task.jobs, joins=True))

    def _whole(self, done: Done) -> Done:
        """With what was told of the parts."""
        reports = self._films.pop(done.job).reports
        if done.report is None:
            return done
        cuts = sorted({cut for report in (done.report, *reports) for cut in report.cuts})
        repeated = done.report.repeated + sum(report.repeated for report in reports)
        return replace(done, report=replace(done.report, cuts=cuts, repeated=repeated))


def _tasks(jobs: Sequence[Job], workers: int) -> Iterator[Task]:
    """Videos first, the largest before the others, since the last to end is waited for; then pictures by the dozen, where
    there are many."""
    sizes = {job: _size(job) for job in jobs if job.is_video}
    total = max(1, sum(sizes.values()))
    for job, size in sorted(sizes.items(), key=lambda item: -item[1]):
        # in parts by its share of all that there is: a thousand videos keep the workers busy as they are
        yield Task([job], most=max(1, math.ceil(_PARTS * workers * size / total)) if workers > 1 else 1)
    pictures = [job for job in jobs if not job.is_video]
    count = max(1, min(_AT_ONCE, len(pictures) // (4 * workers)))
    yield from (Task(pictures[start : start + count]) for start in range(0, len(pictures), count))


def _size(job: Job) -> int:
    """The bytes of a video that can be painted in parts; 0 for any other."""
    video = isinstance(job.source, File) and job.source.kind == "video"
    if not video or SEQUENCE.search(job.target.name) or job.target.suffix.lower() not in CONTAINERS:
        return 0
    try:
        return job.source_size or job.source.path.stat().st_size
    except OSError:  # who opens it says why
        return 0
