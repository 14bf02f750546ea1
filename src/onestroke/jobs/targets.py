"""Where jobs write: what -o means, names kept apart, and what is not replaced unasked."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from onestroke.errors import ConfigError
from onestroke.jobs import cloud
from onestroke.jobs.job import Job
from onestroke.jobs.settings import Settings
from onestroke.media.source import SEQUENCE, exists, is_of
from onestroke.media.target import CONTAINERS, MOVING, STDOUT, parts_folder
from onestroke.saving import WRITABLE


def names_a_file(out: str) -> bool:
    """Whether -o means a file rather than a folder: what is written there has such a name, or it is standard output."""
    known = Path(out).suffix.lower() in (*WRITABLE, *MOVING)
    return out == STDOUT or (known and not is_folder(out))


def is_folder(out: str) -> bool:
    """Whether -o says that it is a folder, or it is one."""
    return out.endswith(("/", os.sep)) or Path(out).is_dir()


def real(path: Path) -> Path:
    """The path without links, as far as there are any; Path.resolve raises for links in a circle."""
    return Path(os.path.realpath(path))


def apart(jobs: Sequence[Job]) -> list[Job]:
    """The same, but where a changed ending made one name of two (a.gif and a.png), the old ending is kept before it."""
    times = Counter(job.target for job in jobs)

    def target(job: Job) -> Path:
        old, new = job.source.path.suffix, job.target.suffix
        return job.target.with_suffix(old + new) if times[job.target] > 1 and old.lower() != new.lower() else job.target

    return [replace(job, target=target(job)) for job in jobs]


def check_encodings(jobs: Sequence[Job], settings: Settings) -> None:
    """Raise ConfigError for a codec or a quality that a video could not have, before anything is painted."""
    kinds = {job.target.suffix.lower() for job in jobs if job.is_video}.intersection(CONTAINERS)
    if kinds and (settings.codec is not None or settings.quality is not None):
        from onestroke.media.encoder import Encoding  # FFmpeg, which photos do not need

        for kind in sorted(kinds):
            Encoding.choose(kind, settings.codec, settings.quality)


def check_targets(
    jobs: Sequence[Job], overwrite: bool, resume: bool, there: Collection[str] = (), unfinished: Collection[str] = ()
) -> None:
    """Raise ConfigError where two jobs share a target, a sequence is to be written over its own source, or a file or a stopped
    run would be replaced unasked.

    there: the URLs in the store that is written to; unfinished: of the folders there, some of which hold segments.
    """
    seen: dict[Path, str] = {}
    for job in jobs:
        if job.target == Path(STDOUT):
            continue
        target = real(job.target)
        if target in seen:
            raise ConfigError(f"{job.writes}: both {seen[target]} and {job.reads} would be written there; do them one by one")
        if SEQUENCE.search(target.name) and is_of(real(job.source.path), target):
            raise ConfigError(f"{job.writes}: is the input, whose frames would be replaced; name another place with -o")
        if not overwrite and not resume:
            if segments_url(job) in unfinished or parts_folder(target).exists():
                raise ConfigError(
                    f"{job.writes}: a stopped run lies there; add --resume to go on, or --overwrite to start over"
                )
            if job.target_url in there or exists(target):
                raise ConfigError(f"{job.writes}: exists already; add --overwrite to replace it or name another place with -o")
        seen[target] = job.reads


def segments_url(job: Job) -> str:
    """Where the segments of an unfinished target in a store lie."""
    return cloud.url(parts_folder(job.target)) if job.target_url else ""
