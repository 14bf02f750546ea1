"""Videos in parts: whatever the file, and whoever dies, the result is that of one process, packet by packet."""

import os
import signal
import sys
import time
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, cycle, islice
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip, picture

from onestroke.cli.main import run
from onestroke.errors import ConfigError, VideoError
from onestroke.jobs import cluster, parts
from onestroke.jobs.cluster import Cluster
from onestroke.jobs.connection import TRIES
from onestroke.jobs.engine import Done
from onestroke.jobs.job import Job
from onestroke.jobs.painter import Report
from onestroke.jobs.parts import divide, paint_part, split
from onestroke.jobs.plan import plan
from onestroke.jobs.render import render
from onestroke.jobs.settings import Settings
from onestroke.jobs.tasks import Task, Tasks
from onestroke.jobs.worker import Worker
from onestroke.media.reader import Reader
from onestroke.media.source import File, parse
from onestroke.media.target import SEGMENT, parts_folder, segment_path

RESUME = Settings(resume=True)
OPEN_GOP = {"x264-params": "open-gop=1:keyint=12:min-keyint=4:bframes=3:b-adapt=0"}


def uneven(count):
    return list(islice(accumulate(cycle([512, 300, 1024, 7, 512, 2000, 511])), count))


def scenes(number, size):
    """Pictures that change as a whole at 20, and twice in a row at 40 and 41, where a part begins, which is one cut."""
    light = 0 if number < 20 else 80 if number < 40 else 150 if number == 40 else 223
    return (picture(number, size) // 8 + light).astype(np.uint8)


def go_on(done, total):
    return False


def packets(path):
    """All that a player gets: of each stream what it is, and of each packet its times and bytes."""
    with av.open(str(path)) as file:
        about = [(s.type, s.codec_context.extradata, s.time_base, s.duration, dict(s.metadata)) for s in file.streams]
        video = file.streams.video[0]
        about += [(video.width, video.height, video.sample_aspect_ratio, video.codec_context.colorspace)]
        found = [(p.stream.index, p.pts, p.dts, p.duration, p.is_keyframe, bytes(p)) for p in file.demux() if p.size]
    return about, found


def in_parts(painter, source, target, settings, most=3):
    """Paint the last part first, then join; the reports of all, and of the joining."""
    job, settings = Job(parse(source), target), replace(settings, resume=True)
    ranges = split(painter, job, settings, most)
    assert len(ranges) == most
    reports = [paint_part(painter, job, settings, part, go_on) for part in reversed(ranges)]
    seen = []
    joined = render(painter, job.source, target, settings, lambda done, total: seen.append(done))
    assert set(seen) == {max(part.stop for part in ranges) * 8}  # nothing is left to paint
    assert list(target.parent.iterdir()) == [target]
    return joined, reports


CLIPS = {
    "uneven times, sound": ("in.mp4", {"sound": True}),
    "open groups of pictures": ("in.mkv", {"options": OPEN_GOP}),
    "a transport stream": ("in.ts", {"sound": True, "options": OPEN_GOP}),
    "turned, wide pixels": ("in.mp4", {"turn": 90, "sample_aspect_ratio": 2}),
    "odd size": ("in.mkv", {"size": (67, 65), "pixels": "yuv444p"}),
    "10 bits of a wide gamut": ("in.mkv", {"pixels": "yuv420p10le", "colorspace": 9, "color_primaries": 9, "color_trc": 16}),
}


@pytest.mark.parametrize("steady", [False, True])
@pytest.mark.parametrize("name", CLIPS)
def test_parts_join_to_what_one_process_makes(painter, tmp_path, short_segments, name, steady):
    file, how = CLIPS[name]
    source = make_clip(tmp_path / file, uneven(70), draw=scenes, **how)
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    target, settings = Path("out.mp4" if file == "in.mp4" else "out.mkv"), Settings(steady=steady)
    one = render(painter, parse(source), tmp_path / "one" / target, settings, go_on)
    joined, reports = in_parts(painter, source, tmp_path / "many" / target, settings)
    assert packets(tmp_path / "many" / target) == packets(tmp_path / "one" / target)
    if target.suffix == ".mp4":  # Matroska draws a number for each file
        assert (tmp_path / "many" / target).read_bytes() == (tmp_path / "one" / target).read_bytes()
    assert joined.frames == one.frames == 70 and len(one.cuts) == 2
    assert sorted(cut for report in (joined, *reports) for cut in report.cuts) == one.cuts


@pytest.mark.parametrize("broken", [23, 24, 25])
def test_broken_frames_around_a_segments_begin_do_not_matter(painter, tmp_path, short_segments, broken):
    times = [40 * i for i in range(40)]
    whole = make_clip(tmp_path / "whole.mkv", times, base=Fraction(1, 1000), codec="mjpeg", pixels="yuvj420p", draw=scenes)
    data = bytearray(whole.read_bytes())
    with av.open(str(whole)) as file:
        packet = [p for p in file.demux(video=0) if p.size][broken]
        at = data.index(bytes(packet))
        data[at : at + packet.size] = b"\0" * packet.size
    (tmp_path / "broken.mkv").write_bytes(data)
    (tmp_path / "many").mkdir()
    one = render(painter, parse(tmp_path / "broken.mkv"), tmp_path / "one.mp4", Settings(steady=True), go_on)
    joined, reports = in_parts(painter, tmp_path / "broken.mkv", tmp_path / "many" / "out.mp4", Settings(steady=True))
    assert (tmp_path / "many" / "out.mp4").read_bytes() == (tmp_path / "one.mp4").read_bytes()
    assert one.repeated == 1 == joined.repeated + sum(report.repeated for report in reports)


def test_only_what_is_missing_is_painted(painter, tmp_path, short_segments):
    source, target = make_clip(tmp_path / "in.mp4", uneven(84)), tmp_path / "out.mp4"
    job, folder = Job(parse(source), target), parts_folder(target)
    assert split(painter, job, RESUME, 4) == [range(2), range(2, 5), range(5, 8), range(8, 11)]
    paint_part(painter, job, RESUME, range(3, 5), go_on)
    times = {path: path.stat().st_mtime_ns for path in folder.glob("0*.mkv")}
    assert len(times) == 2
    assert split(painter, job, RESUME, 3) == [range(3), range(5, 8), range(8, 11)]
    paint_part(painter, job, RESUME, range(3, 6), go_on)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items()) and segment_path(folder, 5).is_file()
    stopped = paint_part(painter, job, RESUME, range(6, 9), lambda done, total: done >= 60)
    assert stopped.stopped and segment_path(folder, 6).is_file() and not segment_path(folder, 7).exists()
    assert sorted(path.name for path in folder.iterdir()) == [*(f"{n:06d}.mkv" for n in (3, 4, 5, 6)), "run.json"]
    with pytest.raises(ConfigError, match="had another strength"):
        paint_part(painter, job, replace(RESUME, strength=0.5), range(9, 10), go_on)
    assert split(painter, job, Settings(), 2) == [range(5), range(5, 11)]  # --overwrite
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_an_end_that_was_none_is_painted_again(painter, tmp_path, short_segments, monkeypatch):
    """A network's disk that fails for a moment looks like a file that ends."""
    job = Job(parse(make_clip(tmp_path / "in.mp4", uneven(44))), tmp_path / "out.mp4")
    render(painter, job.source, tmp_path / "one.mp4", Settings(), go_on)
    first, second = split(painter, job, RESUME, 2)
    frames = Reader.frames
    with monkeypatch.context() as patch:
        patch.setattr(Reader, "frames", lambda reader, skip=0: islice(frames(reader, skip), 13))
        paint_part(painter, job, RESUME, second, go_on)
    paint_part(painter, job, RESUME, first, go_on)
    with pytest.raises(VideoError, match="44 frames can be read, but 39 were painted; run again"):
        render(painter, job.source, job.target, RESUME, go_on)
    seen = []
    render(painter, job.source, job.target, RESUME, lambda done, total: seen.append(done))
    assert seen[0] == 32 and job.target.read_bytes() == (tmp_path / "one.mp4").read_bytes()


