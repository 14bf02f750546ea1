"""The training step: the losses of a batch at a step, with its strength, its style and its disturbance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from onestroke.losses.objective import PairLoss, PerceptualLoss
from onestroke.losses.pixels import to_float
from onestroke.training import consistency as disturb

# The weakest strength that is trained: further down the photo covers so much that nothing is left to learn.
WEAKEST = 0.2
# The share of steps at other strengths than 1: with a half they cost 3 % of the objective at 1 (docs/experiments.md).
OTHERS = 1 / 3


@dataclass(frozen=True)
class TrainingStep:
    """What a network learns in a step, as a pure function of the batch and the step's number.

    styles: how many the network holds. strongest: the largest strength to train (1: no other). steady_weight: of the term
    that holds paintings still under small changes of the photo (consistency.py).
    """

    loss: PerceptualLoss
    pair_loss: PairLoss | None = None
    styles: int = 1
    strongest: float = 1.0
    steady_weight: float = 0.0
    seed: int = 0

    def terms(self, net: nn.Module, batch: Tensor, step: int) -> dict[str, Tensor]:
        """The losses of a batch of data.Batches, "total" among them: three channels are photos, six photos and targets."""
        photos = to_float(batch[..., :3])
        if batch.shape[-1] == 6:
            assert self.pair_loss is not None
            return self.pair_loss(net(photos), to_float(batch[..., 3:]))  # type: ignore[no-any-return]
        level, style = self.strength_at(step), self.style_at(step)
        strength = torch.tensor(level, device=photos.device)
        painted = net(photos, strength, style)
        terms: dict[str, Tensor] = self.loss(painted, photos, strength=level, style=style, draw=step)
        if self.steady_weight and step % 2:  # every second step costs half, and does the same
            change = disturb.draw(self.seed, step // 2, *photos.shape[2:])
            again = net(change.disturb(photos), strength, style)
            terms["steady"] = self.loss.steady(disturb.inside(again), disturb.inside(change.follow(painted)))
            terms["total"] = terms["total"] + 2 * self.steady_weight * terms["steady"]
        return terms

    def strength_at(self, step: int) -> float:
        """The strength of a step: mostly 1, now and then anything that the network is trained for."""
        rng = np.random.default_rng((self.seed, 4, step))
        return float(rng.uniform(WEAKEST, self.strongest)) if self.strongest > 1 and rng.random() < OTHERS else 1.0

    def style_at(self, step: int) -> int:
        """The style of a step: all in turn, each round in an order of its own."""
        turn, place = divmod(step, self.styles)
        return int(np.random.default_rng((self.seed, 6, turn)).permutation(self.styles)[place])
