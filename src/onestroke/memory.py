"""How much memory is free. Our own, since psutil does not see the limit of a container."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
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
        return min(available, _left_in_container(), _left_of_addresses())
    with suppress(OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return UNKNOWN


def _left_in_container() -> int:
    """What cgroups, version 2 or 1, leave to a container; a large number outside of one.

    Files that were read count as used there, though they give way: those not in use (inactive) are free.
    """
    for folder, limit, used, cached in (
        ("", "memory.max", "memory.current", "inactive_file"),
        ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        group = _CGROUPS / folder
        with suppress(OSError, ValueError):  # "max" is no number
            left = int((group / limit).read_text()) - int((group / used).read_text())
            stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            return max(0, left + int(stat.get(cached, 0)))
    return sys.maxsize


def _left_of_addresses() -> int:
    """What `ulimit -v`, as schedulers set it, leaves to this process; a large number where it sets nothing."""
    import resource  # not on Windows

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return max(0, limit - pages * os.sysconf("SC_PAGE_SIZE"))


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
