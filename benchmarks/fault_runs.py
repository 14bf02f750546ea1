"""Commands in processes of their own, which can be killed, and a disk that can be filled."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onestroke.exporting.onnx  # all read once, before the processes part
import onestroke.jobs.render
import onestroke.optimization.pairs
import onestroke.training.run
from onestroke.bundled import path as bundled
from onestroke.cli.main import run as command
from onestroke.files import replacing

HANGS = 300.0  # seconds


def exported(net: Any, card: Any, path: Path, *_: Any) -> Any:
    """Stands in for the export, whose tracing takes six times as long as the training: a bundled model, written like one."""
    with replacing(path) as temporary:
        temporary.write_bytes(bundled("brushwork").read_bytes())
    return card


onestroke.exporting.onnx.export = exported  # type: ignore[assignment]


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (a signal's number, negative, where one ended it), and what it printed."""

    code: int
    said: str


class Run:
    """`onestroke ARGUMENTS`, running. Forked, since importing torch anew would take most of the time."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self.log = log
        self._process = multiprocessing.get_context("fork").Process(target=_child, args=(list(arguments), log))
        self._process.start()

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.is_alive()

    def send(self, number: int, after: float) -> bool:
        """Send a signal after so many seconds; whether the command still ran then."""
        self._process.join(after)
        if not self._process.is_alive():
            return False
        os.kill(self._process.pid or 0, number)
        return True

    def end(self) -> Ended:
        """Wait for its end, for HANGS seconds at most."""
        self._process.join(HANGS)
        hung = self._process.is_alive()
        if hung:
            self._process.kill()
            self._process.join()
        said = self.log.read_text(errors="replace")
        return Ended(self._process.exitcode or 0, said + "\nTraceback: it hung" * hung)


def _child(arguments: list[str], log: Path) -> None:
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    place = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(place, 1)
    os.dup2(place, 2)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1) for number in (1, 2))  # noqa: PTH123, SIM115
    sys.exit(command(arguments[0], arguments[1:]))


@contextlib.contextmanager
def disk(folder: Path, megabytes: int = 64) -> Iterator[bool]:
    """Mount a disk of that size at `folder`; yields False where that is not permitted."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield done
    finally:
        if done:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    """Make a disk "ro" or "rw"."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def fill(path: Path, run: Run) -> None:
    """Write to `path` until its disk is full, and what the run frees too, until the run ends."""
    with path.open("wb", buffering=0) as file:
        until = time.monotonic() + HANGS
        while run.running and time.monotonic() < until:
            for size in (1 << 20, 1 << 12):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)) == size and run.running:
                        pass
            time.sleep(0.005)
