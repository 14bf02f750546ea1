"""What happens around the steps: checkpoints, Ctrl-C, previews, metrics.csv, progress."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from onestroke.atomic import replacing
from onestroke.config import TrainConfig
from onestroke.errors import Diverged, TrainingError, because
from onestroke.fast.module import HOLD, StyleModule, to_float
from onestroke.images import Array, save_image
from onestroke.interrupt import Interrupt

TERMS = ("total", "style", "content", "tv", "steady", "pixel", "feature")  # the last two where pairs teach
PACE = 20  # steps that tell the pace, and more than loading processes work ahead
COLUMNS = ("step", "part", *TERMS, "rate", "seconds")


def held_out(trainer: pl.Trainer) -> dict[str, Tensor]:
    """The last objective on held-out photos, by term."""
    return {name.removeprefix("val/"): v for name, v in trainer.callback_metrics.items() if name.startswith("val/")}


def done(trainer: pl.Trainer) -> bool:
    """Whether the last step is over."""
    return trainer.max_steps >= 0 and trainer.global_step >= trainer.max_steps


class Checkpoint(pl.Callback):
    """Writes `path` before the first step, every `every` steps and at the end, atomically: what resuming starts from."""

    def __init__(self, path: Path, every: int) -> None:
        self.path, self.every, self.saved = path, every, -1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A first state to go back to."""
        if not self.path.exists():
            self.save(trainer)

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Every so often, and after the last step."""
        if trainer.global_step % self.every == 0 or trainer.should_stop or done(trainer):
            self.save(trainer)

    def save(self, trainer: pl.Trainer) -> None:
        """To a temporary name, then a rename: a kill at any moment leaves the old or the new checkpoint whole.

        Raises Diverged rather than let weights that are no numbers replace it, TrainingError where it cannot be written.
        """
        assert isinstance(trainer.lightning_module, StyleModule)
        if not all(bool(parameter.isfinite().all()) for parameter in trainer.lightning_module.net.parameters()):
            raise Diverged(f"the weights became no numbers at step {trainer.global_step}")
        try:
            with replacing(self.path) as temporary:
                trainer.save_checkpoint(temporary)
        except (OSError, RuntimeError) as error:  # torch raises the latter for a full disk
            raise TrainingError(f"{self.path}: cannot be written ({because(error)}); make room, then add --resume") from None


class Clock(pl.Callback):
    """Turns a time budget into a number of steps, once HOLD of the time is over, in which the rate does not depend on it.

    So a machine that slows down takes fewer steps, not more time, and a run of as many steps repeats this one. Where
    pairs teach first, their steps are settled as soon as the pace is known. `settled` is told the configuration then.
    Stands before Checkpoint in the list.
    """

    def __init__(self, seconds: float, began: float, settled: Callable[[TrainConfig], None]) -> None:
        """`began`: time.monotonic() where the budget begins."""
        self.seconds, self.began, self.settled = seconds, began, settled
        self.earlier = 0.0  # spent before the run was resumed

    def state_dict(self) -> dict[str, float]:
        """Into the checkpoint."""
        return {"elapsed": self.elapsed()}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Out of it."""
        self.earlier = state["elapsed"]

    def elapsed(self) -> float:
        """Seconds of the budget that are spent."""
        return self.earlier + time.monotonic() - self.began

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: StyleModule, *args: Any) -> None:  # type: ignore[override]
        """Settle what is due."""
        if not pl_module.config.minutes:
            return
        config, step, share = pl_module.config, trainer.global_step, self.elapsed() / self.seconds
        if config.supervision == "both" and not config.pair_steps and step >= PACE:
            self._settle(trainer, pl_module, pair_steps=max(step + PACE, round(config.pair_share * step / share)))
        elif share >= HOLD:
            self._settle(trainer, pl_module, steps=max(step + 1, round(step / share)), minutes=0.0)

    def _settle(self, trainer: pl.Trainer, module: StyleModule, **found: Any) -> None:
        config = module.config = replace(module.config, **found)
        if config.pair_steps:
            module.pair_steps = config.pair_steps
            trainer.datamodule.pair_steps.fill_(config.pair_steps)  # type: ignore[attr-defined]
        if not config.minutes:
            trainer.fit_loop.epoch_loop.max_steps = config.steps
        self.settled(config)


