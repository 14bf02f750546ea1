"""Stylize a moving picture into numbered ones, each whole in its place as soon as it is painted."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path

from onestroke.images import Picture
from onestroke.inference.stylizer import Stylizer
from onestroke.jobs.painter import Painter, Report, Watch, named, run
from onestroke.jobs.settings import Settings
from onestroke.jobs.video import fingerprint, prepare
from onestroke.media.animation import Animation
from onestroke.media.clip import Frame
from onestroke.media.reader import Reader
from onestroke.media.source import Source, frame_numbers, frame_path, remove_frames
from onestroke.media.target import NOTE, SEGMENT, parts_folder
from onestroke.saving import save_image


def stylize_into_pictures(
    stylizer: Stylizer, reader: Reader | Animation, source: Source, target: Path, settings: Settings, watch: Watch
) -> Report:
    """Paint the open `reader` of `source` into pictures named by the pattern `target`, counted from 1.

    Those of an earlier run go when the first one comes. While it is at work, and where it was stopped, a note beside them
    says of what they are; `settings.resume` goes on with these, in steps of SEGMENT frames, so that each is painted as in
    one run. Raises VideoError, and ConfigError where the stopped run was another.
    """
    frame_path(target, 1)  # no work for a name that cannot be
    report, folder = Report(), parts_folder(target)
    painter, wanted = Painter(stylizer, settings, reader.clip), fingerprint(stylizer, source, settings)
    there = []
    if settings.resume and (folder / NOTE).is_file():
        prepare(target, wanted, resume=True)
        there = frame_numbers(target)
    whole = next((i for i, number in enumerate(there) if number != i + 1), len(there))
    before = whole - whole % SEGMENT
    numbers = count(before + 1)

    def write(frame: Frame) -> None:
        number = next(numbers)
        if number == 1:  # not before: what fails until then leaves all as it was
            prepare(target, wanted, resume=False)
            remove_frames(target)
        save_image(frame_path(target, number), frame.rgb, like=Picture(frame.rgb, frame.alpha))

    run(reader, painter, write, named(watch, report), report, before)
    if report.stopped:
        report.frames = max(report.frames, before)
        report.resumable = report.frames >= SEGMENT
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return report
