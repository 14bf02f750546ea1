"""Shards: together they are all files, apart they share none."""

import pytest
from PIL import Image

from onestroke.cli.main import run
from onestroke.config.shard import Shard
from onestroke.errors import ConfigError
from onestroke.jobs.plan import plan


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(40):
        Image.new("RGB", (32, 32), (i, 2 * i, 90)).save(tmp_path / "in" / f"{i}.png")
    return tmp_path / "in"


def test_shards_part_the_files_whatever_else_is_there(folder, tmp_path):
    jobs = plan([str(folder)], str(tmp_path / "out"), "style")
    parts = [plan([str(folder)], str(tmp_path / "out"), "style", shard=Shard.parse(f"{i}/3")) for i in (1, 2, 3)]
    assert sorted(job.target for part in parts for job in part) == sorted(job.target for job in jobs)
    assert all(part for part in parts)
    (folder / "7.png").unlink()
    fewer = plan([str(folder)], str(tmp_path / "out"), "style", shard=Shard.parse("2/3"))
    assert [job.target for job in fewer] == [job.target for job in parts[1] if job.target.name != "7.png"]


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", ""])
def test_a_wrong_shard_is_named(part):
    with pytest.raises(ConfigError, match="shard"):
        Shard.parse(part)


def test_two_machines_paint_everything_once(folder, tmp_path, model):
    out = tmp_path / "out"
    assert run("stylize", [str(model), str(folder), "-o", str(out), "--shard", "1/2", "--device", "cpu"]) == 0
    first = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert 0 < len(first) < 40
    assert run("stylize", [str(model), str(folder), "-o", str(out), "--shard", "2/2", "--device", "cpu"]) == 0
    assert len(list(out.iterdir())) == 40
    assert {name: (out / name).stat().st_mtime_ns for name in first} == first
