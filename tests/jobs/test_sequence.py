"""Numbered pictures, in and out."""

from fractions import Fraction

import pytest
from clips import make_clip, shown

from onestroke.errors import ConfigError, ImageError, VideoError
from onestroke.jobs.plan import plan
from onestroke.jobs.render import render
from onestroke.jobs.settings import Settings
from onestroke.media.source import parse

RESUME = Settings(resume=True)


def go_on(done, total):
    return False


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", [512 * i for i in range(30)], size=(48, 32))


@pytest.fixture
def frames(tmp_path):
    return tmp_path / "frames" / "%04d.png"


def pictures(pattern):
    return {path.name: path.read_bytes() for path in pattern.parent.iterdir() if path.is_file()}


def test_numbered_pictures_in_and_out(painter, clip, frames, tmp_path):
    render(painter, parse(clip), frames, Settings(strength=0.0), go_on)
    assert sorted(p.name for p in frames.parent.iterdir()) == [f"{i:04d}.png" for i in range(1, 31)]
    render(painter, parse(frames), tmp_path / "film.mp4", Settings(rate=Fraction(24)), go_on)
    assert shown(tmp_path / "film.mp4")[0] == [Fraction(i, 24) for i in range(30)]
    (frames.parent / "0007.png").unlink()
    with pytest.raises(VideoError, match="frame 7 of 1 to 30 is missing"):
        render(painter, parse(frames), tmp_path / "gap.mp4", Settings(), go_on)


def test_a_sequence_is_not_overwritten_unasked(painter, clip, tmp_path):
    frames = tmp_path / "100%_%03d.png"
    render(painter, parse(clip), frames, Settings(), go_on)
    assert (tmp_path / "100%_030.png").exists()
    with pytest.raises(ConfigError, match="exists already"):
        plan([str(clip)], str(frames), "dots")
    assert len(plan([str(clip)], str(frames), "dots", overwrite=True)) == 1


def test_a_stopped_sequence_goes_on(painter, clip, frames, tmp_path, short_segments):
    render(painter, parse(clip), tmp_path / "wanted" / "%04d.png", Settings(), go_on)
    report = render(painter, parse(clip), frames, Settings(), lambda done, total: done >= 19)
    assert (report.stopped, report.frames, report.resumable) == ("interrupted", 19, True)
    with pytest.raises(ConfigError, match="a stopped run lies there; add --resume"):
        plan([str(clip)], str(frames), "dots")
    seen = []
    (job,) = plan([str(clip)], str(frames), "dots", settings=RESUME)
    render(painter, job.source, job.target, RESUME, lambda done, total: seen.append(done))
    assert seen[0] == 16 and pictures(frames) == pictures(tmp_path / "wanted" / "%04d.png")
    assert plan([str(clip)], str(frames), "dots", settings=RESUME) == []


def test_a_sequence_that_a_killed_run_left_is_not_done(painter, clip, frames):
    def kill(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(painter, parse(clip), frames, Settings(), kill)
    assert len(plan([str(clip)], str(frames), "dots", settings=RESUME)) == 1


def test_pictures_of_another_run_are_not_gone_on_with(painter, clip, frames, tmp_path):
    render(painter, parse(clip), frames, Settings(), lambda done, total: done >= 19)
    before, other = pictures(frames), make_clip(tmp_path / "other.mp4", [0, 512, 1024])
    with pytest.raises(ConfigError, match="the stopped run had another source"):
        render(painter, parse(other), frames, RESUME, go_on)
    assert pictures(frames) == before


def test_what_fails_or_stops_before_its_first_frame_changes_nothing(painter, clip, frames, monkeypatch):
    render(painter, parse(clip), frames, Settings(), go_on)
    before = pictures(frames)
    assert render(painter, parse(clip), frames, Settings(strength=0.5), lambda done, total: True).stopped

    def too_large(*_):
        raise ImageError("too large")

    monkeypatch.setattr("onestroke.jobs.painter.check_size", too_large)
    with pytest.raises(ImageError, match="too large"):
        render(painter, parse(clip), frames, Settings(), go_on)
    assert pictures(frames) == before and [path.name for path in frames.parent.glob(".*")] == []


def test_nothing_of_a_longer_sequence_is_left(painter, clip, frames, tmp_path):
    render(painter, parse(clip), frames, Settings(), go_on)
    (frames.parent / "cover.png").write_bytes(b"of someone else")
    render(painter, parse(make_clip(tmp_path / "short.mp4", [0, 512, 1024])), frames, Settings(), go_on)
    assert sorted(pictures(frames)) == ["0001.png", "0002.png", "0003.png", "cover.png"]


@pytest.mark.parametrize("target", ["%04d.png", "%d.png"])
def test_a_sequence_is_not_written_over_its_source(painter, clip, frames, target):
    render(painter, parse(clip), frames, Settings(), go_on)
    before = pictures(frames)
    with pytest.raises(ConfigError, match="is the input, whose frames would be replaced; name another place with -o"):
        plan([str(frames)], str(frames.with_name(target)), "dots", overwrite=True)
    assert pictures(frames) == before
