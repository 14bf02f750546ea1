"""Where what is slow to make, or to download, is kept, and how much of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import platformdirs

from onestroke.errors import ConfigError

MOST = 10 * 10**9  # bytes of decoded photos


def cache_folder() -> Path:
    """ONESTROKE_CACHE, or onestroke/ in the user's cache folder. Raises ConfigError where neither is known."""
    if folder := os.environ.get("ONESTROKE_CACHE"):
        return Path(folder)
    try:
        return platformdirs.user_cache_path("onestroke", appauthor=False)
    except RuntimeError:  # neither HOME nor an entry among the users
        raise ConfigError("no home folder is known for what is kept; set ONESTROKE_CACHE to a folder") from None


def photo_folder() -> Path:
    """Where decoded photos are kept."""
    return cache_folder() / "photos"


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.glob("*")) if folder.is_dir() else 0


def bound(folder: Path, used: Path, most: int = MOST) -> None:
    """Delete what was longest not used, with what belongs to it (the same stem), until `most` bytes are left.

    `used` is in use, and stays. A file that another program holds open on Windows stays too.
    """
    with suppress(OSError):
        os.utime(used)
    left = size(folder)
    for path in sorted(folder.glob(f"*{used.suffix}"), key=lambda path: path.stat().st_mtime):
        if left <= most:
            return
        if path.stem != used.stem:
            for part in folder.glob(f"{path.stem}.*"):
                with suppress(OSError):
                    bytes_freed = part.stat().st_size
                    part.unlink()
                    left -= bytes_freed
