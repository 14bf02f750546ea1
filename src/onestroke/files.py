"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

_LONGEST = 255  # bytes of a file's name, almost everywhere


def check_file(path: str | Path) -> None:
    """Raise OSError for what no file can be read from; what is not there passes, for whoever opens it to say.

    That is a folder, and a named pipe or a device, which would be waited for, or read, for ever.
    """
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 (Path.stat is the same, but for text)
    except OSError:
        return
    if stat.S_ISDIR(mode):
        if not os.access(path, os.R_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "a folder that may not be looked into", str(path))
        raise IsADirectoryError(errno.EISDIR, "a folder, where a file was expected", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "a pipe or a device, where a file was expected", str(path))


def fitting(name: str, ending: str) -> str:
    """`name` and `ending`, as one file name that is not too long: what does not fit becomes a few digits of its hash."""
    room = _LONGEST - len(os.fsencode(ending))
    whole = os.fsencode(name)
    if len(whole) <= room:
        return name + ending
    digits = "~" + hashlib.sha256(whole).hexdigest()[:8]
    kept = name
    while kept and len(os.fsencode(kept)) > room - len(digits):
        kept = kept[:-1]
    return kept + digits + ending


def hidden(path: Path, ending: str) -> Path:
    """A name beside `path` that listings leave out: .NAME and `ending`."""
    return path.with_name(fitting(f".{path.name}", ending))


@lru_cache(1)
def _machine() -> str:
    """A few digits for this machine, or container: processes of others that share the folder may have the same numbers."""
    name = platform.node()
    with suppress(OSError):
        name += str(Path("/proc/self/ns/pid").readlink())
    return f"{zlib.crc32(name.encode()):08x}"


def unfinished(path: Path, process: int) -> Path:
    """The hidden name beside `path` that a process of this machine writes to."""
    return hidden(path, f".{_machine()}.{process}.part")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to: it takes `path`'s place where the block ends well, and is removed where not.

    So a kill, an error or a full disk leaves the old file or the new one. Makes the folders; raises OSError as they do.
    """
    with passing(path) as temporary:
        yield temporary
        place(temporary, path)


@contextmanager
def passing(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to, which is removed after the block; what a kill left under such a name is
    removed by the next one who writes there. Makes the folders; raises OSError as they do."""
    temporary = unfinished(path, os.getpid())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left(path)
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink()


def _remove_left(path: Path) -> None:
    """Remove the temporary files of `path` whose writers, on this machine, are gone."""
    for name, process in _parts(path.parent):
        if name == unfinished(path, process).name and not _runs(process):
            with suppress(OSError):
                path.with_name(name).unlink()


@lru_cache(16)
def _parts(folder: Path) -> list[tuple[str, int]]:
    """This machine's temporary files that lay in a folder when this process first wrote there, with their writers."""
    ours = re.compile(rf"\..*\.{_machine()}\.(\d{{1,9}})\.part", re.S)
    with suppress(OSError), os.scandir(folder) as entries:
        return [(entry.name, int(match[1])) for entry in entries if (match := ours.fullmatch(entry.name))]
    return []


def look_again() -> None:
    """Forget which temporary files lay in folders, since a process that wrote there has died meanwhile."""
    _parts.cache_clear()


def _runs(process: int) -> bool:
    """Whether there is such a process on this machine; True where that cannot be known."""
    if os.name == "nt":  # os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    with suppress(OSError):  # one that has ended, and whose parent has not looked yet
        return not re.search(r"\) Z [^)]*$", Path(f"/proc/{process}/stat").read_text(errors="replace"))
    return True


def place(whole: Path, path: Path) -> None:
    """Move the finished file `whole` to `path` on the same disk, over what is there. Raises OSError."""
    with whole.open("rb+") as file:  # a power cut may keep a new name and lose what it names
        os.fsync(file.fileno())
    whole.replace(path)
