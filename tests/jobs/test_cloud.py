"""Folders in object stores: the same results as on the disk, put whole; against memory, and a real server that speaks S3."""

import socket
import subprocess
import sys
import time

import fsspec
import pytest
from clips import make_clip
from PIL import Image

from onestroke.cli.main import run
from onestroke.config.shard import Shard
from onestroke.errors import ConfigError, OnestrokeError
from onestroke.jobs import cloud
from onestroke.jobs.engine import Done, stylize_files
from onestroke.jobs.failures import write_failures
from onestroke.jobs.plan import plan
from onestroke.jobs.settings import Settings
from onestroke.samples import scenes


@pytest.fixture
def folder(tmp_path):
    """Pictures, an animation and a broken file."""
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for i in range(4):
        Image.fromarray(scenes.draw(i, 64)).save(tmp_path / "in" / ("deep" if i % 2 else ".") / f"{i}.png")
    frames = [Image.fromarray(scenes.draw(i, 48)) for i in range(3)]
    frames[0].save(tmp_path / "in" / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "in" / "still.gif")
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    return tmp_path / "in"


RESULTS = ["0.png", "2.png", "deep/1.png", "deep/3.png", "moving.gif", "still.gif"]


def names(store, root):
    return sorted(name.removeprefix(root).lstrip("/") for name in store.find(root))


def test_a_store_gets_what_a_folder_gets(memory, folder, tmp_path, tiny, capsys):
    memory.put(str(folder), "/photos", recursive=True)
    local, how = tmp_path / "out", ["--device", "cpu"]
    assert run("stylize", [str(tiny), str(folder), "-o", str(local), *how]) == 1
    capsys.readouterr()
    assert run("stylize", [str(tiny), "memory://photos/", "-o", "memory://painted", *how]) == 1
    told = capsys.readouterr()
    assert "memory://photos/broken.jpg: damaged" in told.err and "6 of 7 files in memory://painted" in told.out
    assert names(memory, "/painted") == RESULTS
    for name in RESULTS:
        if name != "still.gif":  # by its content a picture, in a folder; in a store it is not looked into
            assert memory.cat(f"/painted/{name}") == (local / name).read_bytes()
    assert Image.open(memory.open("/painted/still.gif")).size == (48, 48)


def test_from_a_store_to_a_folder_and_back(memory, folder, tmp_path, tiny):
    memory.put(str(folder), "/photos", recursive=True)
    assert run("stylize", [str(tiny), "memory://photos", "-o", str(tmp_path / "out")]) == 1
    assert sorted(p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.*")) == RESULTS
    assert run("stylize", [str(tiny), str(folder / "0.png"), "-o", "memory://back"]) == 0
    assert memory.cat("/back/0.png") == (tmp_path / "out" / "0.png").read_bytes()
    assert run("stylize", [str(tiny), "memory://photos/0.png", "-o", f"file://{tmp_path}/one%20more"]) == 0
    assert (tmp_path / "one more" / "0.png").read_bytes() == memory.cat("/back/0.png")


def test_nothing_is_replaced_unasked_and_resume_leaves_out_what_is_there(memory, folder, tiny, capsys):
    memory.put(str(folder), "/photos", recursive=True)
    memory.pipe("/painted/0.png", b"mine")
    arguments = [str(tiny), "memory://photos", "-o", "memory://painted"]
    assert run("stylize", arguments) == 2
    assert "memory://painted/0.png: exists already" in capsys.readouterr().err
    assert names(memory, "/painted") == ["0.png"]
    assert run("stylize", [*arguments, "--resume"]) == 1
    assert names(memory, "/painted") == RESULTS and memory.cat("/painted/0.png") == b"mine"
    assert run("stylize", [*arguments, "--overwrite"]) == 1
    assert memory.cat("/painted/0.png") != b"mine"


def test_a_result_that_came_in_the_meantime_is_left(folder, tmp_path, painter):
    settings = Settings(resume=True)
    jobs = plan([str(folder / "0.png")], str(tmp_path / "out" / "0.png"), "dots", settings=settings)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "0.png").write_bytes(b"another run's")
    assert [done.error for done in stylize_files(painter, jobs, settings, lambda *_: False)] == [None]
    assert (tmp_path / "out" / "0.png").read_bytes() == b"another run's"


def test_names_in_a_store_do_not_lead_out_of_a_folder(memory):
    for name in ("/in/a.png", "/in/.hidden/b.png", "/in/deep/.c.png", "/in/notes.txt"):
        memory.pipe(name, b"x")
    memory.store["/in/../../up.png"] = memory.store["/in/a.png"]
    assert cloud.find("memory://in", {".png"}) == {"memory://in/a.png": ("a.png", 1)}
    assert cloud.find("memory://in/a.png") == {"memory://in/a.png": ("a.png", 1)}
    assert "memory://in/.hidden/b.png" in cloud.find("memory://in", hidden=True)
    assert cloud.find("memory://elsewhere") == {}


