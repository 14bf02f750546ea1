"""Ctrl-C as a wish that long work grants between two steps, so that what it saves is exact."""

from __future__ import annotations

import signal
from types import TracebackType
from typing import Any


class Interrupt:
    """A context in which the first Ctrl-C sets `asked`, and a second one stops at once (KeyboardInterrupt)."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def _handle(self, number: int, frame: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __enter__(self) -> Interrupt:
        try:
            self._before = signal.signal(signal.SIGINT, self._handle)
        except ValueError:  # not in the main thread, where there is no Ctrl-C to take
            self._before = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None = None, error: BaseException | None = None, trace: TracebackType | None = None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None
