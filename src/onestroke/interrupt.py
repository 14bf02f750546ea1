"""Ctrl-C and SIGTERM as wishes that long work grants between two steps, so that what it saves is exact."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NoReturn


class Terminated(KeyboardInterrupt):
    """SIGTERM, where no work is under way that could grant it."""


class Interrupt:
    """A context in which the first Ctrl-C or SIGTERM sets `asked`; a second Ctrl-C stops at once (KeyboardInterrupt).

    `code` is the exit code that says which: 130 or 143. A second SIGTERM changes nothing, since schedulers send several.
    """

    def __init__(self) -> None:
        self.asked = False
        self.code = 0
        self._before: dict[signal.Signals, Any] = {}

    def _handle(self, number: int, frame: Any) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True
        self.code = self.code or 128 + number

    def __enter__(self) -> Interrupt:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        except ValueError:  # not in the main thread, where there are no signals to take
            pass
        return self

    def __exit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None, trace: TracebackType | None = None
    ) -> None:
        while self._before:
            number, before = self._before.popitem()
            signal.signal(number, before)


@contextmanager
def terminable() -> Iterator[None]:
    """A context in which SIGTERM raises Terminated, so that what is half-written is removed on the way out."""

    def handle(number: int, frame: Any) -> NoReturn:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, handle)
    except ValueError:  # as above
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
