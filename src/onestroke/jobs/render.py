"""One moving picture in, one out: picks the reader and the writer by what the names say."""

from __future__ import annotations

import shutil
from pathlib import Path

from onestroke.errors import ConfigError, VideoError, because
from onestroke.files import replacing
from onestroke.inference.stylizer import Stylizer
from onestroke.jobs.painter import Painter, Report, Watch, named, run, shown
from onestroke.jobs.sequence import stylize_into_pictures
from onestroke.jobs.settings import Settings
from onestroke.jobs.stream import stream
from onestroke.jobs.video import KEPT, stylize_video
from onestroke.locking import locked
from onestroke.media.animation import Animation, AnimationWriter
from onestroke.media.encoder import CODECS
from onestroke.media.reader import Reader
from onestroke.media.source import SEQUENCE, File, Pipe, Source
from onestroke.media.target import ANIMATIONS, STDOUT, check_kind, parts_folder


def render(stylizer: Stylizer, source: Source, target: Path, settings: Settings, watch: Watch) -> Report:
    """Paint the video, animation or numbered sequence `source` into `target`, whose name says the format.

    The target "-" is standard output. Raises VideoError and ConfigError, which a second run on the same target gets too.
    """
    if str(target) == STDOUT:
        return stream(stylizer, source, target, settings, watch)
    with locked(target):
        return _render(stylizer, source, target, settings, watch)


def _render(stylizer: Stylizer, source: Source, target: Path, settings: Settings, watch: Watch) -> Report:
    suffix = target.suffix.lower()
    if SEQUENCE.search(target.name):
        with open_source(source, settings) as reader:
            return stylize_into_pictures(stylizer, reader, source, target, settings, watch)
    check_kind(target)
    if suffix in ANIMATIONS:
        return _to_animation(stylizer, source, target, settings, watch)
    if isinstance(source, Pipe):
        return stream(stylizer, source, target, settings, watch)
    with open_source(source, settings) as reader:
        return stylize_video(stylizer, reader, source, target, settings, watch)


def open_source(source: Source, settings: Settings) -> Reader | Animation:
    """A reader for the file. Raises VideoError."""
    if isinstance(source, File) and source.kind == "animation":
        return Animation(source.path, settings.size)
    return Reader(source, settings.size, settings.rate)


def _to_animation(stylizer: Stylizer, source: Source, target: Path, settings: Settings, watch: Watch) -> Report:
    if settings.codec in CODECS:
        raise ConfigError(f"codec: {settings.codec} does not go into a {target.suffix}; use .mp4 or .mkv, or leave it out")
    report = Report()
    with open_source(source, settings) as reader:
        writer = AnimationWriter(target, reader.clip)
        run(reader, Painter(stylizer, settings, reader.clip), writer.write, named(watch, report), report)
        if not report.frames:
            raise VideoError(f"{target}: {report.stopped} before the first frame was painted")
        if report.stopped and target.exists():
            report.notes.append(KEPT)
        else:
            report.notes += _save(writer, reader, report.frames)
    _mark(target, report)
    return report


def _save(writer: AnimationWriter, reader: Reader | Animation, frames: int) -> list[str]:
    times, end = shown(reader, frames)
    try:
        with replacing(writer.target) as temporary:
            return writer.save(temporary, times, end, reader.loop if isinstance(reader, Animation) else 0)
    except OSError as error:
        raise VideoError(f"{writer.target}: cannot be written ({because(error)})") from None


def _mark(target: Path, report: Report) -> None:
    """Let what was stopped not pass for done: the folder says it, though nothing in it saves a second run any work."""
    folder = parts_folder(target)
    if report.stopped:
        folder.mkdir(exist_ok=True)
    else:
        shutil.rmtree(folder, ignore_errors=True)
