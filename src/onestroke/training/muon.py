"""Muon (Jordan 2024): every update of a kernel is made orthogonal, so that it moves all its directions alike.

For these networks 200 steps of it are worth about 400 of Adam (docs/experiments.md). Our own, since torch.optim.Muon takes
matrices alone, not kernels of four dimensions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

# Jordan's quintic, whose five iterations bring every singular value to 0.7 .. 1.2: near enough to 1, and fast.
QUINTIC, ITERATIONS = (3.4445, -4.7750, 2.0315), 5
# Jordan's 0.95 is for longer trainings: at 600 steps it costs 2 % of the objective (docs/experiments.md).
MOMENTUM = 0.9
# Adam's rate for gains and biases, as a share of the kernels'.
ADAM_SHARE, ADAM_BETAS = 0.1, (0.9, 0.999)


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices [K, R, C] with their singular values brought near 1 (Newton-Schulz), their directions kept."""
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.mT
    x = wide / (wide.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        outer = x @ x.mT
        x = a * x + (b * outer + c * outer @ outer) @ x
    found: Tensor = x if wide is matrices else x.mT
    return found


class Muon(torch.optim.Optimizer):
    """Kernels (4 dimensions, seen as [outputs, the rest]) by Muon with Nesterov momentum, everything else by Adam.

    `lr` is the spectral norm of a square kernel's step; tall kernels get more, as in Jordan's code.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float = 0.04) -> None:
        found = list(parameters)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in found if p.ndim == 4], "kernels": True},
            {"params": [p for p in found if p.ndim != 4], "kernels": False},
        ]
        super().__init__([group for group in groups if group["params"]], {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns what `closure` returned."""
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        for group in self.param_groups:
            update = self._step_kernels if group["kernels"] else self._step_rest
            update([p for p in group["params"] if p.grad is not None], group["lr"])
        return result

    def _step_kernels(self, kernels: list[nn.Parameter], rate: float) -> None:
        """Kernels of one shape go through Newton-Schulz together: launches, not arithmetic, are what it costs on a GPU."""
        by_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
        for p in kernels:
            by_shape[p.flatten(1).shape].append(p)
        for shape, alike in by_shape.items():
            updates = []
            for p in alike:
                assert p.grad is not None
                momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                momentum.lerp_(p.grad, 1 - MOMENTUM)
                updates.append(p.grad.lerp(momentum, MOMENTUM).flatten(1))
            scale = rate * max(1.0, shape[0] / shape[1]) ** 0.5
            for p, update in zip(alike, orthogonalised(torch.stack(updates)), strict=True):
                p.add_(update.view(p.shape), alpha=-scale)

    def _step_rest(self, parameters: list[nn.Parameter], rate: float) -> None:
        """Adam."""
        first, second = ADAM_BETAS
        for p in parameters:
            state = self.state[p]
            if not state:
                state.update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
            state["step"] += 1
            state["mean"].lerp_(p.grad, 1 - first)
            state["square"].lerp_(p.grad.square(), 1 - second)  # type: ignore[union-attr]
            size = (state["square"] / (1 - second ** state["step"])).sqrt() + 1e-8
            p.addcdiv_(state["mean"], size, value=-rate * ADAM_SHARE / (1 - first ** state["step"]))
