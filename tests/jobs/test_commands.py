"""Pairs and trainings as tasks of a Ray cluster: the files of the command alone, whatever was killed on the way."""

import os
import signal
import sys
import threading
import time

import pytest
import torch
from PIL import Image

from onestroke.cli import main
from onestroke.cli.cluster import as_arguments
from onestroke.cli.main import run
from onestroke.jobs import commands
from onestroke.jobs.commands import Command, run_commands
from onestroke.jobs.connection import TRIES, Division, divide
from onestroke.optimization.pairs import entries
from onestroke.samples import scenes
from onestroke.training.checkpoint import load_checkpoint

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
RECIPE = ["--style-layers", "relu1_1", "relu2_1", "--content-layers", "relu2_1", "--size", "40", "--smallest", "32",
          "--steps", "8", "--device", "cpu"]  # fmt: skip
SMALL = ["--size", "32", "--batch", "2", "--style-size", "48", "--style-layers", "relu1_2", "relu2_1", "--content-layers",
         "relu2_1", "--device", "cpu", "--val-every", "200", "--network", "tiny"]  # fmt: skip


def pairs(content, painting, out, *more):
    return run("pairs", [str(painting), "--content", str(content), "-o", str(out), *RECIPE, *more])


def train(styles, photos, out, *more):
    return run("train", [*map(str, styles), "--content", str(photos), "--out", str(out), *SMALL, *more])


@pytest.fixture
def styles(painting, tmp_path):
    """Two paintings, a and b."""
    for name, turn in (("a", Image.Transpose.ROTATE_180), ("b", Image.Transpose.ROTATE_90)):
        with Image.open(painting) as picture:
            picture.transpose(turn).save(tmp_path / f"{name}.png")
    return [tmp_path / "a.png", tmp_path / "b.png"]


@pytest.fixture
def meanwhile():
    """A function that starts a thread: once `ready()` is true, it calls `act()`. All must have acted in the end."""
    acted = []

    def start(ready, act):
        def watch():
            until = time.monotonic() + 120
            while time.monotonic() < until and not ready():
                time.sleep(0.01)
            act()
            acted.append(act)

        threads.append(threading.Thread(target=watch))
        threads[-1].start()

    threads = list[threading.Thread]()
    yield start
    for thread in threads:
        thread.join()
    assert len(acted) == len(threads)


def run_quickly(verb, arguments):
    """The command line, but that exports are compared with torch on small pictures, as in the tests' own process."""
    from onestroke.cli.main import run
    from onestroke.exporting import verify

    verify.PARITY_SIZES = ((1, 64, 64), (2, 65, 66))
    return run(verb, arguments)


@pytest.fixture
def quick(ray, monkeypatch):
    """Tasks that neither export at length nor wait for what outlives a dead worker."""
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(main, "run", run_quickly)
    monkeypatch.setattr(commands, "_ORPHANS", 0)


