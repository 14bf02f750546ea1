"""A time budget that becomes a number of steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl

from onestroke.config.training import TrainConfig
from onestroke.training.module import StyleModule
from onestroke.training.schedule import HOLD

PACE = 20  # steps that tell the pace, and more than loading processes work ahead


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
        self._running = False

    def state_dict(self) -> dict[str, float]:
        """Into the checkpoint."""
        return {"elapsed": self.elapsed()}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Out of it, but where the run goes back after a divergence: time does not."""
        if not self._running:
            self.earlier = state["elapsed"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From here on this clock knows the time best."""
        self._running = True

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
