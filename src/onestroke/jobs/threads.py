"""Two threads around a loop: one that fetches ahead of it, one that writes behind it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T], depth: int, stop: Callable[[], bool]) -> Generator[T, None, None]:
    """The same items in order, fetched by a thread up to `depth` ahead. Close it when leaving early.

    While it waits for one, `stop` is asked again and again; where it says so, there are no more. A thread that waits for
    a pipe in vain is left behind. What the thread raises is raised here.
    """
    line: queue.Queue[tuple[bool, T | BaseException | None]] = queue.Queue(depth)
    left = threading.Event()

    def fetch() -> None:
        try:
            for item in items:
                if not _put(line, (True, item), left):
                    return
            _put(line, (False, None), left)
        except BaseException as error:
            _put(line, (False, error), left)

    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    try:
        while True:
            try:
                more, item = line.get(timeout=0.2)
            except queue.Empty:
                if stop():
                    return
                continue
            if isinstance(item, BaseException):
                raise item
            if not more:
                return
            yield item  # type: ignore[misc]  # an item, since `more`
    finally:
        left.set()
        thread.join(1)


def _put(line: queue.Queue[T], item: T, left: threading.Event) -> bool:
    """Wait for room; False once the reader has left."""
    while not left.is_set():
        try:
            line.put(item, timeout=0.1)
        except queue.Full:
            continue
        return True
    return False


class Behind(Generic[T]):
    """A thread that gives each item to `write`, at most `depth` behind. What it raises, the next put or the end raises."""

    def __init__(self, write: Callable[[T], None], depth: int) -> None:
        self._line: queue.Queue[tuple[bool, T | None]] = queue.Queue(depth)
        self._write = write
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while True:
            more, item = self._line.get()
            if not more:
                return
            if self._error is None:
                try:
                    self._write(item)  # type: ignore[arg-type]  # an item, since `more`
                except BaseException as error:  # raised where the work is watched; the line is emptied until then
                    self._error = error

    def put(self, item: T) -> None:
        """Queue an item; waits while `depth` are waiting."""
        if self._error is not None:
            raise self._error
        self._line.put((True, item))

    def __enter__(self) -> Behind[T]:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._line.put((False, None))
        self._thread.join()
        if error is None and self._error is not None:
            raise self._error
