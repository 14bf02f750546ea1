"""Does jobs in turn; one that fails stops no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onestroke.errors import ImageError, OnestrokeError
from onestroke.images import read_image, resize, resize_to, save_image
from onestroke.inference.stylizer import Stylizer
from onestroke.jobs.painter import Report, Watch
from onestroke.jobs.plan import Job
from onestroke.jobs.render import render
from onestroke.jobs.settings import Settings


@dataclass(frozen=True)
class Done:
    """What became of a job: skipped for an `error`, or done, for videos with a `report`."""

    job: Job
    error: OnestrokeError | None = None
    report: Report | None = None


def stylize_files(stylizer: Stylizer, jobs: Sequence[Job], settings: Settings, watch: Watch) -> Iterator[Done]:
    """Do the jobs in turn, skipping those that fail. `watch` is called along the frames of videos.

    The size, alpha and metadata of pictures are kept.
    """
    for job in jobs:
        try:
            if job.is_video:
                yield Done(job, report=render(stylizer, str(job.source), job.target, settings, watch))
            else:
                _stylize_picture(stylizer, job, settings)
                yield Done(job)
        except OnestrokeError as error:
            yield Done(job, error)
        except MemoryError as error:
            yield Done(job, ImageError(f"{job.source}: {error}"))


def _stylize_picture(stylizer: Stylizer, job: Job, settings: Settings) -> None:
    picture = read_image(job.source)
    if settings.size:
        picture.rgb = resize(picture.rgb, longer=settings.size)
        if picture.alpha is not None:
            picture.alpha = resize_to(picture.alpha, *picture.rgb.shape[:2])
    save_image(job.target, stylizer(picture.rgb, settings.strength, settings.keep_colors, settings.brush), like=picture)