def test_shards_part_a_store(memory):
    for i in range(20):
        memory.pipe(f"/in/{i}.png", b"x")
    parts = [plan(["memory://in"], "memory://out", "s", shard=Shard.parse(f"{i}/3")) for i in (1, 2, 3)]
    assert all(parts) and sorted(job.target_url for part in parts for job in part) == sorted(
        f"memory://out/{i}.png" for i in range(20)
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["memory://in"], "name a folder to write to with -o"),
        (["memory://in", "-o", "memory://out/a.png"], "name a folder"),
        (["memory://in", "-o", "memory://out", "--codec", "png"], "name a local folder"),
        (["memory://nothing", "-o", "out"], "no pictures or videos there"),
        (["https://example.org/a.png", "-o", "out"], "not a place that can be used"),
        (["memory://in", "-o", "ftp://example.org/out"], "not a place that can be used"),
    ],
)
def test_what_a_store_cannot_be_asked_is_one_line(memory, tiny, tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    memory.pipe("/in/a.png", b"x")
    assert run("stylize", [str(tiny), *arguments]) == 2
    line = capsys.readouterr().err
    assert told in line and line.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["fsspec.core", "s3fs"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)  # where it was imported before
    with pytest.raises(ConfigError, match=r'pip install "onestroke\[cloud\]"'):
        cloud.check("s3://bucket/photos")


def test_failures_are_lines_beside_the_results_until_there_are_none(memory, tmp_path):
    job = plan_one(memory)
    failed = [Done(job, OnestrokeError("memory://in/a.png: broken"))]
    for folder, read in (("memory://out", lambda: memory.cat("/out/failures.jsonl").decode()),
                         (str(tmp_path), lambda: (tmp_path / "failures.jsonl").read_text())):  # fmt: skip
        write_failures(folder, Shard(), failed)
        assert read() == '{"source": "memory://in/a.png", "error": "memory://in/a.png: broken"}\n'
        write_failures(folder, Shard(), [])
        write_failures(folder, Shard(), [])
        with pytest.raises(FileNotFoundError):
            read()
    assert write_failures(str(tmp_path), Shard(1, 8), failed) == str(tmp_path / "failures-2-of-8.jsonl")


def plan_one(memory):
    memory.pipe("/in/a.png", b"x")
    return plan(["memory://in"], "memory://out", "s")[0]


@pytest.fixture(scope="module")
def s3():
    """A server that speaks S3, in a process of its own, and a bucket in it; by the client's own settings it is Amazon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    patch = pytest.MonkeyPatch()
    for name, value in (("ENDPOINT_URL", f"http://127.0.0.1:{port}"), ("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret"),
                        ("DEFAULT_REGION", "us-east-1")):  # fmt: skip
        patch.setenv(f"AWS_{name}", value)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 60
            while time.monotonic() < until and server.poll() is None:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            store = fsspec.filesystem("s3", use_listings_cache=False)
            store.mkdir("photos")
            store.mkdir("painted")
            yield store
        finally:
            server.kill()
            patch.undo()


@pytest.mark.slow
def test_s3_to_s3(s3, folder, tmp_path, tiny, capsys):
    make_clip(folder / "clip.mp4", [512 * i for i in range(6)], size=(64, 48))
    s3.put(f"{folder}/", "photos/in/", recursive=True)
    assert run("stylize", [str(tiny), str(folder), "-o", str(tmp_path / "out"), "--device", "cpu"]) == 1
    arguments = [str(tiny), "s3://photos/in", "-o", "s3://painted/out", "--device", "cpu", "--resume"]
    capsys.readouterr()
    assert run("stylize", arguments) == 1
    assert "s3://photos/in/broken.jpg: damaged" in capsys.readouterr().err
    assert names(s3, "painted/out") == sorted([*RESULTS, "clip.mp4"])
    for name in RESULTS[:5]:
        assert s3.cat(f"painted/out/{name}") == (tmp_path / "out" / name).read_bytes()
    before = {name: s3.info(f"painted/out/{name}")["LastModified"] for name in RESULTS}
    s3.rm("painted/out/0.png")
    assert run("stylize", arguments) == 1
    after = {name: s3.info(f"painted/out/{name}")["LastModified"] for name in RESULTS}
    assert [name for name in RESULTS if after[name] != before[name]] in ([], ["0.png"])
    assert s3.cat("painted/out/0.png") == (tmp_path / "out" / "0.png").read_bytes()


@pytest.mark.slow
def test_a_store_that_refuses_is_one_line(s3, tiny, capsys):
    assert run("stylize", [str(tiny), "s3://no-such-bucket/in", "-o", "s3://painted/out"]) == 2
    assert "s3://no-such-bucket/in" in capsys.readouterr().err
