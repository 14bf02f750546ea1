"""One file to read and one to write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onestroke.media.source import File, Source, exists
from onestroke.media.target import parts_folder


@dataclass(frozen=True)
class Job:
    """One file to read and one to write; of what lies in an object store the URLs, and the path is but a name.

    source_size: of a source in a store, its bytes.
    """

    source: Source
    target: Path
    source_url: str = ""
    target_url: str = ""
    source_size: int = 0

    @property
    def is_video(self) -> bool:
        """Whether the source moves."""
        return not (isinstance(self.source, File) and self.source.kind == "picture")

    @property
    def reads(self) -> str:
        """The source, as messages name it."""
        return self.source_url or str(self.source)

    @property
    def writes(self) -> str:
        """The target, as messages name it."""
        return self.target_url or str(self.target)

    @property
    def folder(self) -> str:
        """What the target lies in, as messages name it."""
        return self.target_url.rpartition("/")[0] or str(self.target.parent)

    @property
    def is_done(self) -> bool:
        """Whether the target is there, whole. A store is asked once for all jobs: once for each would cost as results do."""
        return not self.target_url and exists(self.target) and not parts_folder(self.target).exists()
