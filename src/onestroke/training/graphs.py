"""Training steps as CUDA graphs: recorded once, then started as a whole, since a GPU waits for Python otherwise.

A step is some three thousand small kernels; starting them one by one takes longer than computing them (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from onestroke.events import Note, Report, silent

# From a network and tensors whose shapes stay the same to scalars by name; nothing in it may wait for the GPU.
Run = Callable[..., dict[str, Tensor]]


class Graphs:
    """Functions of one network and tensors, by name, each recorded as two graphs: its results, and their gradients."""

    def __init__(self, report: Report = silent) -> None:
        """`report` is told where recording fails (too little memory, a driver): functions then run as they are."""
        self.report = report
        self.recorded: dict[object, Any] = {}

    def record(self, net: nn.Module, works: Mapping[object, tuple[Run, tuple[Tensor, ...]]]) -> None:
        """Record run(net, *inputs) of each (run, inputs), which keeps the inputs as its own.

        Before anything else asks for gradients of `net`: what is left of that would forbid recording.
        """
        bf16 = torch.is_autocast_enabled("cuda")
        torch.cuda.empty_cache()  # graphs have memory of their own
        try:
            pool = torch.cuda.graph_pool_handle()  # memory for all: only one of them is on its way at a time
            for name, (run, inputs) in works.items():
                with torch.autocast("cuda", torch.bfloat16, enabled=bf16, cache_enabled=False):
                    self.recorded[name] = torch.cuda.make_graphed_callables(_Work(run, net), inputs, pool=pool)
            torch.cuda.empty_cache()  # of the rehearsals
        except RuntimeError as error:
            why = str(error).splitlines()[0]
            self.report(Note(f"training runs without CUDA graphs, at half the speed or less ({why})", warning=True))
            self.recorded = {name: _Work(run, net) for name, (run, _) in works.items()}

    def __call__(self, name: object, *inputs: Tensor) -> dict[str, Tensor]:
        """What the function of that name makes of inputs shaped as those it was recorded with; gradients flow through."""
        # Copies, since the next step writes its results over these.
        return {key: value.clone() for key, value in self.recorded[name](*inputs).items()}


class _Work(nn.Module):
    """A function and the network that it is given, so that the network's weights are known to learn."""

    def __init__(self, run: Run, net: nn.Module) -> None:
        super().__init__()
        self.run, self.net = run, net

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        return self.run(self.net, *inputs)
