"""What inputs and -o mean, told by the plan alone."""

from fractions import Fraction
from pathlib import Path

import pytest
from clips import make_clip
from PIL import Image

from onestroke.errors import ConfigError, VideoError
from onestroke.jobs.plan import plan
from onestroke.jobs.settings import Settings
from onestroke.media.opening import open_input
from onestroke.media.source import parse


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("photo.png", "50%d.png", "holiday 1/beach.png", "holiday 2/sub/hill.png"):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), "teal").save(path)
    make_clip(tmp_path / "clip.mp4", [0, 512, 1024], size=(48, 32))


def targets(*inputs, out=None, **settings):
    return [job.target.as_posix() for job in plan(inputs, out, "dots", settings=Settings(**settings))]


def test_a_pattern_may_match_folders():
    assert targets("holiday*", out="out") == ["out/beach.png", "out/sub/hill.png"]
    assert targets("h*", "photo.png") == ["holiday 1-dots/beach.png", "holiday 2-dots/sub/hill.png", "photo-dots.png"]


def test_what_is_named_twice_is_done_once():
    assert targets("photo.png", "ph*.png", out="out") == ["out/photo.png"]


@pytest.mark.parametrize("out", ["results.2024/", "results.png/"])
def test_a_slash_means_a_folder(out):
    assert targets("photo.png", out=out) == [out + "photo.png"]


@pytest.mark.parametrize(
    ("source", "out", "target"),
    [
        ("clip.mp4", None, "clip-dots/%06d.png"),
        ("clip.mp4", "out", "out/clip/%06d.png"),
        ("seq/f_%03d.png", "out", "out/f_%03d.png"),
    ],
)
def test_a_video_as_pictures_is_a_folder_of_its_name(source, out, target):
    assert targets(source, out=out, codec="png") == [target]


def test_a_picture_named_like_a_sequence_keeps_its_name():
    assert targets("50%d.png") == ["50%d-dots.png"]


def test_standard_input_may_become_pictures():
    assert targets("-", out="frames/%04d.jpg") == ["frames/%04d.jpg"]


@pytest.mark.parametrize(
    ("inputs", "out", "message"),
    [
        (["photo.png"], "-", "photo.png: a picture, and only videos go to standard output; name a file with -o"),
        (
            ["-"],
            "painted.jpg",
            "painted.jpg: a picture, and standard input is read as a video; name a file such as painted.mkv",
        ),
    ],
)
def test_pictures_do_not_go_through_pipes(inputs, out, message):
    with pytest.raises(ConfigError) as error:
        targets(*inputs, out=out)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codec": "theora"}, "codec: unknown 'theora'"),
        ({"codec": "prores"}, "codec: prores does not go into a .mp4; use .mov or .mkv"),
        ({"quality": 99}, "quality: 99 is wrong; the quality of h264 goes from 0"),
        ({"quality": "18"}, "quality: '18' is no whole number"),
        ({"quality": True}, "quality: True is no whole number"),
        ({"rate": -1}, "rate: -1 is no number of frames a second"),
        ({"rate": "fast"}, "rate: 'fast' is no number of frames a second"),
    ],
)
def test_what_no_video_can_be_is_said_before_anything_is_painted(settings, message):
    with pytest.raises(ConfigError) as error:
        targets("photo.png", "clip.mp4", out="out", **settings)
    assert str(error.value).startswith(message) and not Path("out").exists()


def test_percent_signs_in_folders_of_a_sequence_are_themselves():
    frames = Path("100%d done", "50%_%03d.png")
    frames.parent.mkdir()
    for number in (1, 2):
        Image.new("RGB", (40, 30)).save(str(frames).replace("%03d", f"{number:03d}"))
    with open_input(parse(frames), Fraction(24)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 2


def test_a_video_that_is_not_there_is_said_to_be(tmp_path):
    with pytest.raises(VideoError, match=r"none\.mp4: no such file$"):
        open_input(parse(tmp_path / "none.mp4"), None)
