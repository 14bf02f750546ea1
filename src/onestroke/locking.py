"""One run at a time on one target: a lock that ends with the process, even by kill -9."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from onestroke.errors import ConfigError, because
from onestroke.files import hidden

_SECONDS = 0.2  # between two looks at whether another run is done


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold `target`, a file or a folder, for this run, by a hidden file beside it that goes with the run.

    Raises ConfigError where another run holds it, or where nothing can be written beside it.
    """
    path = hidden(target, ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = _open(path)
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written ({because(error)})") from None
    if handle is None:
        raise ConfigError(f"{target}: another run is writing it; wait for that one, or name another place")
    with _held(path, handle):
        yield


@contextmanager
def in_turn(target: Path) -> Iterator[None]:
    """As `locked`, but waits for the run that holds it. Raises OSError where nothing can be written beside it."""
    path = hidden(target, ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    while (handle := _open(path)) is None:
        time.sleep(_SECONDS)
    with _held(path, handle):
        yield


@contextmanager
def _held(path: Path, handle: int) -> Iterator[None]:
    try:
        yield
    finally:
        if os.name == "nt":  # where an open file cannot be removed
            os.close(handle)
        with suppress(OSError):
            path.unlink()
        if os.name != "nt":
            os.close(handle)


def _open(path: Path) -> int | None:
    """The locked file, or None where another process holds it. Raises OSError."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _take(handle):
            os.close(handle)
            return None
        # The run before may have removed the file between the two lines above: then this lock holds nothing.
        with suppress(OSError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)


if sys.platform == "win32":
    import msvcrt

    def _take(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import errno
    import fcntl

    def _take(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # a file system without locks: as good as before there were any
            return error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
        return True
