"""Where what is slow to make, or to download, is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def cache_folder() -> Path:
    """ONESTROKE_CACHE, or onestroke/ in the user's cache folder."""
    if folder := os.environ.get("ONESTROKE_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "onestroke"