class StopOnInterrupt(pl.Callback):
    """Ctrl-C finishes the step at hand and stops, so that the saved state is exact; a second one stops at once.

    Stands before Checkpoint in the list, which then sees `should_stop`.
    """

    def __init__(self) -> None:
        self.interrupt = Interrupt()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take SIGINT."""
        self.interrupt.__enter__()

    def on_train_batch_end(self, trainer: pl.Trainer, *args: Any) -> None:
        """Pass the wish on."""
        trainer.should_stop = trainer.should_stop or self.interrupt.asked

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give SIGINT back."""
        self.interrupt.__exit__()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Likewise: Lightning tears nothing down then."""
        self.interrupt.__exit__()


class Previews(pl.Callback):
    """Stylises one fixed photo, at its full aspect, into `folder` and TensorBoard every so many steps."""

    def __init__(self, photo: Array, folder: Path, every: int) -> None:
        self.photo, self.folder, self.every = photo, folder, every

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Draw when due."""
        if trainer.global_step % self.every and not done(trainer):
            return
        with torch.no_grad():
            stylised = pl_module(to_float(torch.from_numpy(self.photo.copy())[None]).to(pl_module.device))[0]
        pixels = (stylised.float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        save_image(self.folder / f"step_{trainer.global_step:06d}.jpg", np.ascontiguousarray(pixels))
        for logger in trainer.loggers:
            assert isinstance(logger, TensorBoardLogger)
            logger.experiment.add_image("preview", pixels, trainer.global_step, dataformats="HWC")


class Metrics(pl.Callback):
    """Rows in metrics.csv: training terms every `every` steps, held-out terms whenever they are measured."""

    def __init__(self, path: Path, every: int = 10) -> None:
        self.path, self.every, self.began = path, every, time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drop rows beyond the step that the run starts from: they are about to be written again."""
        rows: list[dict[str, str]] = []
        if self.path.exists():
            with self.path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= trainer.global_step]
        earlier = float(rows[-1]["seconds"]) if rows else 0.0
        self.began = time.monotonic() - earlier
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: StyleModule, *args: Any) -> None:  # type: ignore[override]
        """A training row."""
        if trainer.global_step % self.every == 0:
            self._row(trainer, "train", pl_module.terms, f"{pl_module.optimizers().param_groups[0]['lr']:.3g}")  # type: ignore[union-attr]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A held-out row."""
        self._row(trainer, "val", held_out(trainer), "")

    def _row(self, trainer: pl.Trainer, part: str, found: Mapping[str, Tensor], rate: str) -> None:
        terms = [f"{float(found[name]):.5f}" if name in found else "" for name in TERMS]
        with self.path.open("a", newline="") as file:
            seconds = f"{time.monotonic() - self.began:.1f}"
            csv.writer(file).writerow([trainer.global_step, part, *terms, rate, seconds])


class ProgressLine(pl.Callback):
    """A live bar on a terminal, a line now and then elsewhere: terms, images/s, time left. `clock` knows the time budget."""

    def __init__(self, console: Console, batch: int, clock: Clock, every: int = 50) -> None:
        self.console, self.batch, self.clock, self.every = console, batch, clock, every
        self.bar: Progress | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.began, self.first = time.monotonic(), trainer.global_step
        if self.console.is_terminal:
            columns = (TextColumn("{task.completed}/{task.total}"), BarColumn(None), TextColumn("{task.description}"),
                       TimeRemainingColumn())  # fmt: skip
            self.bar = Progress(*columns, console=self.console)
            self.task = self.bar.add_task("", total=None, completed=self.first)
            self.bar.start()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: StyleModule, *args: Any) -> None:  # type: ignore[override]
        """Show where we are."""
        step, taken = trainer.global_step, trainer.global_step - self.first
        if step % (5 if self.bar else self.every) and not done(trainer):
            return
        pace = taken / (time.monotonic() - self.began)
        last = trainer.max_steps if trainer.max_steps >= 0 else round(step * self.clock.seconds / self.clock.elapsed())
        terms = {name: float(value) for name, value in pl_module.terms.items() if name != "total"}
        text = "  ".join(f"{name} {value:.3f}" for name, value in terms.items()) + f"  {pace * self.batch:.1f} images/s"
        if self.bar:
            self.bar.update(self.task, completed=step, total=last, description=text)
        else:
            about = "" if trainer.max_steps >= 0 else "about "
            left = (last - step) / pace
            self.console.print(f"step {step}/{about}{last}  {text}  {left:.0f} s left", highlight=False)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One line per objective on held-out photos."""
        found = held_out(trainer)
        text = "  ".join(f"{name} {float(found[name]):.3f}" for name in TERMS if name in found)
        self.console.print(f"step {trainer.global_step}: held-out {text}", highlight=False)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Leave the terminal as it was."""
        if self.bar:
            self.bar.stop()
            self.bar = None

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Likewise: Lightning tears nothing down then."""
        self.teardown(trainer, pl_module, "fit")