def test_a_part_that_another_run_has_done_meanwhile_leaves_nothing(painter, tmp_path, short_segments):
    job = Job(parse(make_clip(tmp_path / "in.mp4", uneven(40))), tmp_path / "out.mp4")
    first, second = split(painter, job, RESUME, 2)
    paint_part(painter, job, RESUME, first, go_on)
    render(painter, job.source, job.target, RESUME, go_on)
    with pytest.raises(ConfigError):
        paint_part(painter, job, RESUME, second, go_on)
    assert job.is_done and split(painter, job, RESUME, 2) == []


def test_what_is_short_or_no_video_is_not_split(painter, tmp_path):
    job = Job(parse(make_clip(tmp_path / "in.mp4", uneven(2 * SEGMENT - 1))), tmp_path / "out.mp4")
    assert split(painter, job, RESUME, 2) == [] and not parts_folder(job.target).exists()
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError):
        split(painter, Job(parse(tmp_path / "bad.mp4"), tmp_path / "out.mp4"), RESUME, 2)


@pytest.mark.parametrize(
    ("numbers", "most", "wanted"),
    [
        ([0, 1, 2, 3, 4], 2, [range(2), range(2, 5)]),
        ([0, 1], 8, [range(1), range(1, 2)]),
        ([0, 1, 4, 5, 6, 9], 2, [range(2), range(4, 5), range(5, 7), range(9, 10)]),
        ([], 2, []),
    ],
)
def test_parts_are_of_one_size_and_have_no_gaps(numbers, most, wanted):
    assert divide(numbers, most) == wanted


