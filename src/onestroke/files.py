"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to: it takes `path`'s place where the block ends well, and is removed where not.

    So a kill, an error or a full disk leaves the old file or the new one. Makes the folders; raises OSError as they do.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        place(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink()


def place(whole: Path, path: Path) -> None:
    """Move the finished file `whole` to `path` on the same disk, over what is there. Raises OSError."""
    with whole.open("rb+") as file:  # a power cut may keep a new name and lose what it names
        os.fsync(file.fileno())
    whole.replace(path)
