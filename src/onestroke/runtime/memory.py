"""How much memory is free, without a package for it."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

UNKNOWN = 4 * 10**9  # bytes, where nothing can be asked


def free_memory() -> int:
    """Bytes that this process may still take: what the system has available, or what a container's limit leaves.

    Where only the size of the memory is known (macOS), half of it counts as free.
    """
    if sys.platform == "win32":
        return _windows()
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
        return min(available, _left_in_container())
    with suppress(OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return UNKNOWN


def _left_in_container() -> int:
    """What cgroups, version 2 or 1, leave to a container; a large number outside of one."""
    for limit, used in (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")):
        with suppress(OSError, ValueError):  # "max" is no number
            folder = Path("/sys/fs/cgroup")
            return max(0, int((folder / limit).read_text()) - int((folder / used).read_text()))
    return sys.maxsize


def _windows() -> int:
    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("all", "available", "a", "b", "c", "d", "e")),
        )

    status = Status(length=ctypes.sizeof(Status))
    known = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined,unused-ignore]
    return int(status.available) if known else UNKNOWN
