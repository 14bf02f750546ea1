"""A long video in parts, painted by several workers at the same time: ranges of the segments that one process makes in turn.

One process (jobs/video.py) encodes every SEGMENT frames by themselves, and can go on from any of them. A part is such a run
that begins and ends in the middle. Once all have ended, the video is joined by a run that resumes, and does what is missing:
so whatever goes wrong in a part costs time only.

Each part is decoded from the first frame on, without seeking, and painted from its own: so frames, their times and
those that are broken are what one process sees, whatever the file. Decoding takes a hundredth of the time of painting.
"""

from __future__ import annotations

import math
from itertools import groupby, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from onestroke.inference.stylizer import Stylizer
from onestroke.jobs.job import Job
from onestroke.jobs.painter import Painter, Report, Watch, run
from onestroke.jobs.render import open_source
from onestroke.jobs.settings import Settings
from onestroke.jobs.video import check_prepared, fingerprint, prepare, until_full
from onestroke.locking import locked
from onestroke.media.encoder import Encoding, Segments
from onestroke.media.opening import count_frames
from onestroke.media.target import SEGMENT, parts_folder, segment_path


def split(stylizer: Stylizer, job: Job, settings: Settings, most: int) -> list[range]:
    """The segments of the job's video that are not there yet, in parts: `most`, or a few more around those that are there.

    None for a video that is short or done. Raises OnestrokeError for what cannot be read, written, or had.
    """
    if settings.resume and job.is_done:
        return []
    folder = parts_folder(job.target)
    with locked(job.target), open_source(job.source, settings) as reader:
        frames = reader.announced or count_frames(job.source)
        if frames < 2 * SEGMENT:
            return []
        encoding = Encoding.choose(job.target.suffix.lower(), settings.codec, settings.quality)
        prepare(job.target, fingerprint(stylizer, job.source, settings, encoding), settings.resume)
        numbers = range(math.ceil(frames / SEGMENT))
        return divide([number for number in numbers if not segment_path(folder, number).is_file()], most)


def divide(numbers: list[int], most: int) -> list[range]:
    """Ascending numbers in `most` parts of about one size, without gaps: where there are any, in more parts."""
    bounds = [len(numbers) * part // most for part in range(most + 1)]
    chunks = [numbers[start:end] for start, end in pairwise(bounds)]
    runs = [list(run) for chunk in chunks for _, run in groupby(enumerate(chunk), lambda item: item[1] - item[0])]
    return [range(run[0][1], run[-1][1] + 1) for run in runs]


def paint_part(stylizer: Stylizer, job: Job, settings: Settings, part: range, watch: Watch) -> Report:
    """Paint these segments of the job's video, but for those that are there, into the folder that `split` made.

    What `watch` stops, or a disk that runs full, leaves the segments that are whole. Raises OnestrokeError, FFmpegError and
    OSError.
    """
    encoding = Encoding.choose(job.target.suffix.lower(), settings.codec, settings.quality)
    check_prepared(job.target, fingerprint(stylizer, job.source, settings, encoding))
    folder, report = parts_folder(job.target), Report()
    # A folder of its own for the segment at work: another worker may have been given the same part, since this one seemed
    # dead; and in the folder of a later run with other settings this one finds nothing to write to.
    with (
        open_source(job.source, settings) as reader,
        TemporaryDirectory(dir=folder, prefix="part-", ignore_cleanup_errors=True) as own,
    ):
        segments = Segments(folder, reader.clip, encoding, part.start, Path(own))
        painter, left = Painter(stylizer, settings, reader.clip), (part.stop - segments.whole) * SEGMENT
        try:
            if left > 0:
                stop = until_full(watch, segments, report)
                run(reader, painter, segments.write, stop, report, segments.whole * SEGMENT, left)
                if not report.stopped and report.frames < part.stop * SEGMENT:  # the video has ended
                    segments.end()
        finally:
            segments.abandon()
    return report
