import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from onestroke import files
from onestroke.errors import ConfigError
from onestroke.files import fitting, hidden, replacing, unfinished
from onestroke.locking import locked

GONE = 2**22 + 1  # more than Linux numbers processes by default


@pytest.fixture(autouse=True)
def fresh():
    files._parts.cache_clear()


@pytest.mark.skipif(os.name == "nt", reason="there is no asking for processes by number there")
def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])  # a zombie, as long as nobody waits for it
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    left, ended = unfinished(tmp_path / "a.png", GONE), unfinished(tmp_path / "a.png", dead.pid)
    elsewhere = hidden(tmp_path / "a.png", f".00000000.{GONE}.part")  # by a process of another machine, which may be running
    others = [elsewhere, unfinished(tmp_path / "b.png", GONE), unfinished(tmp_path / "a.png", os.getppid()),
              *(tmp_path / name for name in (".a.png.x.part", f".a.png.{GONE}.part", "a.png.1.part"))]  # fmt: skip
    for path in (left, ended, *others):
        path.write_text("half")
    with replacing(tmp_path / "a.png") as temporary:
        temporary.write_text("whole")
    assert not left.exists() and not ended.exists() and all(path.exists() for path in others)
    assert (tmp_path / "a.png").read_text() == "whole"
    dead.wait()


def test_long_names_keep_apart_and_fit():
    one, other = fitting("\u65e5" * 90, ".png"), fitting("\u65e5" * 91, ".png")
    assert one != other and one.endswith(".png") and len(os.fsencode(one)) <= 255
    assert fitting("short", ".png") == "short.png"
    assert len(os.fsencode(hidden(Path("x" * 255), ".lock").name)) <= 255


def test_a_lock_is_for_one_run_and_leaves_nothing(tmp_path):
    target = tmp_path / "film.mkv"
    with locked(target), multiprocessing.get_context("spawn").Pool(1) as pool:
        assert "another run is writing it" in pool.apply(second, (target,))
    assert not list(tmp_path.iterdir())
    with locked(target):
        pass


def second(target):
    try:
        with locked(target):
            return "none"
    except ConfigError as error:
        return str(error)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_lock_ends_with_its_process(tmp_path):
    code = "import sys, time, pathlib\nfrom onestroke.locking import locked\n"
    code += "with locked(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match="another run"), locked(tmp_path / "run"):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
    began = time.monotonic()
    with locked(tmp_path / "run"):
        assert time.monotonic() - began < 5
    assert not list(tmp_path.iterdir())