def pictures(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.png")}


def kill(found):
    assert found
    for process in found:
        os.kill(process, signal.SIGKILL)


def weights(folder):
    return load_checkpoint(folder / "last.ckpt")["state_dict"]


@linux
@pytest.mark.slow
def test_pairs_of_a_cluster_are_those_of_one_process(quick, workers, meanwhile, painting, tmp_path, capsys):
    content = tmp_path / "content"
    content.mkdir()
    for i in range(9):
        Image.fromarray(scenes.draw(i, 48)).save(content / f"{i}.png")
    assert pairs(content, painting, tmp_path / "local", "--count", "7") == 0
    out = tmp_path / "out"
    meanwhile(lambda: len(entries(out)) > 1, lambda: kill(workers("ray::_in_worker")[:1]))
    assert pairs(content, painting, out, "--count", "7", "--engine", "ray") == 0
    assert "7 pairs made, 7 in" in capsys.readouterr().out
    assert pictures(out) == pictures(tmp_path / "local")
    assert not list(out.rglob(".*"))
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert pairs(content, painting, out, "--count", "7", "--engine", "ray", "--workers", "1") == 0
    assert "0 pairs made, 7 in" in capsys.readouterr().out
    assert times == {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGINT for one process there")
def test_each_style_trains_as_by_itself_also_after_ctrl_c(quick, unexported, meanwhile, styles, photos, tmp_path, capsys):
    bad, out = tmp_path / "bad.png", tmp_path / "runs"
    bad.write_bytes(b"no picture")
    rows = [out / style.stem / "metrics.csv" for style in styles]
    meanwhile(lambda: any(path.exists() and ",train," in path.read_text() for path in rows),
              lambda: os.kill(os.getpid(), signal.SIGINT))  # fmt: skip
    steps = ("--steps", "80", "--save-every", "1000")
    assert train([*styles, bad], photos, out, "--engine", "ray", *steps) == 130
    told = capsys.readouterr().err
    assert "and saved" in told and "run the same command again" in told and "bad: " not in told
    saved = [path.with_name("last.ckpt") for path in rows if path.exists()]
    assert any(10 <= load_checkpoint(path)["global_step"] < 80 for path in saved if path.exists())

    assert train([*styles, bad], photos, out, "--engine", "ray", *steps) == 1
    told = capsys.readouterr()
    assert "2 of 3 networks in" in told.out and "bad: " in told.err and "bad.png: " in told.err
    assert (out / "b" / "b.onnx").stat().st_size
    assert train(styles[:1], photos, tmp_path / "alone", *steps) == 0
    wanted, found = weights(tmp_path / "alone"), weights(out / "a")
    assert all(torch.equal(found[key], tensor) for key, tensor in wanted.items())
    capsys.readouterr()
    assert train(styles, photos, out, "--engine", "ray", *steps) == 0
    assert "nothing left to do" in capsys.readouterr().out


def die(verb, arguments):
    """In place of the command line."""
    if arguments == ["die"]:
        os.kill(os.getpid(), signal.SIGKILL)
    if arguments == ["raise"]:
        raise ZeroDivisionError("by nothing")
    sys.stderr.write(f"{verb} {arguments[0]}\n")
    return 0


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL there")
def test_what_kills_its_workers_or_fails_stops_nothing_else(quick, tmp_path):
    asked = []

    def arguments(word):
        asked.append(word)
        return [word]

    words = ("raise", "die", "live")
    asking = [Command(word, lambda word=word: arguments(word)) for word in words]
    division = Division(2, "cpu", 2, {"num_cpus": 1})
    found = {outcome.name: outcome for outcome in run_commands(die, "do", asking, division, tmp_path, lambda: False)}
    assert found["live"].code == 0 and found["live"].lines == ["do live"]
    assert found["raise"].code == 1 and found["raise"].lines == ["ZeroDivisionError: by nothing"]
    assert found["die"].code == 1 and f"{TRIES} workers died over it" in found["die"].lines[0]
    assert sorted(asked) == sorted(["raise", "live", *["die"] * TRIES])


@pytest.mark.parametrize(
    ("verb", "more", "told"),
    [
        ("train", ["--engine", "ray", "--devices", "2"], "on one device"),
        ("train", ["--engine", "ray", "--workers", "-1"], "workers: -1"),
        ("train", ["--engine", "ray", "--size", "-4"], "size: -4"),
        ("train", ["--address", "auto"], "add --engine ray"),
        ("pairs", ["--engine", "ray", "--shard", "1/4"], "leave out --shard 1/4"),
        ("pairs", ["--engine", "ray", "--workers", "-1"], "workers: -1"),
        ("pairs", ["--workers", "2"], "add --engine ray"),
    ],
)
def test_what_a_cluster_cannot_be_asked_is_one_line(painting, photos, tmp_path, capsys, verb, more, told):
    assert run(verb, [str(painting), "--content", str(photos), "--out", str(tmp_path / "out"), *more]) == 2
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_two_style_images_of_one_name_are_refused(painting, tmp_path, capsys):
    assert run("train", [str(painting), "elsewhere/Stripes.jpg", "--out", str(tmp_path / "out"), "--engine", "ray"]) == 2
    assert "elsewhere/Stripes.jpg: its run would be in the same folder" in capsys.readouterr().err


def test_without_a_style_image_there_is_nothing_to_share_out(capsys):
    assert run("train", ["--engine", "ray"]) == 2
    assert "name some" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999", "ray://127.0.0.1:1"])
def test_an_address_where_nothing_answers_is_one_line(painting, tmp_path, monkeypatch, capsys, address):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)  # by a test before this one
    assert run("train", [str(painting), "--out", str(tmp_path / "out"), "--engine", "ray", "--address", address]) == 2
    line = capsys.readouterr().err
    assert f"nothing answers at {address}" in line and line.count("\n") == 1


@pytest.mark.parametrize("verb", ["train", "pairs"])
def test_a_missing_ray_is_named(without_ray, verb, painting, photos, tmp_path):
    code, told = without_ray(verb, painting, "--content", photos, "--out", tmp_path / "out", "--engine", "ray")
    assert code == 2 and 'pip install "onestroke[ray]"' in told


def test_flags_become_arguments_again():
    from onestroke.cli.train import parser

    given = ["--style-layers", "relu1_1", "relu2_1", "--rate=0.001", "--title=-- a title", "--workers=-1", "--content="]
    flags = vars(parser().parse_args(given))
    kept = {name: value for name, value in flags.items() if name in ("style_layers", "rate", "title", "workers", "content")}
    assert vars(parser().parse_args(as_arguments(kept))) == flags and len(kept) == 5


@pytest.mark.parametrize(
    ("workers", "most", "wanted"),
    [(0, 100, (24, 1)), (0, 3, (3, 8)), (2, 3, (2, 8)), (4, 3, (3, 8)), (0, 1, (1, 16)), (40, 100, (40, 1))],
)
def test_few_trainings_get_more_cores_each(monkeypatch, workers, most, wanted):
    import ray

    machines = [{"CPU": 16.0, "memory": 64e9}, {"CPU": 8.0, "memory": 64e9}]
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": machine} for machine in machines])
    found = divide("auto", workers, most=most)
    assert (found.workers, found.threads) == wanted and found.memory <= 32_000


def test_trainings_on_gpus_share_their_cores(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 16.0, "GPU": 2.0}}])
    assert divide("auto", most=100).resources == {"num_cpus": 8, "num_gpus": 1.0}
    assert divide("auto", 4, most=100).resources == {"num_cpus": 4, "num_gpus": 0.5}
