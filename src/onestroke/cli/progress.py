"""Progress of stylising on the terminal: files done, and frames, their rate and the time left within a video."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Lines:
    """A bar for files where there are several, and one for the frames of the video at hand. `asked`: whether to stop."""

    def __init__(self, console: Console, files: int, asked: Callable[[], bool]) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"), TimeRemainingColumn())
        self._bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._asked, self._files, self._done = asked, files, 0
        self._all = self._bars.add_task("painting", total=files, count="", visible=files > 1)
        self._video: TaskID | None = None
        self._began, self._skipped = 0.0, 0

    def __enter__(self) -> Lines:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def frames(self, done: int, total: int | None) -> bool:
        """Called along the frames of a video; returns whether to stop."""
        if self._video is None:
            self._video = self._bars.add_task("frames", total=total, count="", completed=done)
            self._began, self._skipped = time.monotonic(), done
        rate = (done - self._skipped) / max(time.monotonic() - self._began, 1e-6)
        count = f"{done}/{total or '?'}  {rate:.1f} fps"
        self._bars.update(self._video, completed=done, total=max(done, total) if total else None, count=count)
        return self._asked()

    def file(self) -> None:
        """Called after each file."""
        if self._video is not None:
            self._bars.remove_task(self._video)
            self._video = None
        self._done += 1
        self._bars.update(self._all, completed=self._done, count=f"{self._done}/{self._files} files")
