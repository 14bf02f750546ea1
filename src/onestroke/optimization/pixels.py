"""The one pixel loop: moves the pixels of a picture down the gradient of any objective."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from onestroke.errors import ConfigError, Diverged

# Pictures [N, 3, H, W] in [0, 1] to terms, "total" among them, each [N], and the gradient of the total, like the pictures.
Objective = Callable[[Tensor], tuple[dict[str, Tensor], Tensor]]

FLAT_EVALUATIONS, FLAT = 5, 1e-7
FALLBACK_RATE = 0.01  # of the range from black to white
WINDOW = 50  # evaluations over which `tolerance` looks


@dataclass(frozen=True)
class Updates:
    """How pixels move; the fields are those of presets.Recipe. `unit` is white's value in the pixels that are optimized.

    `stalls`: whether a flat loss means that the optimizer is stuck; not so where each step has another objective.
    """

    optimizer: str = "adam"
    rate: float = 0.02
    beta2: float = 0.99
    decay: float = 1.0
    history: int = 100
    clamp: bool = True
    ema: float = 0.0
    unit: float = 1.0
    tolerance: float = 0.0
    stalls: bool = True


@dataclass(frozen=True)
class Step:
    """One step, as a callback sees it; `steps` are evaluations of the objective, `note` is what had to be done about it."""

    step: int
    steps: int
    seconds: float
    note: str
    values: dict[str, Tensor]
    optimizer: PixelOptimizer

    @property
    def terms(self) -> dict[str, float]:
        """Terms of the objective, averaged over the batch."""
        return {name: float(value.mean()) for name, value in self.values.items()}

    @property
    def picture(self) -> Tensor:
        """The result so far, [N, 3, H, W] in [0, 1]."""
        return self.optimizer.result()


def check_batch(optimizer: str, count: int) -> None:
    """Raise ConfigError for several pictures with L-BFGS, whose one curvature would tie them together."""
    if count > 1 and optimizer.startswith("lbfgs"):
        raise ConfigError(f"optimizer: {optimizer} takes one picture at a time; use adam, or a batch of 1")


class _Stalled(Exception):
    """The loss is non-finite, or no longer moves."""


class PixelOptimizer:
    """Pixels on their way. `run` goes on to `steps` evaluations; `state_dict` holds all that a resumed run needs.

    start: [N, 3, H, W] in [0, 1]. Raises ConfigError for a batch with L-BFGS, which would tie its pictures together.
    """

    def __init__(self, start: Tensor, objective: Objective, updates: Updates, steps: int) -> None:
        check_batch(updates.optimizer, len(start))
        self.objective, self.updates, self.steps = objective, updates, steps
        self.pixels = (start.detach() * updates.unit).clone(memory_format=torch.contiguous_format)
        self.kind, self.rate = updates.optimizer, updates.rate
        self.optimizer = self._build()
        self.step, self.seconds = 0, 0.0
        self.average, self.averaged = torch.zeros_like(self.pixels), 0
        self.best, self.lowest = self.pixels.clone(), float("inf")
        self.recent: list[float] = []
        self.checkpoint, self.looked = float("inf"), 0  # the lowest loss one window ago, and when that was
        self.values: dict[str, Tensor] = {}
        self._seen: tuple[Tensor, Tensor, Tensor] | None = None

    def _build(self) -> torch.optim.Optimizer:
        if self.kind == "adam":
            return torch.optim.Adam([self.pixels], lr=self.rate, betas=(0.9, self.updates.beta2))
        if self.kind == "sgd":
            return torch.optim.SGD([self.pixels], lr=self.rate)
        search = "strong_wolfe" if self.kind == "lbfgs-wolfe" else None
        # One iteration a step: the state is kept in between, so the path is that of one long call. A line search must be
        # allowed more than one look; a small gradient of a large picture is no reason to stop.
        return torch.optim.LBFGS([self.pixels], lr=self.rate, max_iter=1, max_eval=26 if search else 1, tolerance_grad=0.0,
                                 history_size=self.updates.history, line_search_fn=search)  # fmt: skip

    def result(self) -> Tensor:
        """The bias-corrected average of the iterates where `ema` asks for it, else the best iterate; [N, 3, H, W] in [0, 1]."""
        pixels = self.average / (1 - self.updates.ema**self.averaged) if self.averaged else self.best
        return (pixels / self.updates.unit).clamp(0, 1)

    def run(self, callback: Callable[[Step], bool | None] | None = None) -> None:
        """Go on until `steps`, the stop rule, or a callback that returns True.

        A loss that is non-finite or flat over 5 evaluations sends L-BFGS and SGD back to the best picture with Adam, and
        halves Adam's rate for a NaN; the step's note says so. Raises Diverged where the start itself has no finite loss.
        """
        while self.step < self.steps:
            began, note = time.perf_counter(), ""
            try:
                self._advance()
            except _Stalled as stalled:
                note = self._recover(str(stalled))
            self.seconds += time.perf_counter() - began
            if not note and self._gains_too_little():
                note = f"{WINDOW} evaluations gained less than {self.updates.tolerance:g} of the loss: stopped"
            if callback and callback(Step(min(self.step, self.steps), self.steps, self.seconds, note, self.values, self)):
                return
            if note.endswith("stopped"):
                return

    def _advance(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * self.updates.decay ** (self.step / 100)
        before = self.step
        self.optimizer.step(self._evaluate)  # type: ignore[arg-type]
        if self.step == before:  # L-BFGS at a vanishing gradient does not even look
            raise _Stalled("the gradient vanished")
        with torch.no_grad():
            if self.updates.clamp:
                self.pixels.clamp_(0, self.updates.unit)
            if self.updates.ema:
                self.average.mul_(self.updates.ema).add_(self.pixels, alpha=1 - self.updates.ema)
                self.averaged += 1

    def _evaluate(self) -> Tensor:
        """Loss and gradient at `pixels`, for the optimizer; the best picture is kept."""
        if self._seen is not None and torch.equal(self._seen[0], self.pixels):  # a line search ended where it looked last
            self.pixels.grad = self._seen[2]
            return self._seen[1]
        values, gradient = self.objective(self.pixels / self.updates.unit)
        total = values["total"].sum()
        self.step += 1
        loss = float(total)
        if not torch.isfinite(total):
            raise _Stalled(f"the loss became {loss:g}")
        self.values = values
        self.pixels.grad = gradient / self.updates.unit
        if self.kind == "lbfgs-wolfe":
            self._seen = self.pixels.clone(), total, self.pixels.grad.clone()
        if loss < self.lowest:
            self.lowest = loss
            self.best.copy_(self.pixels)
        self.recent = [*self.recent[1 - FLAT_EVALUATIONS :], loss]
        if (
            self.updates.stalls
            and len(self.recent) == FLAT_EVALUATIONS
            and max(self.recent) - min(self.recent) <= FLAT * abs(loss)
        ):
            raise _Stalled(f"the loss stayed at {loss:.6g} for {FLAT_EVALUATIONS} evaluations")
        return total

    def _recover(self, reason: str) -> str:
        """Back to the best picture with Adam; returns what to tell the user."""
        if self.lowest == float("inf"):
            raise Diverged(f"{reason} at the start; use another --initialize-from, or smaller weights")
        if self.kind == "adam" and "became" not in reason:
            return f"{reason}: stopped"
        how = "Adam" if self.kind != "adam" else "half the rate"
        self.rate = FALLBACK_RATE * self.updates.unit if self.kind != "adam" else self.rate / 2
        self.kind, self.recent, self._seen = "adam", [], None
        self.average, self.averaged = torch.zeros_like(self.average), 0
        with torch.no_grad():
            self.pixels.copy_(self.best)
        self.optimizer = self._build()
        return f"{reason}: back to the best picture, with {how}"

    def _gains_too_little(self) -> bool:
        if not self.updates.tolerance or self.step < self.looked + WINDOW:
            return False
        self.looked = self.step
        before, self.checkpoint = self.checkpoint, self.lowest
        return before < float("inf") and before - self.lowest < self.updates.tolerance * abs(before)

    def resized(self, size: tuple[int, int], objective: Objective, steps: int) -> PixelOptimizer:
        """The next scale: the result, and Adam's moments, enlarged to `size`; the average starts anew (k. crowson 2021)."""
        start = F.interpolate(self.result(), size, mode="bicubic").clamp(0, 1)
        grown = PixelOptimizer(start, objective, self.updates, steps)
        if self.kind == grown.kind == "adam" and self.optimizer.state:
            state = self.optimizer.state[self.pixels]
            grown.optimizer.state[grown.pixels] = {
                "step": state["step"].clone(),
                "exp_avg": F.interpolate(state["exp_avg"], size, mode="bicubic"),
                "exp_avg_sq": F.interpolate(state["exp_avg_sq"], size, mode="bilinear").relu(),
            }
        return grown

    _KEPT = ("kind", "rate", "step", "seconds", "average", "averaged", "best", "lowest", "recent", "checkpoint",
             "looked")  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Everything, as tensors and plain values."""
        state = {name: getattr(self, name) for name in self._KEPT}
        return state | {"pixels": self.pixels, "seen": self._seen, "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave, bit for bit."""
        for name in self._KEPT:
            value = state[name]
            setattr(self, name, value.to(self.pixels.device) if isinstance(value, Tensor) else value)
        self.pixels.copy_(state["pixels"])
        self.optimizer = self._build()
        self.optimizer.load_state_dict(state["optimizer"])
        self._seen = tuple(t.to(self.pixels.device) for t in state["seen"]) if state["seen"] else None
