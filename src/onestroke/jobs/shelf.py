"""Segments of a video whose target lies in an object store: kept beside the target there until it is whole.

Below this (jobs/video.py, jobs/parts.py) they lie in a local folder beside a local target. They are fetched before, and put as
they come, so that any run on any machine goes on from them, and many can paint parts of one video.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onestroke.jobs import cloud
from onestroke.jobs.job import Job
from onestroke.media.target import NOTE, parts_folder, segment_path

if TYPE_CHECKING:
    from onestroke.jobs.painter import Watch


class Shelf:
    """The segments of `job`, which is done as `local` on this machine; none where the target is local, or no video."""

    def __init__(self, job: Job, local: Job) -> None:
        self._place = cloud.url(parts_folder(job.target)) if job.target_url and job.is_video else ""
        self._folder = parts_folder(local.target)
        self._there = set[str]()

    def begin(self, resume: bool) -> None:
        """Fetch what is there, where it is to be gone on with, or else remove it. Raises ConfigError."""
        if resume:
            self.take()
        else:
            self.clear()

    def take(self, part: range | None = None) -> None:
        """Fetch the note, and all segments or those of a part. Raises ConfigError."""
        if not self._place:
            return
        found = {name: url for url, (name, _) in cloud.find(self._place).items()}
        if found and NOTE not in found:  # nobody knows what they are of
            self.clear()
            return
        wanted = None if part is None else {NOTE, *(segment_path(self._folder, number).name for number in part)}
        for name, url in found.items():
            if wanted is None or name in wanted:
                cloud.get(url, self._folder / name)
                self._there.add(name)

    def put(self) -> None:
        """Keep what is new and whole; the note first, since segments without it are not trusted. Raises ConfigError."""
        if not self._place:
            return
        for path in (self._folder / NOTE, *sorted(self._folder.glob("[0-9]*.mkv"))):
            if path.name not in self._there and path.is_file():
                cloud.put(path, f"{self._place}/{path.name}")
                self._there.add(path.name)

    def keeping(self, watch: Watch) -> Watch:
        """`watch`, which also puts what has become whole."""

        def keep(done: int, total: int | None) -> bool:
            self.put()
            return watch(done, total)

        return keep

    def clear(self) -> None:
        """Remove it from the store. Raises ConfigError."""
        if self._place:
            cloud.remove(self._place)
