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
        x = torch.baddbmm(x, torch.baddbmm(outer, outer, outer, beta=b, alpha=c), x, beta=a)
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
            grads = [p.grad for p in alike if p.grad is not None]
            momenta = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in alike]
            torch._foreach_lerp_(momenta, grads, 1 - MOMENTUM)
            updates = [update.flatten(1) for update in torch._foreach_lerp(grads, momenta, MOMENTUM)]
            scale = rate * max(1.0, shape[0] / shape[1]) ** 0.5
            for p, update in zip(alike, orthogonalised(torch.stack(updates)), strict=True):
                p.add_(update.view(p.shape), alpha=-scale)

    def _step_rest(self, parameters: list[Tensor], rate: float) -> None:
        """Adam, over all of them at once."""
        if not parameters:
            return
        first, second = ADAM_BETAS
        grads, means, squares = [p.grad for p in parameters if p.grad is not None], [], []
        for p in parameters:
            state = self.state[p]
            if not state:
                state.update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
            state["step"] += 1
            means.append(state["mean"])
            squares.append(state["square"])
        step = self.state[parameters[0]]["step"]
        torch._foreach_lerp_(means, grads, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, grads, grads, 1 - second)
        sizes = torch._foreach_div(squares, 1 - second**step)
        torch._foreach_sqrt_(sizes)
        torch._foreach_add_(sizes, 1e-8)
        torch._foreach_addcdiv_(parameters, means, sizes, -rate * ADAM_SHARE / (1 - first**step))
