import os
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import copied, make_clip, picture, shown
from PIL import Image

from onestroke.cli.main import main as cli
from onestroke.errors import ConfigError, VideoError
from onestroke.inference import stylizer as stylizing
from onestroke.jobs import painter as paint
from onestroke.jobs import video
from onestroke.jobs.plan import plan
from onestroke.jobs.render import render
from onestroke.jobs.settings import Settings
from onestroke.media import encoder as encode
from onestroke.media.reader import Reader
from onestroke.media.source import parse

STEADY = [512 * i for i in range(30)]
UNEVEN = [100, 612, 700, 2048, 2100, 4000, 9000, 9001, 9500, 15000, 15512, 20000]


def go_on(done, total):
    return False


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", STEADY, sound=True)


@pytest.mark.parametrize("times", [STEADY, UNEVEN])
@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "prores"])
def test_every_timestamp_is_kept(painter, tmp_path, times, codec):
    source = make_clip(tmp_path / "in.mp4", times, size=(80, 64))
    target = tmp_path / ("out.mov" if codec == "prores" else "out.mp4")
    report = render(painter, parse(source), target, Settings(codec=codec), go_on)
    assert report.frames == len(times) and not report.stopped and report.notes == []
    assert shown(target)[0] == shown(source)[0] == [Fraction(t, 12800) for t in times]
    with av.open(str(source)) as before, av.open(str(target)) as after:
        if times is STEADY:  # else FFmpeg's writer, with which the source was made, is itself not exact
            assert after.streams.video[0].duration == before.streams.video[0].duration
        assert after.streams.video[0].time_base == before.streams.video[0].time_base


def test_frames_are_the_painted_ones_in_order(painter, clip, tmp_path):
    render(painter, parse(clip), tmp_path / "out.mp4", Settings(quality=1), go_on)
    before, after = shown(clip)[1], shown(tmp_path / "out.mp4")[1]
    for old, new in zip(before, after, strict=True):
        assert np.abs(painter(old).astype(int) - new).mean() < 8  # chroma is halved and compressed
    render(painter, parse(clip), tmp_path / "photo.mp4", Settings(quality=1, strength=0.0), go_on)
    for old, new in zip(before, shown(tmp_path / "photo.mp4")[1], strict=True):
        assert np.abs(old.astype(int) - new).mean() < 3


def test_sound_is_copied_byte_for_byte(painter, clip, tmp_path):
    for name in ("out.mp4", "out.mkv", "out.mov"):
        render(painter, parse(clip), tmp_path / name, Settings(), go_on)
        before, after = copied(clip, "audio"), copied(tmp_path / name, "audio")
        assert [data for _, data in after] == [data for _, data in before]
        assert max(abs(a - b) for (a, _), (b, _) in zip(after, before, strict=True)) < Fraction(1, 999)


def test_a_stream_that_does_not_fit_is_named(painter, tmp_path):
    clip = make_clip(tmp_path / "in.mp4", STEADY, size=(80, 64), sound=True)
    report = render(painter, parse(clip), tmp_path / "out.webm", Settings(), go_on)
    assert len(report.notes) == 1 and "audio stream 1 (aac) does not fit" in report.notes[0]
    assert len(shown(tmp_path / "out.webm")[0]) == 30


@pytest.mark.parametrize(
    ("codec", "name"), [("libopus", "out.mov"), ("flac", "out.mov"), ("flac", "out.ts"), ("libopus", "out.ts")]
)
def test_sound_that_no_player_would_find_again_is_named(painter, tmp_path, codec, name):
    report = render(painter, parse(make_clip(tmp_path / "in.mkv", STEADY, sound=codec)), tmp_path / name, Settings(), go_on)
    with av.open(str(tmp_path / name)) as painted:
        kinds = [stream.type for stream in painted.streams]
    if (codec, name) == ("libopus", "out.ts"):
        assert report.notes == [] and kinds == ["video", "audio"]
    else:
        (note,) = report.notes
        assert f"audio stream 1 ({codec.removeprefix('lib')}) does not fit this container; use .mkv" in note and kinds == [
            "video"
        ]


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_turned_clips_come_out_upright_once(painter, tmp_path, turn):
    source = make_clip(tmp_path / "in.mp4", STEADY[:3], turn=turn, sample_aspect_ratio=Fraction(4, 3))
    target = tmp_path / "out.mp4"
    render(painter, parse(source), target, Settings(strength=0.0, quality=1), go_on)
    with av.open(str(target)) as made:
        frame = next(made.decode(video=0))
        assert frame.rotation == 0
        assert made.streams.video[0].sample_aspect_ratio == (Fraction(4, 3) if turn == 180 else Fraction(3, 4))
    upright = np.rot90(picture(0), turn // 90)  # a display rotation turns against the clock
    assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - upright).mean() < 8


