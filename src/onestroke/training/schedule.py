"""The optimizer and its learning rate at every step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from onestroke.networks import registry as networks
from onestroke.training.muon import Muon

# Peak rates, this one and those of NETWORKS, were found with this batch; larger ones do not get more.
ADAM_RATE, RATES_BATCH = 0.002, 4
# The share of a run over which the rate stays level, so that its end need not be known before (Hu 2024, MiniCPM).
HOLD = 2 / 3


def make_optimizer(name: str, net: nn.Module, rate: float) -> torch.optim.Optimizer:
    """ "muon", or "adam" as Johnson 2016 used; `rate`: its peak."""
    return Muon(net.parameters(), rate) if name == "muon" else torch.optim.Adam(net.parameters(), rate)


def peak_rate(optimizer: str, network: str, batch: int) -> float:
    """What suits the optimizer, the network and the batch: noisier gradients want shorter steps."""
    best = networks.entry(network).rate if optimizer == "muon" else ADAM_RATE
    return best * math.sqrt(min(1.0, batch / RATES_BATCH))


@dataclass(frozen=True)
class Rate:
    """The learning rate: linear warm-up to `peak`, level for HOLD of the steps, then a cosine to zero at the last.

    warmup: steps, at most a quarter of all. steps: None while a time budget has not become a number of them
    (budget.Clock); the rate is level then.
    """

    peak: float
    warmup: int = 0
    steps: int | None = None

    def at(self, step: int) -> float:
        """The rate of a step, from 0 on."""
        warmup = self.warmup if self.steps is None else min(self.warmup, self.steps // 4)
        if step < warmup:
            return self.peak * (step + 1) / warmup
        if self.steps is None or step < (fall := max(warmup, HOLD * self.steps)):
            return self.peak
        return self.peak * 0.5 * (1 + math.cos(math.pi * (step - fall) / max(1, self.steps - fall)))
