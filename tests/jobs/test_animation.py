import numpy as np
import pytest
from clips import picture, shown
from PIL import Image

from onestroke.cli.main import main as cli
from onestroke.jobs.job import Job
from onestroke.jobs.plan import plan
from onestroke.jobs.render import render
from onestroke.jobs.settings import Settings
from onestroke.media.source import parse

DELAYS = [100, 50, 200, 70, 1000]


def go_on(done, total):
    return False


def make_animation(path, loop=3, alpha=False, delays=DELAYS):
    frames = []
    for number in range(len(delays)):
        image = Image.fromarray(picture(number * 9))
        if alpha:
            image.putalpha(Image.fromarray(np.where(picture(number)[..., 0] > 80, 255, 0).astype(np.uint8)))
        frames.append(image)
    options = {"lossless": True} if path.suffix == ".webp" else {}
    if path.suffix == ".gif" and alpha:
        options = {"disposal": 2}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=delays, loop=loop, **options)
    return path


def read(path):
    """(delays, loop, frames as RGBA) of an animation."""
    with Image.open(path) as image:
        delays, frames = [], []
        for number in range(image.n_frames):
            image.seek(number)
            frames.append(np.asarray(image.convert("RGBA")))
            delays.append(round(image.info["duration"]))
        return delays, image.info.get("loop"), frames


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_frames_timing_loop_and_alpha_are_kept(painter, tmp_path, kind, alpha):
    source, target = make_animation(tmp_path / f"in.{kind}", alpha=alpha), tmp_path / f"out.{kind}"
    assert render(painter, parse(source), target, Settings(), go_on).frames == len(DELAYS)
    before, after = read(source), read(target)
    assert after[:2] == before[:2] == (DELAYS, 3)
    for old, new in zip(before[2], after[2], strict=True):
        assert np.array_equal(new[..., 3], old[..., 3])
        seen = old[..., 3] > 0
        wanted = painter(np.ascontiguousarray(old[..., :3])).astype(int)
        assert np.abs(wanted - new[..., :3])[seen].mean() < 12  # a GIF has 256 colors


def test_from_one_kind_to_another(painter, tmp_path):
    source = make_animation(tmp_path / "in.gif", loop=0)
    render(painter, parse(source), tmp_path / "out.webp", Settings(size=24), go_on)
    delays, loop, frames = read(tmp_path / "out.webp")
    assert (delays, loop, frames[0].shape) == (DELAYS, 0, (16, 24, 4))
    render(painter, parse(source), tmp_path / "out.mp4", Settings(), go_on)
    assert [round(float(t) * 1000) for t in shown(tmp_path / "out.mp4")[0]] == [0, 100, 150, 350, 420]
    render(painter, parse(tmp_path / "out.mp4"), tmp_path / "back.gif", Settings(), go_on)
    assert read(tmp_path / "back.gif")[:2] == (DELAYS, 0)


def test_transparency_over_white_where_a_video_has_none(painter, tmp_path):
    source = make_animation(tmp_path / "in.png", alpha=True)
    render(painter, parse(source), tmp_path / "out.mkv", Settings(quality=1), go_on)
    clear = read(source)[2][0][..., 3] == 0
    assert shown(tmp_path / "out.mkv")[1][0][clear].mean() > 240
    render(painter, parse(source), tmp_path / "out.mov", Settings(codec="prores"), go_on)
    render(painter, parse(tmp_path / "out.mov"), tmp_path / "back.png", Settings(strength=0.0), go_on)
    assert np.abs(read(tmp_path / "back.png")[2][0][..., 3].astype(int) - np.where(clear, 0, 255)).mean() < 4


def test_a_play_once_gif_stays_one(painter, tmp_path):
    source = make_animation(tmp_path / "in.gif", loop=None)
    render(painter, parse(source), tmp_path / "out.gif", Settings(), go_on)
    assert read(tmp_path / "out.gif")[1] is None