@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "prores"])
def test_odd_sizes_stay(painter, tmp_path, codec):
    source = make_clip(tmp_path / "in.mkv", STEADY[:3], size=(67, 65), pixels="yuv444p")
    target = tmp_path / ("out.mov" if codec == "prores" else "out.mp4")
    report = render(painter, parse(source), target, Settings(codec=codec), go_on)
    assert shown(target)[1][0].shape == (65, 67, 3)
    assert any("odd size 67 x 65" in note for note in report.notes) == (codec in ("h264", "h265"))


@pytest.mark.parametrize(("matrix", "limits"), [(1, 1), (5, 2), (9, 1)])
def test_colors_come_back_and_are_tagged(painter, tmp_path, matrix, limits):
    source = tmp_path / "in.mkv"
    tags = {"colorspace": matrix, "color_range": limits, "color_primaries": matrix, "color_trc": 1}
    make_clip(source, STEADY[:2], pixels="yuv444p", options={"crf": "1"}, **tags)
    render(painter, parse(source), tmp_path / "out.mkv", Settings(strength=0.0, quality=1), go_on)
    with Reader(parse(source)) as before, Reader(parse(tmp_path / "out.mkv")) as after:
        assert before.clip.color == after.clip.color
        assert (after.clip.color.tagged, after.clip.color.full, after.clip.color.primaries) == (matrix, limits == 2, matrix)
        pairs = zip(before.frames(), after.frames(), strict=True)
        assert max(np.abs(a.rgb.astype(int) - b.rgb).mean() for a, b in pairs) < 3


def test_untagged_and_gray_frames_are_tagged_as_computed(painter, tmp_path):
    source = make_clip(tmp_path / "in.mkv", STEADY[:2], size=(1280, 720), options={"crf": "1"})
    render(painter, parse(source), tmp_path / "out.mkv", Settings(strength=0.0, quality=1, size=320), go_on)
    with Reader(parse(source)) as before, Reader(parse(tmp_path / "out.mkv")) as after:
        assert before.clip.color.matrix == after.clip.color.matrix == 1  # BT.709, though 320 x 180 would be guessed BT.601
    Image.fromarray(picture(0)[..., 0]).save(tmp_path / "gray001.png")
    render(painter, parse(tmp_path / "gray%03d.png"), tmp_path / "gray.mp4", Settings(), go_on)
    with av.open(str(tmp_path / "gray.mp4")) as made:
        assert int(next(made.decode(video=0)).colorspace) == 5


def test_size_evens_both_sides(painter, clip, tmp_path):
    render(painter, parse(clip), tmp_path / "out.mp4", Settings(size=33), go_on)
    assert shown(tmp_path / "out.mp4")[1][0].shape == (22, 32, 3)


def test_a_file_cut_short_gives_what_is_there(painter, tmp_path):
    whole = make_clip(tmp_path / "whole.mkv", STEADY)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    report = render(painter, parse(cut), tmp_path / "out.mkv", Settings(), go_on)
    assert 5 < report.frames < 30 and len(shown(tmp_path / "out.mkv")[0]) == report.frames


