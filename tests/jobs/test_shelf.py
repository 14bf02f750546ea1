"""Videos in object stores: stopped ones go on, and parts are painted by many, as in folders."""

from importlib.metadata import version

import pytest
from clips import make_clip

from onestroke.errors import ConfigError
from onestroke.jobs.engine import stylize_files
from onestroke.jobs.plan import plan
from onestroke.jobs.render import render
from onestroke.jobs.settings import Settings
from onestroke.jobs.worker import Order, Worker
from onestroke.media.source import parse

RESUME = Settings(resume=True)
FRAMES, LENGTH = 40, 8


@pytest.fixture
def clip(short_segments, memory, tmp_path):
    """A clip of five segments, here and in the store."""
    made = make_clip(tmp_path / "clip.mp4", [512 * i for i in range(FRAMES)], size=(64, 48), sound=True)
    memory.put(str(made), "/in/clip.mp4")
    return made


@pytest.fixture
def wanted(clip, painter, tmp_path):
    """What one process makes of it in a folder."""
    render(painter, parse(clip), tmp_path / "wanted.mp4", Settings(), go_on)
    return (tmp_path / "wanted.mp4").read_bytes()


def go_on(done, total):
    return False


def painted(painter, watch=go_on, *, resume=True, overwrite=False):
    """What becomes of the clip in the store."""
    settings = Settings(resume=resume)
    jobs = plan(["memory://in"], "memory://out", "dots", overwrite, settings)
    return list(stylize_files(painter, jobs, settings, watch))


def kept(store):
    return sorted(name.removeprefix("/out/") for name in store.find("/out"))


def stopped(painter):
    """A run that ends in its third segment."""
    (done,) = painted(painter, lambda done, total: done == 2 * LENGTH + 3)
    assert done.report.stopped


def test_a_stopped_video_goes_on_from_what_the_store_has(memory, painter, wanted):
    stopped(painter)
    assert kept(memory) == [f".clip.mp4.parts/{name}" for name in ("000000.mkv", "000001.mkv", "run.json")]
    seen = []
    (done,) = painted(painter, lambda done, total: seen.append(done))
    assert done.report.frames == FRAMES and seen[0] == 2 * LENGTH
    assert kept(memory) == ["clip.mp4"] and memory.cat("/out/clip.mp4") == wanted
    assert painted(painter) == []


def test_a_stopped_video_is_not_begun_anew_unasked(memory, painter, wanted):
    stopped(painter)
    with pytest.raises(ConfigError, match=r"memory://out/clip\.mp4: a stopped run lies there; add --resume"):
        painted(painter, resume=False)
    memory.pipe("/out/.clip.mp4.parts/000002.mkv", b"of another run")
    painted(painter, resume=False, overwrite=True)
    assert kept(memory) == ["clip.mp4"] and memory.cat("/out/clip.mp4") == wanted


def test_segments_of_another_version_of_the_source_are_not_taken(memory, clip, painter):
    stopped(painter)
    memory.pipe("/in/clip.mp4", clip.read_bytes() + b"\0")
    (done,) = painted(painter)
    assert "memory://out/clip.mp4: the stopped run had another source" in str(done.error)


def test_a_stored_video_painted_to_a_folder_goes_on_too(painter, wanted, tmp_path):
    settings, out = Settings(resume=True), tmp_path / "out"
    for watch in (lambda done, total: done == 2 * LENGTH + 3, go_on):
        list(stylize_files(painter, plan(["memory://in"], str(out), "dots", True, settings), settings, watch))
    assert (out / "clip.mp4").read_bytes() == wanted and [path.name for path in out.iterdir()] == ["clip.mp4"]


def test_segments_that_nothing_is_known_of_are_not_taken(memory, painter, wanted):
    stopped(painter)
    memory.rm("/out/.clip.mp4.parts/run.json")
    seen = []
    painted(painter, lambda done, total: seen.append(done))
    assert seen[0] == 0 and kept(memory) == ["clip.mp4"] and memory.cat("/out/clip.mp4") == wanted


def test_a_video_is_done_where_its_segments_cannot_be_removed(memory, painter, wanted, monkeypatch):
    """Some stores let clients write and nothing be removed."""
    stopped(painter)

    def denied(*arguments, **options):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(memory), "rm", denied)
    (done,) = painted(painter)
    assert done.error is None and memory.cat("/out/clip.mp4") == wanted
    assert done.notes == ["memory://out/.clip.mp4.parts: cannot be removed (Access Denied)"]


@pytest.fixture
def hired(tiny):
    """A function that opens a worker."""
    workers = []

    def hire(settings):
        order = Order("tiny.onnx", tiny.read_bytes(), "cpu", None, "", settings, ["memory://in"], None, version("onestroke"))
        workers.append(Worker())
        workers[-1].open(order, 1)
        return workers[-1]

    yield hire
    for worker in workers:
        worker.close()


def test_a_worker_starts_over_where_it_is_told_to(memory, painter, wanted, hired):
    memory.pipe("/out/.clip.mp4.parts/000004.mkv", b"of another run")
    memory.pipe("/out/.clip.mp4.parts/run.json", b"{}")
    anew = Settings()
    (job,) = plan(["memory://in"], "memory://out", "dots", True, anew)
    worker = hired(anew)
    assert worker.split(job, 1) == [range(5)] and kept(memory) == [".clip.mp4.parts/run.json"]
    worker.paint(job, range(5))
    assert worker.join(job, False)[0].error is None and memory.cat("/out/clip.mp4") == wanted


def test_workers_share_a_video_by_the_store(memory, wanted, hired):
    (job,) = plan(["memory://in"], "memory://out", "dots", settings=RESUME)
    workers = [hired(RESUME) for _ in range(2)]
    first, second = workers[0].split(job, 2)
    assert (first, second) == (range(2), range(2, 5)) and kept(memory) == [".clip.mp4.parts/run.json"]
    assert workers[1].paint(job, second).frames == FRAMES
    assert kept(memory) == [f".clip.mp4.parts/{name}" for name in ("000002.mkv", "000003.mkv", "000004.mkv", "run.json")]
    workers[0].paint(job, first)
    memory.rm("/out/.clip.mp4.parts/000003.mkv")  # whatever is missing is painted where it is joined
    (done,) = workers[1].join(job, False)
    assert done.error is None and kept(memory) == ["clip.mp4"] and memory.cat("/out/clip.mp4") == wanted
