"""Progress on the terminal: files and frames stylized; steps trained."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from statistics import fmean
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.status import Status

from onestroke.events import Event, Judged, Note, Reading, Stage, Step
from onestroke.interrupt import Interrupt

LINE_EVERY = 50  # steps


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
        if not done and total is None:  # nothing to tell yet
            return self._asked()
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


class TrainingLine:
    """A training's events: a live bar on a terminal, a line every LINE_EVERY steps elsewhere.

    Terms are means of the last LINE_EVERY steps: those of one say more about its photos and strength than about the network.
    While steps are taken, the first Ctrl-C stops after the step at hand, whose state is saved.
    """

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.completed}/{task.total}"), BarColumn(None), TextColumn("{task.description}"),
                   TimeRemainingColumn())  # fmt: skip
        self.console, self.bar = console, Progress(*columns, console=console)
        self.task: TaskID | None = None
        self.reading: Status | None = None
        self.interrupt = Interrupt()
        self.recent: deque[Mapping[str, float]] = deque(maxlen=LINE_EVERY)

    def __enter__(self) -> TrainingLine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def _end(self) -> None:
        if self.reading:
            self.reading.stop()
        if self.task is not None:  # else it would print an empty line
            self.bar.stop()
        self.interrupt.__exit__()

    def show(self, event: Event) -> bool:
        """Show one event; returns whether to stop."""
        match event:
            case Reading():
                self._read(event)
            case Note(text, warning):
                self.console.print(text, style="yellow" if warning else None, markup=False)
            case Stage("training"):
                self.interrupt.__enter__()
            case Stage():
                self._end()
            case Step():
                self._step(event)
            case Judged(step, terms):
                self.console.print(f"step {step}: held-out {_told(terms)}", highlight=False)
        return self.interrupt.asked

    def _read(self, event: Reading) -> None:
        self.reading = self.reading or self.console.status("")
        if event.total:
            self.reading.update(f"reading {event.name}: {event.done}/{event.total} photos")
            self.reading.start()
        else:
            self.reading.stop()

    def _step(self, event: Step) -> None:
        self.recent.append(event.terms)
        last = event.step == event.steps and event.settled
        if event.step % (5 if self.console.is_terminal else LINE_EVERY) and not last:
            return
        terms = {name: fmean(one[name] for one in self.recent if name in one) for name in event.terms if name != "total"}
        text = f"{_told(terms)}  {event.pace:.1f} images/s"
        if self.console.is_terminal:
            if self.task is None:
                self.task = self.bar.add_task("", total=None)
                self.bar.start()
            self.bar.update(self.task, completed=event.step, total=event.steps, description=text)
        else:
            about = "" if event.settled else "about "
            line = f"step {event.step}/{about}{event.steps}  {text}  {event.left:.0f} s left"
            self.console.print(line, highlight=False)


def _told(terms: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in terms.items())
