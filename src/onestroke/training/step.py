"""The training step: the losses of a batch at a step, with its strength, its style and its disturbance."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from onestroke.config.training import TrainConfig, style_names
from onestroke.losses.objective import PairLoss, PerceptualLoss
from onestroke.losses.pixels import to_float
from onestroke.networks import registry as networks
from onestroke.training import consistency as disturb

# The weakest strength that is trained: further down the photo covers so much that nothing is left to learn.
WEAKEST = 0.2
# The share of steps at other strengths than 1: with a half they cost 3 % of the objective at 1 (docs/experiments.md).
OTHERS = 1 / 3


def terms_of(
    batch: Tensor, net: nn.Module, loss: PerceptualLoss, pair_loss: PairLoss | None, config: TrainConfig, step: int
) -> dict[str, Tensor]:
    """The training losses of a batch of fast.data.Batches: three channels are photos, six are photos and their targets."""
    photos = to_float(batch[..., :3])
    if batch.shape[-1] == 6:
        assert pair_loss is not None
        return pair_loss(net(photos), to_float(batch[..., 3:]))  # type: ignore[no-any-return]
    level, style = strength_at(step, config), style_at(step, config)
    strength = torch.tensor(level, device=photos.device)
    painted = net(photos, strength, style)
    terms: dict[str, Tensor] = loss(painted, photos, strength=level, style=style, draw=step)
    if config.steady_weight and step % 2:  # every second step costs half, and does the same
        change = disturb.draw(config.seed, step // 2, *photos.shape[2:])
        again = net(change.disturb(photos), strength, style)
        terms["steady"] = loss.steady(disturb.inside(again), disturb.inside(change.follow(painted)))
        terms["total"] = terms["total"] + 2 * config.steady_weight * terms["steady"]
    return terms


def strength_at(step: int, config: TrainConfig) -> float:
    """The strength of a training step: mostly 1, now and then anything that the network is trained for."""
    strongest = networks.entry(config.network).strongest
    rng = np.random.default_rng((config.seed, 4, step))
    return float(rng.uniform(WEAKEST, strongest)) if strongest > 1 and rng.random() < OTHERS else 1.0


def style_at(step: int, config: TrainConfig) -> int:
    """The style of a training step: all in turn, each round in an order of its own."""
    styles = len(style_names(config.style_image))
    turn, place = divmod(step, styles)
    return int(np.random.default_rng((config.seed, 6, turn)).permutation(styles)[place])
