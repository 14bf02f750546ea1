"""Does jobs: the protocol of engines, and the one that does them here, in turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from onestroke.errors import ConfigError, ImageError, OnestrokeError, because
from onestroke.images import Picture, check_size, read_image, resized
from onestroke.inference.stylizer import Stylizer
from onestroke.jobs import cloud
from onestroke.jobs.job import Job
from onestroke.jobs.settings import Settings
from onestroke.jobs.shelf import Shelf
from onestroke.saving import check_sides, output_format, save_image

if TYPE_CHECKING:
    from onestroke.jobs.painter import Report, Watch


# Bytes a pixel of a picture, its painting, and what resizing and writing them takes.
_BYTES = 16


@dataclass(frozen=True)
class Done:
    """What became of a job: skipped for an `error`, or done, for videos with a `report`; `notes` are lines for the user."""

    job: Job
    error: OnestrokeError | None = None
    report: Report | None = None
    notes: Sequence[str] = ()


class Engine(Protocol):
    """Where jobs are done: another one fits here (jobs/cluster.py is one).

    It does them in any order, on whatever machines, skips those that fail, and says what became of each, once. A job may be
    done twice, or broken off: its target is a function of its source, and appears whole or not at all.
    """

    def __call__(self, jobs: Sequence[Job], settings: Settings, watch: Watch) -> Iterator[Done]:
        """`watch` is called again and again, with the frames done of the video at hand, or with 0 and None; True stops."""


def stylize_files(stylizer: Stylizer, jobs: Sequence[Job], settings: Settings, watch: Watch) -> Iterator[Done]:
    """Do the jobs in turn, skipping those that fail, whatever they raise. `watch` is called along the frames of videos.

    The size, alpha and metadata of pictures are kept.
    """
    for job in jobs:
        try:
            yield _do(stylizer, job, settings, watch)
        except Exception as error:
            yield Done(job, _told(job, error))


def _told(job: Job, error: Exception) -> OnestrokeError:
    """Any exception as one of ours, which names the file."""
    if isinstance(error, OnestrokeError):
        return error
    if isinstance(error, MemoryError):
        return ImageError(f"{job.reads}: {because(error) or 'too little memory; use a smaller --size'}")
    return OnestrokeError(f"{job.reads}: {type(error).__name__}: {because(error)}")


def _do(stylizer: Stylizer, job: Job, settings: Settings, watch: Watch) -> Done:
    if settings.resume and job.is_done:  # by another run, since the jobs were planned
        return Done(job)
    if not (job.source_url or job.target_url):
        return _do_here(stylizer, job, settings, watch)
    with cloud.at_hand(job) as local:
        shelf = Shelf(job, local)
        shelf.begin(settings.resume)
        done = _do_here(stylizer, local, settings, shelf.keeping(watch))
        notes = [cloud.as_told(note, local, job) for note in done.notes]
        if job.target_url and not (done.report and done.report.stopped):
            cloud.put(local.target, job.target_url)
            try:
                shelf.clear()
            except ConfigError as error:  # a store may take what is put and let nothing be removed: the video is there
                notes.append(str(error))
        return replace(done, job=job, notes=notes)


def _do_here(stylizer: Stylizer, job: Job, settings: Settings, watch: Watch) -> Done:
    if not job.is_video:
        return Done(job, notes=_stylize_picture(stylizer, job, settings))
    from onestroke.jobs.render import render  # FFmpeg and its threads, which a photo does not need

    return Done(job, report=render(stylizer, job.source, job.target, settings, watch))


def _stylize_picture(stylizer: Stylizer, job: Job, settings: Settings) -> Sequence[str]:
    """Returns what is to be said about the picture written."""
    picture = read_image(job.source.path)
    if settings.size:
        picture = _resized(picture, settings.size, job)
    check_sides(job.target, output_format(job.target), picture.rgb.shape[1], picture.rgb.shape[0])
    stylized = stylizer(picture.rgb, settings.strength, settings.keep_colors, settings.brush)
    return save_image(job.target, stylized, like=picture)


def _resized(picture: Picture, longer: int, job: Job) -> Picture:
    """The picture with its longer side at that many pixels. Raises ImageError where there is too little memory for it."""
    height, width = picture.rgb.shape[:2]
    scale = longer / max(height, width)
    try:
        check_size(max(1, round(width * scale)), max(1, round(height * scale)), _BYTES)
    except ImageError as error:
        raise ImageError(f"{job.source}: at --size {longer} {error}") from None
    return resized(picture, longer)
