"""Commands of this program on the machines of a Ray cluster, each in a process of its own that ends with it.

A task runs its command inside the worker, in the folder that the driver was started in, so that a worker that is killed
takes its work along. A command whose worker died is run again here, TRIES times in all: Ray's own retries cannot change the
arguments (`--resume`), and go on for ever where memory is short.
"""

from __future__ import annotations

import io
import os
import platform
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from onestroke.errors import ConfigError, OnestrokeError, because
from onestroke.jobs.connection import TRIES, Division, check_worker, reason, shared_file

_SECONDS = 0.2  # between two looks at whether to stop
# How long the processes that load a dead worker's photos may outlive it, and hold its lock: torch looks every five seconds.
_ORPHANS = 7
_INTERRUPTED = 130

Run = Callable[[str, Sequence[str]], int]


@dataclass(frozen=True)
class Command:
    """What is asked of one task: what it is called here, and its arguments, looked up whenever it is begun."""

    name: str
    arguments: Callable[[], Sequence[str]]


@dataclass(frozen=True)
class Outcome:
    """What became of a command: its exit code, and the lines that it wrote. 130: it was stopped."""

    name: str
    code: int
    lines: Sequence[str]


@dataclass(frozen=True)
class _Order:
    """What all tasks of a run are told: the command line's entry, the verb, where, with how many threads, and how many seconds
    to wait where a worker has died."""

    run: Run
    verb: str
    folder: Path
    shared: Path
    threads: int
    wait: float
    version: str


def run_commands(
    run: Run, verb: str, commands: Sequence[Command], division: Division, folder: Path, stop: Callable[[], bool]
) -> Iterator[Outcome]:
    """Run `run(verb, arguments)` for each command, so many at a time as there are workers; yields as they end.

    folder: what all of them write to, and all machines share. stop: looked at again and again; True interrupts those at
    work, as Ctrl-C does, and begins no others. Raises OnestrokeError where a worker cannot begin.
    """
    import ray

    remote: Any = ray.remote  # whose types do not fit what is unpacked
    task = remote(max_calls=1, max_retries=0, **division.resources)(_in_worker)
    waiting, running, stopped = deque((command, 0) for command in commands), dict[Any, tuple[Command, int]](), False
    with shared_file(folder.absolute()) as shared:
        order = _Order(run, verb, Path.cwd(), shared, division.threads, _ORPHANS, version("onestroke"))
        try:
            while running or waiting:
                if stop() and not stopped:
                    stopped = True
                    for call in running:
                        ray.cancel(call)
                if stopped:
                    waiting.clear()
                while waiting and len(running) < division.workers:
                    command, deaths = waiting.popleft()
                    running[task.remote(order, command.arguments(), deaths)] = command, deaths
                ready, _ = ray.wait(list(running), timeout=_SECONDS) if running else ([], [])
                for call in ready:
                    command, deaths = running.pop(call)
                    if outcome := _outcome(call, command, deaths):
                        yield outcome
                    else:
                        waiting.append((command, deaths + 1))
        finally:
            for call in running:
                ray.cancel(call, force=True)


def _outcome(call: Any, command: Command, deaths: int) -> Outcome | None:
    """What became of a command; None where its worker died and another shall try. Raises OnestrokeError."""
    import ray
    from ray.exceptions import RayError, RayTaskError, TaskCancelledError

    try:
        return Outcome(command.name, *ray.get(call))
    except TaskCancelledError:
        return Outcome(command.name, _INTERRUPTED, [])
    except RayTaskError as error:
        if isinstance(error.cause, OnestrokeError):
            raise error.cause from None
        raise OnestrokeError(f"a worker cannot begin ({reason(error)})") from None
    except RayError as error:  # the worker is gone, or its machine
        if deaths + 1 < TRIES:
            return None
        return Outcome(command.name, 1, [f"{TRIES} workers died over it ({reason(error)})"])


def _in_worker(order: _Order, arguments: Sequence[str], deaths: int) -> tuple[int, list[str]]:
    """Run a command in this process; its exit code and what it wrote. deaths: how many workers have died over it.

    Raises ConfigError for what this machine lacks.
    """
    check_worker(order.version, order.shared)
    try:
        os.chdir(order.folder)
    except OSError:
        raise ConfigError(
            f"{order.folder}: {platform.node()} does not see the folder that the command was given in; use a shared one"
        ) from None
    os.environ["OMP_NUM_THREADS"] = str(order.threads)  # before torch is imported, which reads it
    signal.signal(signal.SIGINT, signal.default_int_handler)  # nohup, among others, turns it off for all processes below
    if deaths:
        time.sleep(order.wait)
    written = io.StringIO()
    with redirect_stdout(written), redirect_stderr(written):
        try:
            code = order.run(order.verb, arguments)
        except Exception as error:  # a fault of this program, which shall stop no other command
            written.write(f"{type(error).__name__}: {because(error)}\n")
            code = 1
    return code, written.getvalue().splitlines()
