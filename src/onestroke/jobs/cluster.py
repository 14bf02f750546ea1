"""Jobs on the machines of a Ray cluster: one worker process for each core, or each GPU.

Plain actors, not ray.data: that tries a file for ever whose decoder takes its process along, and brings pyarrow and pandas.
A worker that dies is replaced here, and its jobs are given to others, TRIES times. Nothing is known of a job but whether its
target is there, so that after whatever ended a run, also its driver, a second run goes on from there.
"""

from __future__ import annotations

import logging
import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Any

from onestroke.config.devices import CPU
from onestroke.errors import ConfigError, OnestrokeError, because
from onestroke.jobs.engine import Done
from onestroke.jobs.job import Job
from onestroke.jobs.painter import Watch
from onestroke.jobs.settings import Settings
from onestroke.jobs.worker import Order, Worker
from onestroke.media.source import File, Numbered

# How many workers may die over a job before it counts as failed.
TRIES = 3
# Pictures that a worker is given at once: the driver gives some thousand times a second, and many cores paint more.
_AT_ONCE = 16
_SECONDS, _PATIENCE = 0.2, 5  # between two looks at whether to stop; for the pictures at hand when it does


@dataclass(frozen=True)
class _Task:
    """Jobs for one worker, and how many have died over them."""

    jobs: Sequence[Job]
    deaths: int = 0


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
        self._ours = _connect(self._address)
        self._divide()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        import ray

        if self._ours:
            ray.shutdown()

    def __call__(self, jobs: Sequence[Job], settings: Settings, watch: Watch) -> Iterator[Done]:
        """Do the jobs; `watch` is told of no frames. Raises OnestrokeError where the workers cannot begin."""
        if not jobs:
            return
        jobs = [_absolute(job) for job in jobs]
        with _shared(jobs) as shared:
            yield from self._done(jobs, self._hiring(jobs, settings, shared), watch)

    def _done(self, jobs: Sequence[Job], hire: Callable[[], tuple[Any, tuple[Any, None]]], watch: Watch) -> Iterator[Done]:
        import ray
        from ray.exceptions import RayError, RayTaskError

        waiting, left, failed_starts = deque(_tasks(jobs, self.workers)), len(jobs), 0
        busy: dict[Any, tuple[Any, _Task | None]] = dict(hire() for _ in range(min(self.workers, len(waiting))))
        idle: list[Any] = []
        try:
            while left and not watch(0, None):
                while idle and waiting:
                    worker, given = idle.pop(), waiting.popleft()
                    busy[worker.do.remote(given.jobs, given.deaths > 0)] = worker, given
                ready, _ = ray.wait(list(busy), num_returns=1, timeout=_SECONDS)
                for call in ready:
                    worker, task = busy.pop(call)
                    try:
                        results = ray.get(call) or []
                        idle.append(worker)
                    except RayTaskError as error:  # of a worker that cannot open what it needs
                        raise (error.cause if isinstance(error.cause, OnestrokeError) else error) from None
                    except RayError as error:  # the worker is gone, or its machine
                        failed_starts += task is None
                        if failed_starts > TRIES * self.workers:
                            raise OnestrokeError(f"workers end before they begin ({_reason(error)})") from None
                        results, again = _after_death(task, error)
                        waiting += again
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
            Order(self._model.name, self._model.read_bytes(), self._device, self._memory, self._style, settings,
                  sorted(places), shared, version("onestroke"))
        )  # fmt: skip
        actor: Any = ray.remote(Worker).options(**self._each)

        def hire() -> tuple[Any, tuple[Any, None]]:
            worker = actor.remote()
            return worker.open.remote(order, self._share), (worker, None)

        return hire

    def _divide(self) -> None:
        """Choose how many workers there are, what each takes of the cluster, and how many share a machine's memory, or a
        GPU's."""
        import ray

        nodes: Any = ray.nodes  # without types
        machines = [node["Resources"] for node in nodes() if node["Alive"]]
        gpus = 0 if self._device == CPU else sum(int(machine.get("GPU", 0)) for machine in machines)
        self.workers = self._asked or gpus or sum(int(machine.get("CPU", 0)) for machine in machines) or 1
        if gpus:
            self._share = math.ceil(self.workers / gpus)
            self._each = {"num_cpus": 1, "num_gpus": 1 / self._share}
        elif self._device not in ("auto", CPU):
            raise ConfigError(f"device: the cluster counts no GPU for {self._device}; start Ray with --num-gpus, or use cpu")
        else:
            self._device = CPU
            self._share = max(1, min(self.workers, max(int(machine.get("CPU", 0)) for machine in machines)))
            self._each = {"num_cpus": 1}


def _absolute(job: Job) -> Job:
    """The job for a process that runs in another folder."""
    source, target = job.source, job.target
    if isinstance(source, File | Numbered) and not job.source_url:
        source = replace(source, path=source.path.absolute())
    return replace(job, source=source, target=target if job.target_url else target.absolute())


@contextmanager
def _shared(jobs: Sequence[Job]) -> Iterator[Path | None]:
    """A hidden file in the folder that the jobs write to, by which a worker sees that it is the same one; None in a store."""
    folders = [job.target.parent for job in jobs if not job.target_url]
    if not folders:
        yield None
        return
    folder = Path(os.path.commonpath(folders))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=".onestroke-") as file:
            yield Path(file.name)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({because(error)})") from None


def _tasks(jobs: Sequence[Job], workers: int) -> Iterator[_Task]:
    """Videos first, one by one, since the last to end is waited for; then pictures by the dozen, where there are many."""
    pictures = [job for job in jobs if not job.is_video]
    yield from (_Task([job]) for job in jobs if job.is_video)
    count = max(1, min(_AT_ONCE, len(pictures) // (4 * workers)))
    yield from (_Task(pictures[start : start + count]) for start in range(0, len(pictures), count))


def _after_death(task: _Task | None, error: Exception) -> tuple[list[Done], list[_Task]]:
    """What is given up where a worker died over a task, and what is tried again: each job by itself."""
    if task is None:
        return [], []
    if len(task.jobs) == 1 and task.deaths + 1 == TRIES:
        job = task.jobs[0]
        return [Done(job, OnestrokeError(f"{job.reads}: {TRIES} workers died over it ({_reason(error)})"))], []
    return [], [_Task([job], task.deaths + 1) for job in task.jobs]


def _reason(error: Exception) -> str:
    return because(error)[:160]


def _connect(address: str) -> bool:
    """Connect to the cluster; whether this is to be ended. Raises ConfigError."""
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # `uv run` would send the working folder to every worker
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    known = address or os.environ.get("RAY_ADDRESS", "")
    import ray

    if ray.is_initialized():
        return False
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 10**8}
    try:
        ray.init(known or "local", log_to_driver=False, logging_level=logging.ERROR, **({} if known else own))
    except Exception as error:  # ConnectionError, RuntimeError, ValueError, ...
        where = known or "this machine"
        raise ConfigError(
            f"address: no Ray cluster at {where} lets us in ({_reason(error)}); if it wants a token, set RAY_AUTH_MODE=token"
        ) from None
    return True
