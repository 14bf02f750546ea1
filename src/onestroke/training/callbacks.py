"""What happens around the steps: checkpoints, previews, metrics.csv, events."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from onestroke.arrays import Array
from onestroke.config.training import TrainConfig
from onestroke.errors import Diverged, TrainingError, because
from onestroke.events import Judged, Preview, Report, Step
from onestroke.files import replacing
from onestroke.losses.pixels import to_float, to_uint8
from onestroke.saving import save_image
from onestroke.training.budget import Clock
from onestroke.training.module import StyleModule

TERMS = ("total", *TrainConfig().weights, "pixel", "feature")  # the last two where pairs teach
COLUMNS = ("step", "part", *TERMS, "rate", "seconds")


def held_out(trainer: pl.Trainer) -> dict[str, Tensor]:
    """The last objective on held-out photos, by term."""
    return {name.removeprefix("val/"): v for name, v in trainer.callback_metrics.items() if name.startswith("val/")}


def done(trainer: pl.Trainer) -> bool:
    """Whether the last step is over."""
    return trainer.max_steps >= 0 and trainer.global_step >= trainer.max_steps


class Checkpoint(pl.Callback):
    """Writes `path` before the first step, every `every` steps and at the end, atomically: what resuming starts from.

    Our own, since Lightning's ModelCheckpoint saves nothing before the first step, and saves non-finite weights as well.
    """

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

        Raises Diverged rather than let non-finite weights replace it, TrainingError where it cannot be written.
        """
        assert isinstance(trainer.lightning_module, StyleModule)
        if not all(bool(parameter.isfinite().all()) for parameter in trainer.lightning_module.net.parameters()):
            raise Diverged(f"the weights became non-finite at step {trainer.global_step}")
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.path)  # which writes nothing here, but takes part in what all do
            return
        try:
            with replacing(self.path) as temporary:
                trainer.save_checkpoint(temporary)
        except (OSError, RuntimeError) as error:  # torch raises the latter for a full disk
            raise TrainingError(f"{self.path}: cannot be written ({because(error)}); make room, then add --resume") from None


class Previews(pl.Callback):
    """Stylizes one fixed photo, at its full aspect, into `folder`, TensorBoard and a report every so many steps."""

    def __init__(self, photo: Array, folder: Path, every: int, report: Report) -> None:
        self.photo, self.folder, self.every, self.report = photo, folder, every, report

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any) -> None:
        """Draw when due."""
        if trainer.global_step % self.every and not done(trainer):
            return
        with torch.no_grad():
            stylized = pl_module(to_float(torch.from_numpy(self.photo.copy())[None]).to(pl_module.device))[0]
        pixels = to_uint8(stylized[None])[0]
        save_image(self.folder / f"step_{trainer.global_step:06d}.jpg", pixels)
        self.report(Preview(trainer.global_step, pixels))
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
                whole = (line for line in file if line.endswith("\n"))  # a full disk may have cut the last one short
                rows = [row for row in csv.DictReader(whole) if int(row["step"]) <= trainer.global_step]
        earlier = float(rows[-1]["seconds"]) if rows else 0.0
        self.began = time.monotonic() - earlier
        with replacing(self.path) as temporary, temporary.open("w", newline="") as file:
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


class Events(pl.Callback):
    """Reports every step and every objective, and stops where the report says so. `clock` knows the time budget.

    Stands before Checkpoint in the list, which then sees `should_stop`: what is saved is the step at hand, whole.
    """

    def __init__(self, report: Report, batch: int, clock: Clock) -> None:
        self.report, self.batch, self.clock = report, batch, clock
        self.began, self.first = time.monotonic(), 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start to count."""
        self.began, self.first = time.monotonic(), trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: StyleModule, *args: Any) -> None:  # type: ignore[override]
        """One step."""
        step, seconds = trainer.global_step, time.monotonic() - self.began
        each = seconds / max(1, step - self.first)
        settled = trainer.max_steps >= 0
        last = trainer.max_steps if settled else round(step * self.clock.seconds / max(self.clock.elapsed(), 1e-9))
        terms = {name: float(value) for name, value in pl_module.terms.items()}
        event = Step(step, last, settled, terms, seconds, self.batch / max(each, 1e-9), max(0, last - step) * each)
        wish = bool(self.report(event))
        if trainer.world_size > 1:  # all processes stop at the same step
            wish = trainer.strategy.reduce_boolean_decision(wish, all=False)
        trainer.should_stop = trainer.should_stop or wish

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """An objective on held-out photos. Only a step, which is followed by a save, may stop the run."""
        found = held_out(trainer)
        self.report(Judged(trainer.global_step, {name: float(found[name]) for name in TERMS if name in found}))
