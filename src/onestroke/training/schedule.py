"""The optimizer and its learning rate at every step."""

from __future__ import annotations

import math

import torch
from torch import nn

from onestroke.config.training import TrainConfig
from onestroke.networks import registry as networks
from onestroke.training.muon import Muon

# Peak rates, this one and those of NETWORKS, were found with this batch; larger ones do not get more.
ADAM_RATE, RATES_BATCH = 0.002, 4
# The share of a run over which the rate stays level, so that its end need not be known before (Hu 2024, MiniCPM).
HOLD = 2 / 3


def make_optimizer(config: TrainConfig, net: nn.Module) -> torch.optim.Optimizer:
    """Muon, or Adam as Johnson 2016 used."""
    rate = peak_rate(config)
    return Muon(net.parameters(), rate) if config.optimizer == "muon" else torch.optim.Adam(net.parameters(), rate)


def peak_rate(config: TrainConfig) -> float:
    """The rate asked for, or what suits the optimizer, the network and the batch: noisier gradients want shorter steps."""
    best = networks.entry(config.network).rate if config.optimizer == "muon" else ADAM_RATE
    return config.rate or best * min(1.0, config.batch / RATES_BATCH) ** 0.5


def rate_at(step: int, config: TrainConfig) -> float:
    """Learning rate at a step (from 0): linear warm-up, level for HOLD of the steps, then a cosine to zero at the last.

    While a time budget has not become a number of steps (callbacks.Clock), the rate is level.
    """
    peak = peak_rate(config)
    warmup = config.warmup if config.minutes else min(config.warmup, config.steps // 4)
    if step < warmup:
        return peak * (step + 1) / warmup
    fall = max(warmup, HOLD * config.steps)
    if config.minutes or step < fall:
        return peak
    return peak * 0.5 * (1 + math.cos(math.pi * (step - fall) / max(1, config.steps - fall)))