def films(folder, *sizes):
    made = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}.mp4"
        path.write_bytes(b"\0" * size)
        made.append(Job(File(path, "video"), folder / "out" / path.name))
    return made


def test_videos_are_split_by_their_share_of_all(tmp_path):
    jobs = films(tmp_path, 10, 1000, 0)
    photo = Job(File(tmp_path / "a.png", "picture"), tmp_path / "out" / "a.png")
    stored = replace(jobs[1], source=File(Path("s3:/in/1.mp4"), "video"), source_url="s3://in/1.mp4", source_size=1000)
    waiting = Tasks([photo, *jobs], 4).waiting
    assert [(task.jobs[0], task.most) for task in waiting] == [(jobs[1], 8), (jobs[0], 1), (jobs[2], 1), (photo, 1)]
    assert [task.most for task in Tasks([jobs[1]], 1).waiting] == [1]
    assert [task.most for task in Tasks([jobs[0], stored], 4).waiting] == [8, 1]
    assert Tasks([jobs[1]], 4).most == 8  # so that as many workers are begun


def test_a_video_is_joined_once_its_parts_have_ended(tmp_path):
    (job,) = films(tmp_path, 100)
    found = Tasks([job], 2)
    assert found.frames == (0, None)
    assert found.settle(found.waiting.popleft(), [range(2), range(2, 5)]) == [] and found.frames == (0, 5 * SEGMENT)
    first, second = found.waiting.popleft(), found.waiting.popleft()
    assert found.settle(second, Report(repeated=2, cuts=[4.0])) == [] and found.frames == (3 * SEGMENT, 5 * SEGMENT)
    assert found.died(first, "why") == [] and found.waiting.popleft() == replace(first, deaths=1)
    found.settle(first, Report(cuts=[1.0]))
    (last,) = found.waiting
    assert last == Task([job], joins=True)
    (done,) = found.settle(last, [Done(job, report=Report(600, 1, [5.0]))])
    assert done.report == Report(600, 3, [1.0, 4.0, 5.0]) and found.frames == (0, None)


def test_a_video_that_kills_workers_is_given_up_once(tmp_path):
    (job,) = films(tmp_path, 100)
    found = Tasks([job], 2)
    found.settle(found.waiting.popleft(), [range(2), range(2, 5), range(5, 6)])
    first, second, third = (found.waiting.popleft() for _ in range(3))
    for _ in range(TRIES - 1):
        assert found.died(second, "why") == []
        second = found.waiting.popleft()
    found.waiting.append(third)
    (done,) = found.died(second, "why")
    assert f"{TRIES} workers died over it" in str(done.error) and not found.waiting
    assert found.died(first, "why") == found.settle(third, Report()) == [] and not found.waiting


LOG = "log"


class Told(Worker):
    """One that notes the parts that it paints, and which of their segments were there before.

    The first part waits for another worker to begin one: both shall have some.
    """

    def paint(self, job, part):
        there = [number for number in part if segment_path(parts_folder(job.target), number).is_file()]
        log, end = job.target.parent.parent / LOG, time.monotonic() + 60
        log.mkdir(exist_ok=True)
        with (log / f"{os.getpid()}").open("a") as file:
            file.write(f"{part.start} {part.stop} {there}\n")
        while not part.start and len(list(log.iterdir())) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        return self.painted(job, part)

    def painted(self, job, part):
        return super().paint(job, part)


