"""What optimizing pixels shows on the terminal: a live line with terms, rate and time left; the peak of memory."""

from __future__ import annotations

import sys
from types import TracebackType

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from onestroke.optimization.gatys.synthesis import Progress as Where

LINE_EVERY = 50


class ProgressLine:
    """A bar per scale on a terminal, a line every 50 evaluations elsewhere; notes of the optimizer always."""

    def __init__(self, console: Console) -> None:
        self.console, self.scale, self.seconds, self.earlier = console, -1, 0.0, 0.0
        self.shown = 0
        columns = (TextColumn("{task.fields[where]} {task.completed}/{task.total}"), BarColumn(None),
                   TextColumn("{task.description}"), TimeRemainingColumn())  # fmt: skip
        self.bar = Progress(*columns, console=console) if console.is_terminal else None

    def __enter__(self) -> ProgressLine:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar:
            self.bar.stop()

    def show(self, at: Where) -> None:
        """One step."""
        step, where = at.step, f"scale {at.scale + 1}/{at.scales} {at.size[1]}x{at.size[0]}"
        if at.scale != self.scale:
            self.scale, self.earlier, self.shown = at.scale, self.seconds, 0
            if self.bar:
                self.task = self.bar.add_task("", total=step.steps, where=where)
        self.seconds = self.earlier + step.seconds
        if step.note:
            self.console.print(f"step {step.step}: {step.note}", style="yellow")
        if step.step - self.shown < (5 if self.bar else LINE_EVERY) and step.step < step.steps:
            return
        self.shown = step.step // 5 * 5 if self.bar else step.step // LINE_EVERY * LINE_EVERY
        text = "  ".join(f"{name} {value:.4g}" for name, value in step.terms.items()) + f"  {step.step / step.seconds:.1f}/s"
        if self.bar:
            self.bar.update(self.task, completed=step.step, description=text)
        else:
            left = (step.steps - step.step) * step.seconds / step.step
            self.console.print(f"{where} step {step.step}/{step.steps}  {text}  {left:.0f} s left in this scale")


def peak_memory(device: torch.device) -> int:
    """Megabytes: the device's own peak on a GPU, else the process's (0 where the system does not tell)."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device) / 2**20)
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10))
