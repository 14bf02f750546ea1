"""What one process of many does: opens a style once, then does the jobs that it is given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from onestroke.config.devices import CPU
from onestroke.errors import ConfigError, OnestrokeError
from onestroke.files import look_again
from onestroke.inference.stylizer import Stylizer
from onestroke.inference.tiling.executor import MB
from onestroke.jobs import cloud
from onestroke.jobs.connection import check_worker
from onestroke.jobs.engine import Done, stylize_files
from onestroke.jobs.job import Job
from onestroke.jobs.settings import Settings
from onestroke.jobs.shelf import Shelf
from onestroke.memory import free_memory

if TYPE_CHECKING:
    from onestroke.jobs.painter import Report

_ON_GPU = 4 * 10**9  # bytes that all the pictures on one GPU may take, as for a Stylizer alone


@dataclass(frozen=True)
class Order:
    """What all workers of a run are told.

    model: the bytes of a file called `name`, which other machines need not have. device, memory, style: as for a Stylizer.
    places: URLs in every store that is read or written. shared: a file in the folder that is written to, or None where that is
    in a store. version: of onestroke.
    """

    name: str
    model: bytes
    device: str
    memory: int | None
    style: str
    settings: Settings
    places: Sequence[str]
    shared: Path | None
    version: str


class Worker:
    """A process that computes on one core, or on a GPU or its part of one."""

    def open(self, order: Order, share: int) -> None:
        """Open the model; without a bound on memory, as one of `share` workers on this machine, or on its GPU.

        Raises OnestrokeError for what this machine lacks. A GPU that was given is used, never silently not.
        """
        check_worker(order.version, order.shared)
        for place in order.places:
            cloud.check(place)
        os.environ["OMP_NUM_THREADS"] = "1"
        free = free_memory() / 2 if order.device == CPU else _ON_GPU
        memory = order.memory or max(1, int(free / share / MB))
        self._settings, self._folder = order.settings, TemporaryDirectory(prefix="onestroke-")
        try:
            model = Path(self._folder.name, order.name)
            model.write_bytes(order.model)
            self._stylizer = Stylizer(model, order.device, memory, order.style)
            opened = self._stylizer.model
            if opened.device == CPU != order.device:
                raise ConfigError(f"device: a worker cannot use its GPU ({opened.note}); repair that, or use --device cpu")
        except OnestrokeError:
            self.close()
            raise

    def do(self, jobs: Sequence[Job], again: bool) -> list[Done]:
        """What became of each; one that fails stops no other. again: another died over them, and may have left some."""
        if again:
            look_again()
        return list(stylize_files(self._stylizer, jobs, self._settings, _go_on))

    def split(self, job: Job, most: int) -> Sequence[range]:
        """The segments of a video in parts to be painted; none for one that is better painted whole."""
        from onestroke.jobs import parts

        try:
            with cloud.at_hand(job) as local:
                shelf = Shelf(job, local)
                shelf.begin(self._settings.resume)
                found = parts.split(self._stylizer, local, self._settings, most)
                shelf.put()
                return found
        except Exception:  # whatever is wrong with it will be told where it is painted whole
            return []

    def paint(self, job: Job, part: range) -> Report:
        """Paint a part of a video that was split."""
        from onestroke.jobs import painter, parts

        try:
            with cloud.at_hand(job) as local:
                shelf = Shelf(job, local)
                shelf.take(part)
                report = parts.paint_part(self._stylizer, local, self._settings, part, shelf.keeping(_go_on))
                shelf.put()
                return report
        except Exception:  # where the video is joined, this goes wrong again and is told, or does not
            return painter.Report()

    def join(self, job: Job, again: bool) -> list[Done]:
        """Join the parts of a video that were painted, and paint what none of them has. again: as for `do`."""
        if again:
            look_again()
        return list(stylize_files(self._stylizer, [job], replace(self._settings, resume=True), _go_on))

    def close(self) -> None:
        """Remove what was written to this machine's temporary files."""
        self._folder.cleanup()


def _go_on(done: int, total: int | None) -> bool:
    """No worker is asked to stop: who stops a run ends its workers."""
    return False
