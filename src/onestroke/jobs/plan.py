"""From inputs on a command line to jobs: one file to read and one to write each."""

from __future__ import annotations

import glob
import os
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onestroke.config.shard import WHOLE, Shard
from onestroke.errors import ConfigError
from onestroke.files import fitting
from onestroke.images import READABLE, find_images
from onestroke.jobs.settings import DEFAULT, Settings
from onestroke.media.source import SEQUENCE, VIDEOS, Camera, File, Pipe, Source, frame_numbers, parse, parse_path
from onestroke.media.target import ANIMATIONS, CONTAINERS, FORMATS, STDOUT, parts_folder
from onestroke.saving import WRITABLE, output_format


@dataclass(frozen=True)
class Job:
    """One file to read and one to write."""

    source: Source
    target: Path

    @property
    def is_video(self) -> bool:
        """Whether the source moves."""
        return not (isinstance(self.source, File) and self.source.kind == "picture")


def plan(
    inputs: Sequence[str],
    out: str | None,
    style: str,
    overwrite: bool = False,
    settings: Settings = DEFAULT,
    shard: Shard = WHOLE,
) -> list[Job]:
    """Expand files, folders and glob patterns into jobs.

    A folder keeps its tree. Without `out`, a file goes beside itself and a folder into a new one, both named after the style.
    `shard`: a hash of the target's path, as -o gives it, decides whose it is: machines that are told the same agree by
    themselves, also where files were added in the meantime. When resuming, what is done already is left out; what another
    job writes is never an input. Raises ConfigError where
    nothing matches, two inputs share an output, or an existing file would be replaced unasked.
    """
    jobs: list[Job] = []
    single = out is not None and _names_a_file(out)
    if "" in (out, *inputs):
        raise ConfigError("an empty name, where a file or a folder was expected; leave it out, or write . for this folder")
    for item in inputs:
        path = Path(item)
        if item != str(Pipe.path) and path.is_dir():
            if single:
                raise ConfigError(f"{out}: is one file, and {item} a folder; name a folder with -o")
            found = list(find_images(path, READABLE | VIDEOS))
            named = _real(path) if path.name in ("", "..") else path
            folder = Path(out) if out else named.with_name(fitting(_real(path).name, f"-{style}"))
            jobs += [_job(parse_path(f), folder / f.relative_to(path), settings) for f in found]
            if not found:
                raise ConfigError(f"{item}: a folder without pictures or videos")
        else:
            for source in _matches(item):
                match = source.path
                stem = SEQUENCE.sub("", match.stem) or _real(match.parent).name
                beside = match.with_name(fitting(stem, f"-{style}{match.suffix}"))
                if single:
                    jobs.append(Job(source, Path(out or "")))
                elif out and isinstance(source, Pipe):
                    raise ConfigError(f"{out}: name a file for what standard input brings (painted.mkv), or - to pass it on")
                else:
                    jobs.append(_job(source, Path(out) / match.name if out else beside, settings))
    if out is not None and not single and len(jobs) == 1 and Path(out).suffix and not Path(out).is_dir():
        output_format(Path(out))  # a file was meant, of a kind that is not written: say so instead of making a folder
    jobs = _apart(jobs)
    written = {_real(job.target): job for job in jobs}
    jobs = [job for job in jobs if written.get(_real(job.source.path), job) is job]
    jobs = [job for job in jobs if zlib.crc32(os.fsencode(job.target)) % shard.count == shard.index]
    check_targets(jobs, overwrite, settings.resume)
    return [job for job in jobs if not (settings.resume and job.target.exists() and not parts_folder(job.target).exists())]


def _real(path: Path) -> Path:
    """The path without links, as far as there are any; Path.resolve raises for links in a circle."""
    return Path(os.path.realpath(path))


def _names_a_file(out: str) -> bool:
    path = Path(out)
    known = path.suffix.lower() in (*WRITABLE, *CONTAINERS, *ANIMATIONS)
    return out == STDOUT or (known and not path.is_dir())


def _matches(item: str) -> list[Source]:
    """What one input stands for. Raises ConfigError for a camera among others, and for what is not there."""
    source = parse(item)
    if isinstance(source, Camera):
        raise ConfigError(f"{item}: is shown live; name it alone")
    if not isinstance(source, File) or source.path.exists():
        return [source]
    matches = [parse_path(Path(match)) for match in sorted(glob.glob(item))] if glob.has_magic(item) else []
    if not matches:
        raise ConfigError(f"{item}: no such file or folder")
    return list(matches)


def _job(source: Source, target: Path, settings: Settings) -> Job:
    """With the target's name changed where its format is only read, or where another is asked for."""
    if Job(source, target).is_video:
        if isinstance(source, Pipe):
            return Job(source, Path(STDOUT))
        kind = FORMATS.get(settings.codec or "")
        if kind is not None:
            return Job(source, target / "%06d.png" if kind == ".png" else target.with_suffix(kind))
        moving = (*CONTAINERS, *ANIMATIONS)
        return Job(source, target if target.suffix.lower() in moving and "%" not in target.name else target.with_suffix(".mkv"))
    return Job(source, target if target.suffix.lower() in WRITABLE else target.with_suffix(".png"))


def _apart(jobs: Sequence[Job]) -> list[Job]:
    """The same, but where a changed ending made one name of two (a.gif and a.png), the old ending is kept before it."""
    times = Counter(job.target for job in jobs)

    def target(job: Job) -> Path:
        old, new = job.source.path.suffix, job.target.suffix
        return job.target.with_suffix(old + new) if times[job.target] > 1 and old.lower() != new.lower() else job.target

    return [Job(job.source, target(job)) for job in jobs]


def check_targets(jobs: Sequence[Job], overwrite: bool, resume: bool) -> None:
    """Raise ConfigError where two jobs share a target, or one would replace a file or a stopped run unasked."""
    seen: dict[Path, Source] = {}
    for job in jobs:
        if job.target == Path(STDOUT):
            continue
        target = _real(job.target)
        if target in seen:
            raise ConfigError(f"{job.target}: both {seen[target]} and {job.source} would be written there; do them one by one")
        if not overwrite and not resume:
            if parts_folder(target).exists():
                raise ConfigError(
                    f"{job.target}: a stopped run lies there; add --resume to go on, or --overwrite to start over"
                )
            if target.exists() or (SEQUENCE.search(target.name) and frame_numbers(target)):
                raise ConfigError(f"{job.target}: exists already; add --overwrite to replace it or name another place with -o")
        seen[target] = job.source
