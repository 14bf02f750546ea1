"""Jobs on the machines of a Ray cluster: one worker process for each core, or each GPU.

Plain actors, not ray.data: that tries a file for ever whose decoder takes its process along, and brings pyarrow and pandas.
A worker that dies is replaced here, and its tasks (jobs/tasks.py) are given to others, TRIES times. Nothing is known of a job
but what lies at its target's place, so that after whatever ended a run, also its driver, a second run goes on from there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

from onestroke.errors import OnestrokeError
from onestroke.jobs.connection import TRIES, connected, divide, reason, shared_file
from onestroke.jobs.engine import Done
from onestroke.jobs.job import Job
from onestroke.jobs.painter import Watch
from onestroke.jobs.settings import Settings
from onestroke.jobs.tasks import Task, Tasks
from onestroke.jobs.worker import Order, Worker
from onestroke.media.source import File, Numbered

_SECONDS, _PATIENCE = 0.2, 5  # between two looks at whether to stop; for the pictures at hand when it does


class Cluster:
    """An Engine (jobs/engine.py) on a Ray cluster, connected to inside a `with` block.

    model, device, memory, style: as for a Stylizer. address: of the cluster; "auto" is the one that this machine belongs to,
    "" that of RAY_ADDRESS, or one of this machine alone that ends with the block. workers: how many; 0: one a GPU, where
    there are any and `device` lets them be used, else one a core. Raises ConfigError where no cluster answers.
    """

    def __init__(self, model: Path, device: str, memory: int | None, style: str, address: str = "", workers: int = 0) -> None:
        self._model, self._device, self._memory, self._style = model, device, memory, style
        self._address, self._asked = address, workers

    def __enter__(self) -> Cluster:
        with ExitStack() as stack:
            stack.enter_context(connected(self._address))
            self._division = divide(self._device, self._asked)
            self._open = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    @property
    def workers(self) -> int:
        """How many there are."""
        return self._division.workers

    def __call__(self, jobs: Sequence[Job], settings: Settings, watch: Watch) -> Iterator[Done]:
        """Do the jobs; `watch` is told of the frames of videos that are painted in parts, as these end. Raises OnestrokeError
        where the workers cannot begin."""
        if not jobs:
            return
        jobs = [_absolute(job) for job in jobs]
        with _shared(jobs) as shared:
            yield from self._done(jobs, self._hiring(jobs, settings, shared), watch)

    def _done(self, jobs: Sequence[Job], hire: Callable[[], tuple[Any, tuple[Any, None]]], watch: Watch) -> Iterator[Done]:
        import ray
        from ray.exceptions import RayError, RayTaskError

        tasks, left, failed_starts = Tasks(jobs, self.workers), len(jobs), 0
        busy: dict[Any, tuple[Any, Task | None]] = dict(hire() for _ in range(min(self.workers, tasks.most)))
        idle: list[Any] = []
        try:
            while left and not watch(*tasks.frames):
                while idle and tasks.waiting:
                    worker, given = idle.pop(), tasks.waiting.popleft()
                    busy[_begun(worker, given)] = worker, given
                ready, _ = ray.wait(list(busy), num_returns=1, timeout=_SECONDS)
                for call in ready:
                    (worker, task), results = busy.pop(call), []
                    try:
                        answer = ray.get(call)
                        idle.append(worker)
                        results = tasks.settle(task, answer) if task else []
                    except RayTaskError as error:  # of a worker that cannot open what it needs
                        raise (error.cause if isinstance(error.cause, OnestrokeError) else error) from None
                    except RayError as error:  # the worker is gone, or its machine
                        failed_starts += task is None
                        if failed_starts > TRIES * self.workers:
                            raise OnestrokeError(f"workers end before they begin ({reason(error)})") from None
                        results = tasks.died(task, reason(error)) if task else []
                        busy |= [hire()]
                    left -= len(results)
                    yield from results
        finally:
            ends = [worker.close.remote() for worker in (*idle, *(worker for worker, _ in busy.values()))]
            ray.wait(ends, num_returns=len(ends), timeout=_PATIENCE)

    def _hiring(
        self, jobs: Sequence[Job], settings: Settings, shared: Path | None
    ) -> Callable[[], tuple[Any, tuple[Any, None]]]:
        """A function that starts a worker: (the call that opens its model, (the worker, no task yet))."""
        import ray

        urls = (url for job in jobs for url in (job.source_url, job.target_url) if url)
        places = {"/".join(url.split("/", 3)[:3]) for url in urls}
        order = ray.put(
            Order(self._model.name, self._model.read_bytes(), self._division.device, self._memory, self._style, settings,
                  sorted(places), shared, version("onestroke"))
        )  # fmt: skip
        actor: Any = ray.remote(Worker).options(**self._division.resources)

        def hire() -> tuple[Any, tuple[Any, None]]:
            worker = actor.remote()
            return worker.open.remote(order, self._division.share), (worker, None)

        return hire


def _begun(worker: Any, task: Task) -> Any:
    """The call that gives the task to the worker."""
    again = task.deaths > 0
    if task.part is not None:
        return worker.paint.remote(task.jobs[0], task.part)
    if task.most > 1:
        return worker.split.remote(task.jobs[0], task.most)
    return worker.join.remote(task.jobs[0], again) if task.joins else worker.do.remote(task.jobs, again)


def _absolute(job: Job) -> Job:
    """The job for a process that runs in another folder."""
    source, target = job.source, job.target
    if isinstance(source, File | Numbered) and not job.source_url:
        source = replace(source, path=source.path.absolute())
    return replace(job, source=source, target=target if job.target_url else target.absolute())


def _shared(jobs: Sequence[Job]) -> AbstractContextManager[Path | None]:
    """A hidden file in the folder that the jobs write to; None in a store."""
    folders = [job.target.parent for job in jobs if not job.target_url]
    return shared_file(Path(os.path.commonpath(folders))) if folders else nullcontext()
