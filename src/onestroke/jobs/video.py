"""Stylize a video: painted frames go into segments, which are joined with the copied sound at the end."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from onestroke.errors import ConfigError, VideoError, because
from onestroke.files import place, replacing
from onestroke.inference.stylizer import Stylizer
from onestroke.jobs.painter import Painter, Report, Watch, run, shown
from onestroke.jobs.settings import Settings
from onestroke.media.animation import Animation
from onestroke.media.encoder import Encoding, Segments
from onestroke.media.mux import frames_in, join
from onestroke.media.reader import Reader
from onestroke.media.source import File, Source
from onestroke.media.target import NOTE, SEGMENT, parts_folder

_SPARE = 32 << 20  # bytes of disk that must stay free besides what joining needs

KEPT = "what was there before is kept until the new one is whole"


def stylize_video(
    stylizer: Stylizer, reader: Reader | Animation, source: Source, target: Path, settings: Settings, watch: Watch
) -> Report:
    """Paint the open `reader` of `source` into `target`, a video file.

    Frame times, colors, pixel aspect, sound, subtitles and chapters are kept. What `watch` stops, or a disk that runs
    full, leaves a playable file of the frames done, but not in the place of one that was there before; `settings.resume`
    goes on from the last whole segment. Raises VideoError for a target that cannot be written, ConfigError for settings
    that do not fit.
    """
    encoding = Encoding.choose(target.suffix.lower(), settings.codec, settings.quality)
    painter, report = Painter(stylizer, settings, reader.clip), Report()
    folder = parts_folder(target)
    keeps = prepare(target, fingerprint(stylizer, source, settings, encoding), settings.resume)
    segments = Segments(folder, reader.clip, encoding)
    before = segments.whole * SEGMENT
    try:
        run(reader, painter, segments.write, until_full(watch, segments, report), report, before)
        if report.stopped and report.frames < before:  # on the way to where the run before ended: nothing is new
            report.frames, report.resumable = before, True
            return report
        segments.close()
        if report.frames and not (report.stopped and keeps):
            report.notes += _join(reader, segments, target, report)
    except (FFmpegError, OSError) as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else because(error)
        hint = f"; {segments.whole * SEGMENT} frames are safe: make room and add --resume" if segments.whole else ""
        raise VideoError(f"{target}: cannot be written, {why}{hint}") from None
    finally:
        segments.abandon()
        with suppress(OSError):
            _joined(segments, target).unlink()
        segments.rest.unlink(missing_ok=True)
        if not (segments.whole or report.stopped):
            shutil.rmtree(folder, ignore_errors=True)
    if not (report.stopped and report.frames):
        shutil.rmtree(folder, ignore_errors=True)
    if report.stopped and not report.frames:
        raise VideoError(f"{target}: {report.stopped} before the first frame was painted")
    if report.stopped and keeps:
        report.notes.append(KEPT)
    report.resumable = bool(report.stopped)
    return report


def _join(reader: Reader | Animation, segments: Segments, target: Path, report: Report) -> list[str]:
    """Put the parts together under a temporary name, then in place; returns what is to be said about it."""
    times, end = shown(reader, report.frames)
    joined = _joined(segments, target)
    job = joined, segments.files, times, end, reader.clip, segments.encoding, reader.original, reader.painted
    try:
        notes = join(*job, whole=not report.stopped)
    except VideoError:
        _remove_ends(segments)
        raise
    place(joined, target)
    if not report.stopped and reader.announced > report.frames:
        notes.append(f"the file announces {reader.announced} frames, but only {report.frames} can be read")
    if segments.encoding.pixel_format(reader.clip) == "yuv444p":
        odd = f"{reader.clip.width} x {reader.clip.height}"
        notes.append(f"odd size {odd}: stored with full color resolution, which some players refuse; --size evens it")
    return notes


def _remove_ends(segments: Segments) -> None:
    """Remove what was taken for the last segment, but is not, or no longer, since the source could not be read to its end."""
    for path in segments.files:
        if frames_in(path) < SEGMENT:
            path.unlink()


def _joined(segments: Segments, target: Path) -> Path:
    """The target's temporary name."""
    return segments.folder / f"joined{target.suffix.lower()}"


def until_full(watch: Watch, segments: Segments, report: Report) -> Watch:
    """`watch`, noted in the report, and a stop before the disk is too full to join the segments."""

    def stop(done: int, total: int | None) -> bool:
        if watch(done, total):
            report.stopped = "interrupted"
        elif shutil.disk_usage(segments.folder).free < segments.size + _SPARE:
            report.stopped = "the disk is nearly full"
        return bool(report.stopped)

    return stop


def prepare(target: Path, wanted: dict[str, Any], resume: bool) -> bool:
    """Make the folder for the segments, or take up the one that is there where it was made for the same job, whose
    `fingerprint` is `wanted`.

    Returns whether a file that is no part of this job stands at `target`. Raises VideoError where it cannot be written,
    ConfigError where it was made for another job.
    """
    folder = parts_folder(target)
    note = folder / NOTE
    try:
        made = _read(note) if resume else {}
        if not made:
            shutil.rmtree(folder, ignore_errors=True)
            made = wanted | {"keeps": target.exists()}
            with replacing(note) as temporary:
                temporary.write_text(json.dumps(made, indent=1))
    except OSError as error:
        raise VideoError(f"{target}: cannot be written ({because(error)})") from None
    _check(target, wanted, made)
    return bool(made.get("keeps"))


def check_prepared(target: Path, wanted: dict[str, Any]) -> None:
    """Raise ConfigError where there is no folder for segments of the job whose `fingerprint` is `wanted`."""
    _check(target, wanted, _read(parts_folder(target) / NOTE))


def _check(target: Path, wanted: dict[str, Any], made: dict[str, Any]) -> None:
    differing = ", ".join(key for key in wanted if wanted[key] != made.get(key))
    if differing:
        raise ConfigError(f"{target}: the stopped run had another {differing}; give the same, or --overwrite to start over")


def _read(note: Path) -> dict[str, Any]:
    """What a stopped run noted; nothing where there is none, or a torn one."""
    with suppress(FileNotFoundError, ValueError, TypeError):
        return dict(json.loads(note.read_text()))
    return {}


def fingerprint(stylizer: Stylizer, source: Source, settings: Settings, encoding: Encoding | None = None) -> dict[str, Any]:
    """What must be the same for segments of two runs, or pictures without an encoding, to fit together."""
    path = source.path
    state = [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else []
    there = [os.path.abspath(path), *state]  # noqa: PTH100 (links may lead elsewhere on another machine)
    return {
        "source": [source.origin] if isinstance(source, File) and source.origin else there,
        "model": stylizer.card.to_metadata(),
        "strength": settings.strength,
        "keep_colors": settings.keep_colors,
        "size": settings.size,
        "brush": str(settings.brush),
        "steady": settings.steady,
        "rate": str(settings.rate),
        "codec": encoding and encoding.name,
        "quality": encoding and encoding.quality,
        "encoder": str(av.library_versions),
    }
