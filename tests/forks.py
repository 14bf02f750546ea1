"""Commands in processes of their own, which can be killed: parted from one that has read torch and Lightning already.

Reading them takes ten seconds or more, which is most of what a small command takes.
"""

import multiprocessing
import os
import sys
import time
from multiprocessing import Process
from pathlib import Path

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
READ = ["onestroke.cli.main", "onestroke.exporting.onnx", "onestroke.optimization.gatys.synthesis", "onestroke.training.run"]


def _child(log, place, words, before):
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout, sys.stderr = (open(number, "w", buffering=1) for number in (1, 2))  # noqa: PTH123, SIM115
    os.chdir(place)
    exec(before, {})
    from onestroke.cli.main import main

    sys.exit(main(words))


class Command:
    """`onestroke WORDS`, running, once the code `before` has run; `log` is the file that it prints to."""

    def __init__(self, log, *words, before=""):
        self.log = log
        context = multiprocessing.get_context(METHOD)
        context.set_forkserver_preload(READ)
        self.process: Process = context.Process(target=_child, args=(log, Path.cwd(), list(map(str, words)), before))
        self.process.start()

    @property
    def running(self):
        return self.process.is_alive()

    @property
    def said(self):
        return self.log.read_text() if self.log.exists() else ""

    def wait_for(self, ready, seconds=120):
        """Wait until `ready()` is true, or the command has ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.running and not ready():
            time.sleep(0.01)

    def send(self, number):
        """Send a signal, unless it has ended."""
        if self.running:
            os.kill(self.process.pid, number)

    def end(self, seconds=120):
        """Wait for its end: its exit code, -9 after a kill -9."""
        self.process.join(seconds)
        assert not self.running, f"still running after {seconds} s: {self.said}"
        return self.process.exitcode
