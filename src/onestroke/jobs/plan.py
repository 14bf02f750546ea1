"""From inputs on a command line to jobs: one file to read and one to write each."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onestroke.errors import ConfigError
from onestroke.images import READABLE, find_images
from onestroke.jobs.settings import DEFAULT, Settings
from onestroke.media.animation import is_animated, is_picture
from onestroke.media.source import SEQUENCE, STDIN, frame_numbers
from onestroke.media.target import ANIMATIONS, CONTAINERS, FORMATS, STDOUT, parts_folder
from onestroke.saving import WRITABLE, output_format

_VIDEOS = frozenset((*CONTAINERS, ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".m2v", ".m2ts", ".mts", ".3gp", ".3g2", ".ogv",
                     ".vob", ".mxf", ".y4m", ".nut", ".asf", ".h264", ".264", ".hevc", ".ivf"))  # fmt: skip


@dataclass(frozen=True)
class Job:
    """One file to read and one to write."""

    source: Path
    target: Path

    @property
    def is_video(self) -> bool:
        """Whether the source moves: a video, an animation, a numbered sequence, or what no picture's name tells."""
        if self.source.suffix.lower() in ANIMATIONS and self.source.is_file():
            return is_animated(self.source)
        suffix = self.source.suffix.lower()
        known = suffix in READABLE or suffix in _VIDEOS or str(self.source) == STDIN
        return bool(SEQUENCE.search(self.source.name)) or (suffix not in READABLE if known else not is_picture(self.source))


def plan(
    inputs: Sequence[str], out: str | None, style: str, overwrite: bool = False, settings: Settings = DEFAULT
) -> list[Job]:
    """Expand files, folders and glob patterns into jobs.

    A folder keeps its tree. Without `out`, a file goes beside itself and a folder into a new one, both named after the style.
    When resuming, what is done already is left out; what another job writes is never an input. Raises ConfigError where
    nothing matches, two inputs share an output, or an existing file would be replaced unasked.
    """
    jobs: list[Job] = []
    single = out is not None and _names_a_file(out)
    for item in inputs:
        path = Path(item)
        if item != STDIN and path.is_dir():
            if single:
                raise ConfigError(f"{out}: is one file, and {item} a folder; name a folder with -o")
            found = list(find_images(path, READABLE | _VIDEOS))
            named = path.resolve() if path.name in ("", "..") else path
            folder = Path(out) if out else named.with_name(f"{path.resolve().name}-{style}")
            jobs += [_job(f, folder / f.relative_to(path), settings) for f in found]
            if not found:
                raise ConfigError(f"{item}: a folder without pictures or videos")
        else:
            for match in _matches(item):
                beside = match.with_name(f"{SEQUENCE.sub('', match.stem) or match.parent.resolve().name}-{style}{match.suffix}")
                if single:
                    jobs.append(Job(match, Path(out or "")))
                elif out and item == STDIN:
                    raise ConfigError(f"{out}: name a file for what standard input brings (painted.mkv), or - to pass it on")
                else:
                    jobs.append(_job(match, Path(out) / match.name if out else beside, settings))
    if out is not None and not single and len(jobs) == 1 and Path(out).suffix and not Path(out).is_dir():
        output_format(Path(out))  # a file was meant, of a kind that is not written: say so instead of making a folder
    jobs = _apart(jobs)
    written = {job.target.resolve(): job for job in jobs}
    jobs = [job for job in jobs if written.get(job.source.resolve(), job) is job]
    check_targets(jobs, overwrite, settings.resume)
    return [job for job in jobs if not (settings.resume and job.target.exists() and not parts_folder(job.target).exists())]


def _names_a_file(out: str) -> bool:
    path = Path(out)
    known = path.suffix.lower() in (*WRITABLE, *CONTAINERS, *ANIMATIONS)
    return out == STDOUT or (known and not path.is_dir())


def _matches(item: str) -> list[Path]:
    path = Path(item)
    if item == STDIN or SEQUENCE.search(path.name) or path.exists() or not glob.has_magic(item):
        matches = [path]
    else:
        matches = [Path(m) for m in sorted(glob.glob(item))]
    sequence = bool(matches) and bool(SEQUENCE.search(matches[0].name))
    if not matches or not (item == STDIN or sequence or matches[0].exists()):
        raise ConfigError(f"{item}: no such file or folder")
    return matches


def _job(source: Path, target: Path, settings: Settings) -> Job:
    """With the target's name changed where its format is only read, or where another is asked for."""
    if Job(source, target).is_video:
        if source == Path(STDIN):
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
        old, new = job.source.suffix, job.target.suffix
        return job.target.with_suffix(old + new) if times[job.target] > 1 and old.lower() != new.lower() else job.target

    return [Job(job.source, target(job)) for job in jobs]


def check_targets(jobs: Sequence[Job], overwrite: bool, resume: bool) -> None:
    """Raise ConfigError where two jobs share a target, or one would replace a file or a stopped run unasked."""
    seen: dict[Path, Path] = {}
    for job in jobs:
        if job.target == Path(STDOUT):
            continue
        target = job.target.resolve()
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
