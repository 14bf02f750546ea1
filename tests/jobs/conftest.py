"""One Ray cluster for all tests that need one: it takes ten seconds or more to start."""

import os
import secrets
from pathlib import Path

import fsspec
import pytest
from forks import Command

os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # or Ray writes one to the home folder


@pytest.fixture(scope="session")
def ray():
    """Ray, with a cluster of two cores."""
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # at Ray's own 15 they wait for the tests in the other process
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=10**8)
    yield ray
    ray.shutdown()


@pytest.fixture
def workers():
    """A function that finds the processes of this cluster's workers that do what Ray calls `title`: children of a child of
    ours."""

    def find(title):
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and (entry / "cmdline").read_bytes().startswith(title.encode()):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    grandparent = int(Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1])
                    found += [int(entry.name)] * (grandparent == os.getpid())
            except OSError:  # it ended meanwhile
                continue
        return found

    return find


@pytest.fixture
def without_ray(tmp_path):
    """A function that runs a command where Ray is not installed: its exit code, and what it says.

    In a process of its own: threads of a Ray that is there do not survive its absence.
    """

    def start(*words):
        command = Command(tmp_path / "without_ray.log", *words, before="import sys; sys.modules['ray'] = None")
        return command.end(), command.said

    return start


@pytest.fixture
def memory():
    store = fsspec.filesystem("memory")
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]


@pytest.fixture
def short_segments(monkeypatch):
    """Segments of videos are eight frames long."""
    from onestroke.jobs import painter, parts, sequence, tasks, video
    from onestroke.media import encoder

    for module in (encoder, painter, parts, sequence, tasks, video):
        monkeypatch.setattr(module, "SEGMENT", 8)
