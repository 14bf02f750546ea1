"""A time budget that becomes a number of steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytorch_lightning as pl

from onestroke.training.module import StyleModule
from onestroke.training.schedule import HOLD

PACE = 20  # steps that tell the pace, and more than loading processes work ahead


class Clock(pl.Callback):
    """Turns a time budget into a number of steps, once HOLD of the time is over, in which the rate does not depend on it.

    So a machine that slows down takes fewer steps, not more time, and a run of as many steps repeats this one. Where
    pairs teach first, their steps are settled as soon as the pace is known. Stands before Checkpoint in the list.
    """

    def __init__(self, seconds: float, began: float, settled: Callable[..., None], pair_share: float = 0.0) -> None:
        """`began`: time.monotonic() where the budget begins. `settled`: called with steps=N or pair_steps=N as soon as one
        is known. `pair_share`: share of the steps that pairs teach; 0 where their number is known."""
        self.seconds, self.began, self.pair_share, self.settled = seconds, began, pair_share, settled
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
        if pl_module.rate.steps is not None:
            return
        # The first process's clock is everyone's.
        step, share = trainer.global_step, trainer.strategy.broadcast(self.elapsed()) / self.seconds
        if self.pair_share and step >= PACE:
            pl_module.pair_steps = max(step + PACE, round(self.pair_share * step / share))
            trainer.datamodule.pair_steps.fill_(pl_module.pair_steps)  # type: ignore[attr-defined]
            self.pair_share = 0.0
            self.settled(pair_steps=pl_module.pair_steps)
        elif share >= HOLD:
            steps = max(step + 1, round(step / share))
            pl_module.rate = replace(pl_module.rate, steps=steps)
            trainer.fit_loop.epoch_loop.max_steps = steps
            self.settled(steps=steps)
