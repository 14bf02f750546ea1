"""A Ray cluster of two workers on this machine: what dies in it, of itself or by kill -9, costs nothing but time."""

import json
import os
import signal
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from clips import make_clip
from PIL import Image

from onestroke.cli.main import run
from onestroke.errors import ConfigError, ModelError
from onestroke.inference.brush import AUTO
from onestroke.jobs import cluster
from onestroke.jobs.cluster import Cluster
from onestroke.jobs.connection import TRIES, divide
from onestroke.jobs.engine import stylize_files
from onestroke.jobs.plan import plan
from onestroke.jobs.settings import Settings
from onestroke.jobs.worker import Order, Worker
from onestroke.samples import scenes

COUNT = 60
SETTINGS = Settings(resume=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    (folder / "deep").mkdir()
    for i in range(COUNT):
        Image.fromarray(scenes.draw(i, 64)).save(folder / ("deep" if i % 2 else ".") / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def wanted(folder, painter, tmp_path_factory):
    """What the local engine makes of it."""
    out = tmp_path_factory.mktemp("local")
    jobs = plan([str(folder)], str(out), "dots")
    assert not any(done.error for done in stylize_files(painter, jobs, SETTINGS, lambda *_: False))
    return contents(out)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
def test_a_worker_killed_in_the_middle_costs_nothing(ray, workers, folder, wanted, tiny, tmp_path, capsys):
    out = tmp_path / "out"
    jobs = plan([str(folder)], str(out), "dots", settings=SETTINGS)
    results = []
    with Cluster(tiny, "auto", None, "") as engine:
        assert engine.workers == 2
        for done in engine(jobs, SETTINGS, lambda *_: False):
            results.append(done)
            if len(results) == 5:
                victims = workers("ray::Worker")
                assert len(victims) == 2
                os.kill(victims[0], signal.SIGKILL)
    assert [done.error for done in results] == [None] * COUNT
    assert sorted(done.job.target for done in results) == sorted(job.target for job in jobs)
    assert contents(out) == wanted  # and nothing beside it

    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    command = [str(tiny), str(folder), "-o", str(out), "--engine", "ray"]
    assert run("stylize", command) == 0
    assert "nothing left to do" in capsys.readouterr().out
    for path in list(times)[::7]:
        path.unlink()
    assert run("stylize", command) == 0
    kept = [path for path in list(times) if path not in list(times)[::7]]
    assert contents(out) == wanted and all(path.stat().st_mtime_ns == times[path] for path in kept)


@pytest.mark.slow
def test_a_stopped_run_is_gone_on_with(ray, folder, wanted, tiny, tmp_path):
    out = tmp_path / "out"
    jobs = plan([str(folder)], str(out), "dots", settings=SETTINGS)
    results = []
    with Cluster(tiny, "cpu", None, "") as engine:
        for done in engine(jobs, SETTINGS, lambda *_: len(results) > 9):
            results.append(done)
        assert 9 < len(results) < COUNT
        again = plan([str(folder)], str(out), "dots", settings=SETTINGS)
        for done in engine(again, SETTINGS, lambda *_: False):
            assert done.error is None
    assert contents(out) == wanted


class Frail(Worker):
    """One that dies over a picture."""

    def do(self, jobs, again):
        if any(job.source.path.name == "poison.png" for job in jobs):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().do(jobs, again)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL there")
def test_what_kills_its_workers_is_given_up_and_listed(ray, tiny, tmp_path, monkeypatch, capsys):
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(cluster, "Worker", Frail)
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for i in range(40):
        Image.fromarray(scenes.draw(i, 48)).save(folder / ("poison.png" if i == 20 else f"{i}.png"))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    make_clip(folder / "clip.mp4", [512 * i for i in range(6)], size=(64, 48))
    assert run("stylize", [str(tiny), str(folder), "-o", str(out), "--engine", "ray"]) == 1
    assert "40 of 42 files" in capsys.readouterr().out
    assert len(list(out.glob("*.png"))) == 39 and (out / "clip.mp4").stat().st_size
    lines = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert sorted(line["source"] for line in lines) == [str(folder / "broken.jpg"), str(folder / "poison.png")]
    assert f"{TRIES} workers died over it" in max(lines, key=lambda line: line["source"])["error"]
    (folder / "broken.jpg").unlink()
    (folder / "poison.png").unlink()
    assert run("stylize", [str(tiny), str(folder), "-o", str(out), "--engine", "ray"]) == 0
    assert not (out / "failures.jsonl").exists()


@pytest.mark.slow
def test_workers_that_cannot_begin_say_why(ray, folder, tiny, tmp_path, capsys):
    flags = [str(folder), "-o", str(tmp_path / "out"), "--engine", "ray"]
    assert run("stylize", [str(tiny), *flags, "--device", "cuda"]) == 2
    assert "counts no GPU for cuda" in capsys.readouterr().err
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    jobs = plan([str(folder)], str(tmp_path / "out"), "dots")
    with Cluster(bad, "cpu", None, "") as engine, pytest.raises(ModelError, match=r"bad.onnx: not an ONNX model"):
        list(engine(jobs, SETTINGS, lambda *_: False))


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--engine", "ray"], "name one with -o"),
        (["--engine", "ray", "-o", "a.png"], "name one with -o"),
        (["--engine", "ray", "-o", "out", "--workers", "-1"], "workers: -1"),
        (["--workers", "2"], "add --engine ray"),
    ],
)
def test_what_a_cluster_cannot_be_asked_is_one_line(folder, tiny, capsys, flags, told):
    assert run("stylize", [str(tiny), str(folder), *flags]) == 2
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1


def test_a_missing_ray_is_named(without_ray, folder, tiny, tmp_path):
    code, told = without_ray("stylize", tiny, folder, "-o", tmp_path / "out", "--engine", "ray")
    assert code == 2 and 'pip install "onestroke[ray]"' in told


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"shared": Path("/nowhere/.x")}, "/nowhere: .* does not see this folder"), ({"version": "0.0.1"}, "install the same"),
     ({"places": ["ftp://host/x"]}, "cannot be used"), ({"device": "cuda"}, "cuda")],
)  # fmt: skip
def test_a_machine_that_lacks_something_does_not_begin(tiny, monkeypatch, wrong, told):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    order = {"name": "dots.onnx", "model": tiny.read_bytes(), "device": "cpu", "memory": None, "style": "",
             "settings": Settings(brush=AUTO), "places": [], "shared": None, "version": version("onestroke")}  # fmt: skip
    with pytest.raises(ConfigError, match=told):
        Worker().open(Order(**(order | wrong)), 1)


@pytest.mark.parametrize(
    ("device", "workers", "wanted"),
    [("auto", 0, (3, 1, {"num_cpus": 1, "num_gpus": 1.0})), ("cuda", 12, (12, 4, {"num_cpus": 1, "num_gpus": 0.25})),
     ("cpu", 0, (24, 16, {"num_cpus": 1})), ("cpu", 4, (4, 4, {"num_cpus": 1}))],
)  # fmt: skip
def test_workers_share_what_there_is(monkeypatch, device, workers, wanted):
    import ray

    machines = [{"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}, {"CPU": 64.0}]
    nodes = [{"Alive": number < 2, "Resources": resources} for number, resources in enumerate(machines)]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    found = divide(device, workers)
    assert (found.workers, found.share, found.resources) == wanted