def test_an_mp4_cut_short_gives_what_is_there_and_says_so(painter, tmp_path):
    """A download that stopped: the index at its beginning announces more than there is."""
    whole = make_clip(tmp_path / "whole.mp4", STEADY, size=(160, 96), options={"crf": "4"})
    first = tmp_path / "first.mp4"
    with av.open(str(whole)) as file, av.open(str(first), "w", options={"movflags": "faststart"}) as out:
        stream = out.add_stream_from_template(file.streams.video[0])
        for packet in file.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(first.read_bytes()[: first.stat().st_size * 2 // 3])
    report = render(painter, parse(cut), tmp_path / "out.mp4", Settings(), go_on)
    assert 5 < report.frames < 30 and len(shown(tmp_path / "out.mp4")[0]) == report.frames
    assert f"announces 30 frames, but only {report.frames} can be read" in " ".join(report.notes)


def test_a_broken_frame_shows_the_one_before(painter, tmp_path):
    """Mpeg-4 part 2 without B-frames: the damaged packet is known."""
    whole = make_clip(
        tmp_path / "whole.mkv", [40 * i for i in range(12)], base=Fraction(1, 1000), codec="mjpeg", pixels="yuvj420p"
    )
    data = bytearray(whole.read_bytes())
    with av.open(str(whole)) as file:
        fifth = [p for p in file.demux(video=0) if p.size][4]
        at = data.index(bytes(fifth))
        data[at : at + fifth.size] = b"\0" * fifth.size
    (tmp_path / "broken.mkv").write_bytes(data)
    report = render(painter, parse(tmp_path / "broken.mkv"), tmp_path / "out.mkv", Settings(quality=1), go_on)
    assert (report.frames, report.repeated) == (12, 1)
    times, frames = shown(tmp_path / "out.mkv")
    assert times == shown(whole)[0]
    assert np.abs(frames[4].astype(int) - frames[3]).mean() < 2 < np.abs(frames[5].astype(int) - frames[3]).mean()


@pytest.mark.parametrize("steady", [False, True])
def test_a_stopped_run_is_playable_and_goes_on_to_the_same_frames(painter, clip, tmp_path, monkeypatch, steady):
    for module in (encode, paint, video):
        monkeypatch.setattr(module, "SEGMENT", 8)
    whole, target = tmp_path / "whole.mp4", tmp_path / "out.mp4"
    render(painter, parse(clip), whole, Settings(steady=steady), go_on)
    report = render(painter, parse(clip), target, Settings(steady=steady), lambda done, total: done >= 19)
    assert (report.stopped, report.frames, report.resumable) == ("interrupted", 19, True)
    assert shown(target)[0] == shown(clip)[0][:19]
    assert 0.6 < len(copied(target, "audio")) / 47 < 0.9  # the sound ends with the pictures
    seen = []
    assert not render(
        painter, parse(clip), target, Settings(resume=True, steady=steady), lambda done, total: seen.append(done)
    ).stopped
    assert seen[0] == 16 and seen[-1] == 30
    for a, b in zip(shown(target)[1], shown(whole)[1], strict=True):
        assert np.array_equal(a, b)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


ENCODE = """
import sys
from fractions import Fraction
from pathlib import Path
sys.path.insert(0, "tests")
from clips import picture
from onestroke.media.clip import Clip, Color, Frame
from onestroke.media.encoder import Encoding, Segments
clip = Clip(80, 64, Fraction(1, 25), Fraction(25), None, Color(5, 5, False))
segments = Segments(Path(sys.argv[1]), clip, Encoding.choose(".mkv", sys.argv[2]))
for number in range(30):
    segments.write(Frame(number, picture(number, (80, 64))))
segments.close()
"""


@pytest.mark.parametrize("codec", ["h264", "h265", "av1", "prores"])
def test_the_same_frames_encode_to_the_same_bytes_whatever_the_memory_held(codec, tmp_path):
    """Else a resumed video has other frames than an uninterrupted one, now and then. (glibc fills memory with a byte.)"""
    made = set()
    for filled in ("85", "170"):
        (tmp_path / filled).mkdir()
        command = [sys.executable, "-c", ENCODE, str(tmp_path / filled), codec]
        subprocess.run(command, env={**os.environ, "MALLOC_PERTURB_": filled, "SVT_LOG": "1"}, check=True, capture_output=True)
        with av.open(str(tmp_path / filled / "rest.mkv")) as file:
            made.add(b"".join(bytes(packet) for packet in file.demux(video=0)))
    assert len(made) == 1


def test_a_killed_run_goes_on_at_the_last_whole_segment(painter, tiny, tmp_path):
    source = make_clip(tmp_path / "in.mp4", [512 * i for i in range(200)], size=(320, 240))
    target, folder = tmp_path / "out.mp4", tmp_path / ".out.mp4.parts"
    command = [sys.executable, "-m", "onestroke.cli.main", "stylize", str(tiny), str(source), "-o", str(target)]
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (folder / "000000.mkv").exists() and run.poll() is None:
        time.sleep(0.01)
    run.kill()
    run.wait()
    assert not target.exists() and (folder / "000000.mkv").exists()
    with pytest.raises(ConfigError, match="--resume"):
        plan([str(source)], str(target), "dots")
    with pytest.raises(ConfigError, match="had another strength"):
        render(painter, parse(source), target, Settings(resume=True, strength=0.5), go_on)
    seen = []
    render(painter, parse(source), target, Settings(resume=True), lambda done, total: seen.append(done))
    assert seen[0] == 120 and shown(target)[0] == shown(source)[0]
    assert not folder.exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_stops_it_leaves_a_playable_file(number, code, tiny, tmp_path):
    source = make_clip(tmp_path / "in.mp4", [512 * i for i in range(250)], size=(320, 240), sound=True)
    target = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "onestroke.cli.main", "stylize", str(tiny), str(source), "-o", str(target)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    part = tmp_path / ".out.mp4.parts" / "open.mkv"
    while not part.exists() and run.poll() is None:
        time.sleep(0.01)
    os.kill(run.pid, number)
    error = run.communicate()[1]
    assert run.returncode == code and "interrupted after" in error and "Traceback" not in error
    times = shown(target)[0]
    assert 0 < len(times) < 250 and times == shown(source)[0][: len(times)]


def test_a_stopped_beginning_is_no_finished_file(painter, clip, tmp_path):
    target = tmp_path / "out.mp4"
    report = render(painter, parse(clip), target, Settings(), lambda done, total: done >= 9)
    assert report.resumable and len(shown(target)[0]) == 9
    assert len(plan([str(clip)], str(target), "dots", settings=Settings(resume=True))) == 1
    assert not render(painter, parse(clip), target, Settings(resume=True), go_on).stopped
    assert len(shown(target)[0]) == 30 and plan([str(clip)], str(target), "dots", settings=Settings(resume=True)) == []


def test_a_stopped_run_leaves_what_it_was_to_replace(painter, tmp_path, monkeypatch):
    for module in (encode, paint, video):
        monkeypatch.setattr(module, "SEGMENT", 8)
    path = make_clip(tmp_path / "clip.mp4", STEADY, sound=True)
    before = path.read_bytes()
    report = render(painter, parse(path), path, Settings(), lambda done, total: done >= 19)
    assert path.read_bytes() == before and "kept" in report.notes[0]
    seen = []
    render(painter, parse(path), path, Settings(resume=True), lambda done, total: seen.append(done))
    assert seen[0] == 16 and path.read_bytes() != before and len(shown(path)[0]) == 30


def test_a_stop_before_new_frames_loses_nothing(painter, tmp_path, monkeypatch):
    for module in (encode, paint, video):
        monkeypatch.setattr(module, "SEGMENT", 8)
    path, target = make_clip(tmp_path / "clip.mp4", STEADY), tmp_path / "out.mp4"
    render(painter, parse(path), target, Settings(), lambda done, total: done >= 19)
    target.unlink()
    frames = Reader.frames

    def slow(reader, skip=0):
        time.sleep(0.6)  # as decoding what was painted before takes
        yield from frames(reader, skip)

    monkeypatch.setattr(Reader, "frames", slow)
    report = render(painter, parse(path), target, Settings(resume=True), lambda done, total: True)
    assert (report.stopped, report.frames, report.resumable) == ("interrupted", 16, True) and not target.exists()
    seen = []
    render(painter, parse(path), target, Settings(resume=True), lambda done, total: seen.append(done))
    assert seen[0] == 16 and len(shown(target)[0]) == 30


def test_a_torn_note_starts_over(painter, clip, tmp_path):
    target = tmp_path / "out.mp4"
    render(painter, parse(clip), target, Settings(), lambda done, total: done >= 9)
    (tmp_path / ".out.mp4.parts" / "run.json").write_text("")
    assert not render(painter, parse(clip), target, Settings(resume=True), go_on).stopped


def test_a_full_disk_ends_in_a_playable_file(painter, clip, tmp_path, monkeypatch, tiny, capsys):
    left = iter([1 << 40] * 11)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(video.shutil, "disk_usage", lambda path: usage._replace(free=next(left, 0)))
    assert cli(["stylize", str(tiny), str(clip), "-o", str(tmp_path / "out.mp4")]) == 2
    assert "the disk is nearly full after 11 frames" in capsys.readouterr().err
    assert len(shown(tmp_path / "out.mp4")[0]) == 11


def test_a_disk_that_refuses_is_one_line(painter, clip, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(encode, "encode", full)
    with pytest.raises(VideoError, match=r"out.mp4: cannot be written, the disk is full"):
        render(painter, parse(clip), tmp_path / "out.mp4", Settings(), go_on)
    assert list(tmp_path.iterdir()) == []


def test_scene_cuts_are_found(painter, tmp_path):
    with av.open(str(tmp_path / "in.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for i in range(20):
            pixels = picture(i) if i < 10 else 255 - picture(i)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        out.mux(stream.encode(None))
    report = render(painter, parse(tmp_path / "in.mp4"), tmp_path / "out.mp4", Settings(), go_on)
    assert report.cuts == pytest.approx([0.4])


def test_a_colon_is_part_of_a_name(painter, clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, "12:30.mp4")
    render(painter, parse("12:30.mp4"), Path("12:31.mp4"), Settings(), go_on)
    assert len(shown("file:12:31.mp4")[0]) == 30


def test_ctrl_c_ends_a_pipe_that_stalls(tiny, tmp_path):
    render_to = tmp_path / "out.mkv"
    whole = make_clip(tmp_path / "in.mkv", [512 * i for i in range(240)], size=(160, 96), options={"crf": "4"}).read_bytes()
    command = [sys.executable, "-m", "onestroke.cli.main", "stylize", str(tiny), "-", "-o", str(render_to)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
        assert run.stdin and run.stderr
        run.stdin.write(whole[: len(whole) * 2 // 3])
        run.stdin.flush()  # and then nothing more, but no end either
        while not list(tmp_path.glob(".out.mkv.*.part")) and run.poll() is None:
            time.sleep(0.01)
        time.sleep(1)
        os.kill(run.pid, signal.SIGINT)
        assert run.wait(30) == 130
        assert b"interrupted after" in run.stderr.read()
    assert 50 < len(shown(render_to)[0]) < 240


def test_pipes(tiny, clip, tmp_path):
    with av.open(str(clip)) as source, av.open(str(tmp_path / "in.mkv"), "w") as out:
        copies = {s.index: out.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                out.mux(packet)
    command = [sys.executable, "-m", "onestroke.cli.main", "stylize", str(tiny), "-", "-o", "-"]
    run = subprocess.run(command, input=(tmp_path / "in.mkv").read_bytes(), capture_output=True, check=True)
    (tmp_path / "out.mkv").write_bytes(run.stdout)
    assert shown(tmp_path / "out.mkv")[0] == shown(tmp_path / "in.mkv")[0]
    assert copied(tmp_path / "out.mkv", "audio") == copied(tmp_path / "in.mkv", "audio")


def test_videos_in_folders_and_one_bad_file(tiny, clip, tmp_path, capsys):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(clip, folder / "deep" / "a.mp4")
    (folder / "b.mp4").write_bytes(b"not a video at all")
    before = {p: p.read_bytes() for p in folder.rglob("*.mp4")}
    assert cli(["stylize", str(tiny), str(folder), "-o", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert "b.mp4: not a video, or a damaged one" in printed.err and "1 of 2" in printed.out
    assert shown(tmp_path / "out" / "deep" / "a.mp4")[0] == shown(clip)[0]
    assert {p: p.read_bytes() for p in before} == before
    assert cli(["stylize", str(tiny), str(folder / "deep"), "-o", str(tmp_path / "out" / "deep"), "--resume"]) == 0
    assert "nothing left to do" in capsys.readouterr().out


def test_what_a_job_writes_is_not_its_input(clip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(clip, "a.mp4")
    shutil.copy(clip, "a-dots.mp4")
    assert plan(["*.mp4"], None, "dots", settings=Settings(resume=True)) == []
    assert [str(job.target) for job in plan(["*.mp4"], None, "dots", overwrite=True)] == ["a-dots.mp4"]
    (tmp_path / "painted").mkdir()
    shutil.copy(clip, "painted/a.mp4")
    jobs = plan(["."], "painted", "dots", overwrite=True)
    assert [str(job.source) for job in jobs] == ["a-dots.mp4", "a.mp4"]
    assert plan(["."], None, "dots")[0].target == tmp_path.with_name(f"{tmp_path.name}-dots") / "a-dots.mp4"


def test_batches_give_the_same_video(painter, clip, tmp_path, monkeypatch):
    render(painter, parse(clip), tmp_path / "one.mkv", Settings(), go_on)
    monkeypatch.setattr(painter.model, "device", "cuda")  # only the choice of batch depends on it
    monkeypatch.setattr(stylizing, "PIXELS_AT_ONCE", 48 * 32 * 7)
    render(painter, parse(clip), tmp_path / "seven.mkv", Settings(), go_on)
    for a, b in zip(shown(tmp_path / "one.mkv")[1], shown(tmp_path / "seven.mkv")[1], strict=True):
        assert np.abs(a.astype(int) - b).mean() < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SOUND", "-o", "x.mp4"], "no video in it, only sound"),
        (["EMPTY", "-o", "x.mp4"], "not a video, or a damaged one"),
        (["CUT", "-o", "x.mp4"], "not a video, or a damaged one"),
        (["CLIP", "-o", "x.mp4", "--codec", "prores"], "prores does not go into a .mp4; use .mov or .mkv"),
        (["CLIP", "-o", "x.mp4", "--codec", "divx"], "codec: unknown 'divx'"),
        (["CLIP", "-o", "x.mp4", "--codec", "gif"], "gif does not go into a .mp4; name a .gif"),
        (["CLIP", "-o", "x.mp4", "--size", "0"], "size: 0 is no size in pixels"),
        (["CLIP", "-o", "x.mp4", "--codec", "h265"], "h265 needs 64 pixels a side, and the frames are 48 x 32; use h264"),
        (["CLIP", "-o", "x.webm"], "av1 needs 64 pixels a side"),
        (["CLIP", "-o", "-", "--codec", "h265"], "h265 needs 64 pixels a side"),
        (["CLIP", "-o", "x.mp4", "--quality", "90"], "quality: 90 is wrong"),
        (["CLIP", "-o", "x.gif", "--codec", "h264"], "h264 does not go into a .gif"),
        (["CLIP", "-o", "x.xyz"], "cannot write .xyz; use .mp4"),
        (["-", "-o", "FOLDER"], "name a file for what standard input brings"),
        (["FOLDER", "-o", "x.mp4"], "is one file, and"),
        (["FOLDER", "-o", "-"], "is one file, and"),
        (["webcam", "-o", "x.mp4"], "shown live and not stored"),
        (["CLIP", "--fps", "0"], "fps: 0 is out of range"),
        (["frames/%03d.png", "-o", "x.mp4"], "no frame of that name"),
        (["CLIP", "-o", "README.md/x.mp4"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, tiny, clip, tmp_path, capfd):
    with av.open(str(tmp_path / "sound.mp4"), "w") as out:
        stream = out.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate = 48000
        out.mux([*stream.encode(frame), *stream.encode(None)])
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])  # the index at its end is lost
    names = {"CLIP": str(clip), "SOUND": str(tmp_path / "sound.mp4"), "EMPTY": str(tmp_path / "empty.mp4")}
    names |= {"CUT": str(tmp_path / "cut.mp4"), "FOLDER": str(tmp_path)}
    given = [str(tmp_path / a) if a.startswith("x.") else names.get(a, a) for a in arguments]
    assert cli(["stylize", str(tiny), *given]) == 2
    error = capfd.readouterr().err
    assert message in error and "Traceback" not in error and len(error.splitlines()) <= 2
    assert not any(p.name.startswith((".x", "x.")) for p in tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_tags_that_are_no_utf8_are_kept_as_they_are(painter, tmp_path, suffix):
    path = make_clip(tmp_path / f"clip{suffix}", STEADY)
    options = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "surrogateescape"}
    tagged = tmp_path / f"tagged{suffix}"
    with av.open(str(path)) as source, av.open(str(tagged), "w", **options) as out:
        out.metadata["title"] = b"Caf\xe9".decode("utf-8", "surrogateescape")
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    assert b"Caf\xe9" in tagged.read_bytes()
    render(painter, parse(tagged), tmp_path / f"out{suffix}", Settings(), go_on)
    assert b"Caf\xe9" in (tmp_path / f"out{suffix}").read_bytes()


@pytest.mark.parametrize("name", ["out.gif", "out/%03d.png"])
def test_what_cannot_be_resumed_is_not_said_to_be(painter, tmp_path, name):
    path = make_clip(tmp_path / "clip.mp4", STEADY)
    report = render(painter, parse(path), tmp_path / name, Settings(), lambda done, total: done >= 2)
    assert report.stopped and not report.resumable