def test_still_and_moving_pictures_in_one_folder(tiny, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    make_animation(folder / "moves.gif")
    Image.fromarray(picture(0)).save(folder / "still.gif")
    Image.fromarray(picture(0)).save(folder / "still.webp")
    jobs = plan([str(folder)], str(tmp_path / "out"), "s")
    assert [job.target.name for job in jobs] == ["moves.gif", "still.png", "still.webp"]
    assert plan([str(folder / "moves.gif")], None, "s", settings=Settings(codec="webp")) == [
        Job(parse(folder / "moves.gif"), folder / "moves-s.webp")
    ]
    assert cli(["stylize", str(tiny), str(folder), "-o", str(tmp_path / "out")]) == 0
    assert read(tmp_path / "out" / "moves.gif")[:2] == (DELAYS, 3)


def test_a_cut_animation_keeps_its_count(painter, tmp_path):
    source = make_animation(tmp_path / "in.png")
    cut = tmp_path / "cut.png"
    cut.write_bytes(source.read_bytes()[: source.stat().st_size * 2 // 3])
    report = render(painter, parse(cut), tmp_path / "out.png", Settings(), go_on)
    assert report.frames == len(DELAYS) and report.repeated >= 1


def test_a_gif_shows_no_frame_for_less_than_browsers_do(painter, tmp_path):
    source = make_animation(tmp_path / "in.png", delays=[17] * 20)  # 60 frames a second
    render(painter, parse(source), tmp_path / "out.gif", Settings(), go_on)
    delays, _, frames = read(tmp_path / "out.gif")
    assert min(delays) >= 20 and sum(delays) == pytest.approx(17 * 20, abs=20) and len(frames) < 20


def test_what_was_stopped_is_not_taken_for_done(painter, tmp_path):
    source, target = make_animation(tmp_path / "in.gif"), tmp_path / "out.gif"
    report = render(painter, parse(source), target, Settings(), lambda done, total: done >= 2)
    assert (report.stopped, len(read(target)[0])) == ("interrupted", 2)
    again = plan([str(source)], str(target), "s", settings=Settings(resume=True))
    assert again == [Job(parse(source), target)]
    whole = render(painter, parse(source), target, Settings(resume=True), go_on)
    assert not whole.stopped and read(target)[0] == DELAYS
    assert plan([str(source)], str(target), "s", settings=Settings(resume=True)) == []
    assert render(painter, parse(source), target, Settings(), lambda done, total: done >= 2).stopped
    assert read(target)[0] == DELAYS  # a stub does not replace what is whole, nor pass for what was asked for
    assert plan([str(source)], str(target), "s", settings=Settings(resume=True)) == again


def test_two_kinds_of_one_name_stay_apart(tmp_path):
    for name in ("a.gif", "a.png"):
        Image.fromarray(picture(0)).save(tmp_path / name)
    jobs = plan([str(tmp_path)], str(tmp_path / "out"), "s")
    assert [job.target.name for job in jobs] == ["a.gif.png", "a.png"]


@pytest.mark.parametrize(("kind", "most"), [("gif", 655_350), ("webp", 16_777_215), ("png", 20_000_000)])
def test_delays_and_loops_that_a_format_cannot_hold(painter, tmp_path, kind, most):
    """They become the longest and the most that it can, and the report says so."""
    source = make_animation(tmp_path / "in.png", loop=70_000, delays=[20_000_000, 20_000_000])
    report = render(painter, parse(source), target := tmp_path / f"out.{kind}", Settings(), go_on)
    delays, loop, _ = read(target)
    assert delays == [most, most] and loop == (70_000 if kind == "png" else 65_535)
    assert bool(report.notes) == (kind != "png")


def test_frames_of_a_millisecond_become_a_webm(painter, tmp_path):
    source = make_animation(tmp_path / "in.webp", delays=[1, 1, 1, 1])
    render(painter, parse(source), tmp_path / "out.webm", Settings(size=96), go_on)
    times, frames = shown(tmp_path / "out.webm")
    assert len(frames) == 4 and float(times[-1]) == pytest.approx(0.003)
