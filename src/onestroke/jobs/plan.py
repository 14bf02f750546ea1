"""From inputs on a command line to jobs: one file to read and one to write each."""

from __future__ import annotations

import glob
import os
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from onestroke.config.shard import WHOLE, Shard
from onestroke.errors import ConfigError
from onestroke.files import fitting
from onestroke.images import READABLE, find_images
from onestroke.jobs import cloud
from onestroke.jobs.job import Job
from onestroke.jobs.settings import DEFAULT, Settings
from onestroke.jobs.targets import apart, check_encodings, check_targets, is_folder, names_a_file, real, segments_url
from onestroke.media.source import SEQUENCE, VIDEOS, Camera, File, Numbered, Pipe, Source, parse, parse_path
from onestroke.media.target import FORMATS, MOVING, STDOUT, check_kind
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
    jobs = list(dict.fromkeys(job for item in inputs for job in _jobs(item, out, style, settings)))
    if out is not None and not (single or stored or is_folder(out)) and len(jobs) == 1 and Path(out).suffix:
        # a file was meant, of a kind that is not written: say so instead of making a folder
        (check_kind if jobs[0].is_video else output_format)(Path(out))
    check_encodings(jobs, settings)
    jobs = apart(jobs)
    written = {real(job.target): job for job in jobs}
    jobs = [job for job in jobs if written.get(real(job.source.path), job) is job]
    jobs = [job for job in jobs if zlib.crc32(os.fsencode(job.target)) % shard.count == shard.index]
    if not stored:
        check_targets(jobs, overwrite, settings.resume)
        return [job for job in jobs if not (settings.resume and job.is_done)]
    jobs = [replace(job, target_url=cloud.url(job.target)) for job in jobs]
    there = cloud.find(out or "", hidden=True)  # asking for each would take an hour for a million
    unfinished = {url.rpartition("/")[0] for url in there}
    check_targets(jobs, overwrite, settings.resume, there, unfinished)
    return [job for job in jobs if not (settings.resume and job.target_url in there and segments_url(job) not in unfinished)]


def _jobs(item: str, out: str | None, style: str, settings: Settings) -> list[Job]:
    """The jobs of one input."""
    if cloud.is_url(item):
        return _in_store(item, out, settings)
    found = []
    for source in _matches(item):
        if isinstance(source, str):
            found += _in_folder(source, out, style, settings)
        else:
            found.append(_of_file(source, out, style, settings))
    return found


def _in_folder(item: str, out: str | None, style: str, settings: Settings) -> list[Job]:
    """The jobs of what lies in a folder, whose tree is kept."""
    if out is not None and names_a_file(out):
        raise ConfigError(f"{out}: is one file, and {item} a folder; name a folder with -o")
    path = Path(item)
    found = list(find_images(path, READABLE | VIDEOS))
    if not found:
        raise ConfigError(f"{item}: a folder without pictures or videos")
    named = real(path) if path.name in ("", "..") else path
    folder = Path(out) if out else named.with_name(fitting(real(path).name, f"-{style}"))
    return [_job(parse_path(f), folder / f.relative_to(path), settings) for f in found]


def _of_file(source: Source, out: str | None, style: str, settings: Settings) -> Job:
    """The job of a file, a sequence, or standard input."""
    path = source.path
    if out is not None and names_a_file(out):
        job = Job(source, Path(out))
        if out == STDOUT and not job.is_video:
            raise ConfigError(f"{source}: a picture, and only videos go to standard output; name a file with -o")
        moving = out == STDOUT or SEQUENCE.search(job.target.name) or job.target.suffix.lower() in MOVING
        if isinstance(source, Pipe) and not moving:
            raise ConfigError(f"{out}: a picture, and standard input is read as a video; name a file such as painted.mkv")
        return job
    if out and isinstance(source, Pipe):
        raise ConfigError(f"{out}: name a file for what standard input brings (painted.mkv), or - to pass it on")
    if out:
        return _job(source, Path(out) / path.name, settings)
    stem = SEQUENCE.sub("", path.stem) if isinstance(source, Numbered) else path.stem
    stem = stem or real(path.parent).name
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


def _matches(item: str) -> list[Source | str]:
    """What one input stands for; folders by their names. Raises ConfigError for a camera among others, and for what is not
    there."""
    if item != str(Pipe.path) and Path(item).is_dir():
        return [item]
    source = parse(item)
    if isinstance(source, Camera):
        raise ConfigError(f"{item}: is shown live; name it alone")
    if not isinstance(source, File) or source.path.exists():
        return [source]
    matches = sorted(glob.glob(item)) if glob.has_magic(item) else []
    if not matches:
        raise ConfigError(f"{item}: no such file or folder")
    return [match if Path(match).is_dir() else parse_path(Path(match)) for match in matches]


def _job(source: Source, target: Path, settings: Settings) -> Job:
    """With the target's name changed where its format is only read, or where another is asked for."""
    if Job(source, target).is_video:
        if isinstance(source, Pipe):
            return Job(source, Path(STDOUT))
        kind = FORMATS.get(settings.codec or "")
        if kind is not None:
            if kind == ".png" and not SEQUENCE.search(target.name):
                return Job(source, target.with_suffix("") / "%06d.png")
            return Job(source, target.with_suffix(kind))
        return Job(source, target if target.suffix.lower() in MOVING and "%" not in target.name else target.with_suffix(".mkv"))
    return Job(source, target if target.suffix.lower() in WRITABLE else target.with_suffix(".png"))