class Frail(Told):
    """One that dies in the middle of the second segment of the second part, if no other has."""

    def painted(self, job, part):
        def die(done, total):
            if part.start == 1 and done == 2 * SEGMENT + 50:
                try:
                    (job.target.parent.parent / "died").open("x").close()
                except FileExistsError:
                    return False
                os.kill(os.getpid(), signal.SIGKILL)
            return False

        return parts.paint_part(self._stylizer, job, self._settings, part, die)


def told(folder):
    """(process, first, end, segments that were there) of each part."""
    found = []
    for path in (folder / LOG).iterdir():
        for line in path.read_text().splitlines():
            first, end, there = line.split(" ", 2)
            found.append((path.name, int(first), int(end), there))
    return sorted(found, key=lambda entry: (*entry[1:3], len(entry[3])))


@pytest.fixture
def long(tmp_path):
    """A folder with a video of five segments and a rest, and a scene cut at 300."""
    (tmp_path / "in").mkdir()

    def draw(number, size):
        shown = picture(abs((number + 60) % 120 - 60), size)  # to and fro
        return shown if number < 300 else 255 - shown

    make_clip(tmp_path / "in" / "clip.mp4", uneven(5 * SEGMENT + 20), sound=True, draw=draw)
    return tmp_path / "in"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL there")
@pytest.mark.parametrize("flags", [[], ["--steady"]])
def test_a_cluster_makes_what_one_process_makes(ray, long, painter, tiny, tmp_path, monkeypatch, capsys, flags):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(cluster, "Worker", Frail if flags else Told)
    command = [str(tiny), str(long), "--device", "cpu", *flags]
    assert run("stylize", [*command, "-o", str(tmp_path / "one")]) == 0
    alone = capsys.readouterr().err
    command += ["-o", str(tmp_path / "out"), "--engine", "ray"]
    assert run("stylize", command) == 0
    assert "clip.mp4: 620 frames, 1 scene cuts" in alone and "clip.mp4: 620 frames, 1 scene cuts" in capsys.readouterr().err
    assert (tmp_path / "out" / "clip.mp4").read_bytes() == (tmp_path / "one" / "clip.mp4").read_bytes()
    assert list((tmp_path / "out").iterdir()) == [tmp_path / "out" / "clip.mp4"]
    painted = told(tmp_path)
    assert len({process for process, *_ in painted}) > 1
    again = [(1, 3, "[1]")] if flags else []  # gone on with
    assert [entry[1:] for entry in painted] == [(0, 1, "[]"), (1, 3, "[]"), *again, (3, 4, "[]"), (4, 6, "[]")]
    assert (tmp_path / "died").exists() == bool(flags)
    assert run("stylize", command) == 0 and "nothing left to do" in capsys.readouterr().out


@pytest.mark.slow
def test_a_stopped_cluster_goes_on_with_the_parts_that_are_there(ray, long, painter, tiny, tmp_path, monkeypatch):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(cluster, "Worker", Told)
    out = tmp_path / "out"
    render(painter, parse(long / "clip.mp4"), tmp_path / "one.mp4", Settings(), go_on)
    frames = []

    def watch(done, total):
        frames.append((done, total))
        return done > 0

    with Cluster(tiny, "cpu", None, "") as engine:
        assert list(engine(plan([str(long)], str(out), "dots", settings=RESUME), RESUME, watch)) == []
        assert frames[0] == (0, None) and frames[-1][0] >= SEGMENT and frames[-1][1] == 6 * SEGMENT
        assert not (out / "clip.mp4").exists()
        before = told(tmp_path)
        (done,) = engine(plan([str(long)], str(out), "dots", settings=RESUME), RESUME, go_on)
    assert done.error is None and done.report.frames == 620
    assert all(there == "[]" for *_, there in told(tmp_path)) and len(told(tmp_path)) > len(before)
    assert (out / "clip.mp4").read_bytes() == (tmp_path / "one.mp4").read_bytes()
    assert list(out.iterdir()) == [out / "clip.mp4"]
