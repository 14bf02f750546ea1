"""From inputs on a command line to jobs: one file to read and one to write each."""

from __future__ import annotations

import glob
import os
import zlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from onestroke.config.shard import WHOLE, Shard
from onestroke.errors import ConfigError
from onestroke.files import fitting
from onestroke.images import READABLE, find_images
from onestroke.jobs import cloud
from onestroke.jobs.job import Job
from onestroke.jobs.settings import DEFAULT, Settings
from onestroke.media.source import SEQUENCE, VIDEOS, Camera, File, Pipe, Source, exists, is_of, parse, parse_path
from onestroke.media.target import ANIMATIONS, CONTAINERS, FORMATS, STDOUT, check_kind, parts_folder
from onestroke.saving import WRITABLE, output_format


def plan(
    inputs: Sequence[str],
    out: str | None,
    style: str,
    overwrite: bool = False,
    settings: Settings = DEFAULT,
    shard: Shard = WHOLE,
) -> list[Job]:
    """Expand files, folders, glob patterns and places in object stores into jobs.

    A folder keeps its tree. Without `out`, a file goes beside itself and a folder into a new one, both named after the style.
    `shard`: a hash of the target's path, as -o gives it, decides whose it is: machines that are told the same agree by
    themselves, also where files were added in the meantime. When resuming, what is done already is left out; what another
    job writes is never an input. Raises ConfigError where nothing matches, two inputs share an output, or an existing file
    would be replaced unasked.
    """
    inputs, out = [cloud.as_path(item) for item in inputs], out and cloud.as_path(out)
    stored = out is not None and cloud.is_url(out)
    single = out is not None and names_a_file(out)
    if stored:
        _check_store(out or "", single, settings)
    if "" in (out, *inputs):
        raise ConfigError("an empty name, where a file or a folder was expected; leave it out, or write . for this folder")
    jobs = [job for item in inputs for job in _jobs(item, out, style, settings)]
    if out is not None and not (single or stored) and len(jobs) == 1 and Path(out).suffix and not Path(out).is_dir():
        # a file was meant, of a kind that is not written: say so instead of making a folder
        (check_kind if jobs[0].is_video else output_format)(Path(out))
    jobs = _apart(jobs)
    written = {_real(job.target): job for job in jobs}
    jobs = [job for job in jobs if written.get(_real(job.source.path), job) is job]
    jobs = [job for job in jobs if zlib.crc32(os.fsencode(job.target)) % shard.count == shard.index]
    if not stored:
        check_targets(jobs, overwrite, settings.resume)
        return [job for job in jobs if not (settings.resume and job.is_done)]
    jobs = [replace(job, target_url=cloud.url(job.target)) for job in jobs]
    there = cloud.find(out or "", hidden=True)  # asking for each would take an hour for a million
    unfinished = {url.rpartition("/")[0] for url in there}
    check_targets(jobs, overwrite, settings.resume, there, unfinished)
    return [job for job in jobs if not (settings.resume and job.target_url in there and _parts(job) not in unfinished)]


def _parts(job: Job) -> str:
    """Where the segments of an unfinished target in a store lie."""
    return cloud.url(parts_folder(job.target)) if job.target_url else ""


def _jobs(item: str, out: str | None, style: str, settings: Settings) -> list[Job]:
    """The jobs of one input."""
    if cloud.is_url(item):
        return _in_store(item, out, settings)
    if item != str(Pipe.path) and Path(item).is_dir():
        return _in_folder(item, out, style, settings)
    return [_of_file(source, out, style, settings) for source in _matches(item)]


def _in_folder(item: str, out: str | None, style: str, settings: Settings) -> list[Job]:
    """The jobs of what lies in a folder, whose tree is kept."""
    if out is not None and names_a_file(out):
        raise ConfigError(f"{out}: is one file, and {item} a folder; name a folder with -o")
    path = Path(item)
    found = list(find_images(path, READABLE | VIDEOS))
    if not found:
        raise ConfigError(f"{item}: a folder without pictures or videos")
    named = _real(path) if path.name in ("", "..") else path
    folder = Path(out) if out else named.with_name(fitting(_real(path).name, f"-{style}"))
    return [_job(parse_path(f), folder / f.relative_to(path), settings) for f in found]


def _of_file(source: Source, out: str | None, style: str, settings: Settings) -> Job:
    """The job of a file, a sequence, or standard input."""
    path = source.path
    if out is not None and names_a_file(out):
        return Job(source, Path(out))
    if out and isinstance(source, Pipe):
        raise ConfigError(f"{out}: name a file for what standard input brings (painted.mkv), or - to pass it on")
    if out:
        return _job(source, Path(out) / path.name, settings)
    stem = SEQUENCE.sub("", path.stem) or _real(path.parent).name
    return _job(source, path.with_name(fitting(stem, f"-{style}{path.suffix}")), settings)


def _check_store(out: str, single: bool, settings: Settings) -> None:
    """Raise ConfigError for what no store can be asked for."""
    if single:
        raise ConfigError(f"{out}: name a folder; only local files can be named one by one")
    if settings.codec == "png":
        raise ConfigError(f"codec: png writes a folder for each video, and {out} takes files; name a local folder")


def _in_store(place: str, out: str | None, settings: Settings) -> list[Job]:
    """The jobs of what lies at a place in an object store. What is animated is told by its name alone."""
    if out is None or names_a_file(out):
        raise ConfigError(f"{place}: name a folder to write to with -o")
    found = cloud.find(place, READABLE | VIDEOS)
    if not found:
        raise ConfigError(f"{place}: no pictures or videos there")
    jobs = []
    for source_url, (name, size) in found.items():
        path = Path(source_url)
        source = File(path, "animation") if path.suffix.lower() == ".gif" else parse_path(path)
        jobs.append(replace(_job(source, Path(out) / name, settings), source_url=source_url, source_size=size))
    return jobs


def _real(path: Path) -> Path:
    """The path without links, as far as there are any; Path.resolve raises for links in a circle."""
    return Path(os.path.realpath(path))


def names_a_file(out: str) -> bool:
    """Whether -o means a file rather than a folder: what is written there has such a name, or it is standard output."""
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

    return [replace(job, target=target(job)) for job in jobs]


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
        target = _real(job.target)
        if target in seen:
            raise ConfigError(f"{job.writes}: both {seen[target]} and {job.reads} would be written there; do them one by one")
        if is_of(_real(job.source.path), target):
            raise ConfigError(f"{job.writes}: is the input, whose frames would be replaced; name another place with -o")
        if not overwrite and not resume:
            if _parts(job) in unfinished or parts_folder(target).exists():
                raise ConfigError(
                    f"{job.writes}: a stopped run lies there; add --resume to go on, or --overwrite to start over"
                )
            if job.target_url in there or exists(target):
                raise ConfigError(f"{job.writes}: exists already; add --overwrite to replace it or name another place with -o")
        seen[target] = job.reads
