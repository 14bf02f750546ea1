"""The training step: the losses of a batch at a step, with its strength, its style and its disturbance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onestroke.grain import SIDE, grain
from onestroke.losses.objective import PairLoss, PerceptualLoss
from onestroke.losses.pixels import to_float
from onestroke.training import consistency as disturb
from onestroke.training.graphs import Graphs

# The weakest strength that is trained: further down the photo covers so much that nothing is left to learn.
WEAKEST = 0.2
# The share of steps at other strengths than 1: with a half they cost 3 % of the objective at 1 (docs/experiments.md).
OTHERS = 1 / 3
# This many steps in a row hold every kind of disturbance, and none.
KINDS = 4


@dataclass(frozen=True)
class TrainingStep:
    """What a network learns in a step, as a pure function of the batch and the step's number.

    styles: how many the network holds. strongest: the largest strength to train (1: no other). steady_weight: of the term
    that holds paintings still under small changes of the photo (consistency.py). grain: under the photos that the network
    sees, in levels (grain.py); the losses see them without. graphs: of one network's steps; they must
    look at whole pictures, since windows lie elsewhere in every step.
    """

    loss: PerceptualLoss
    pair_loss: PairLoss | None = None
    styles: int = 1
    strongest: float = 1.0
    steady_weight: float = 0.0
    grain: float = 0.0
    seed: int = 0
    graphs: Graphs | None = None

    def terms(self, net: nn.Module, batch: Tensor, step: int) -> dict[str, Tensor]:
        """The losses of a batch of data.Batches, "total" among them: three channels are photos, six photos and targets."""
        photos = to_float(batch[..., :3])
        if self.graphs and not self.graphs.recorded:
            given = [self._given(photos, any_step) for any_step in range(KINDS)]
            self.graphs.record(net, {kind: (partial(self._terms, kind, 0), inputs) for kind, inputs in given})
        if batch.shape[-1] == 6:
            assert self.pair_loss is not None
            return self.pair_loss(net(self.seen(photos, step)), to_float(batch[..., 3:]))  # type: ignore[no-any-return]
        kind, inputs = self._given(photos, step)
        return self.graphs(kind, *inputs) if self.graphs else self._terms(kind, step, net, *inputs)

    def _given(self, photos: Tensor, step: int) -> tuple[type, tuple[Tensor, ...]]:
        """What _terms is given in a step, all on the device of `photos`: a kind of disturbance, and tensors."""
        strength = torch.tensor(self.strength_at(step))
        style = F.one_hot(torch.tensor(self.style_at(step)), self.styles).float()
        # Every second step costs half, and does the same.
        change = disturb.draw(self.seed, step // 2, *photos.shape[2:]) if self.steady_weight and step % 2 else ()
        drawn = (tensor.to(photos.device, non_blocking=True) for tensor in (strength, style, *change))
        return type(change), (photos, self.seen(photos, step), *drawn)

    def seen(self, photos: Tensor, step: int | None = None) -> Tensor:
        """What a network is shown of photos [N, 3, H, W]: with grain, which lies elsewhere in every step."""
        if not self.grain:
            return photos
        place = (0, 0) if step is None else np.random.default_rng((self.seed, 7, step)).integers(0, SIDE, 2)
        under = torch.from_numpy(grain(self.grain, *photos.shape[2:], *place)).to(photos.device, non_blocking=True)
        return (photos + under.to(photos.dtype) / 255).clamp(0, 1)

    def _terms(
        self,
        kind: type,
        draw: int,
        net: nn.Module,
        photos: Tensor,
        seen: Tensor,
        strength: Tensor,
        style: Tensor,
        *change: Tensor,
    ) -> dict[str, Tensor]:
        """The losses of a step; `kind`: the type of disturbance, and `change`: what it is made of, if any."""
        painted = net(seen, strength, style)
        terms: dict[str, Tensor] = self.loss(painted, photos, strength=strength, style=style, draw=draw)
        total = terms["total"]
        if change:
            moved = kind(*change)
            again = net(moved.disturb(seen), strength, style)
            terms["steady"] = self.loss.steady(disturb.inside(again), disturb.inside(moved.follow(painted)))
            total = total + 2 * self.steady_weight * terms["steady"]
        return {name: term.detach() for name, term in terms.items()} | {"total": total}

    def strength_at(self, step: int) -> float:
        """The strength of a step: mostly 1, now and then anything that the network is trained for."""
        rng = np.random.default_rng((self.seed, 4, step))
        return float(rng.uniform(WEAKEST, self.strongest)) if self.strongest > 1 and rng.random() < OTHERS else 1.0

    def style_at(self, step: int) -> int:
        """The style of a step: all in turn, each round in an order of its own."""
        turn, place = divmod(step, self.styles)
        return int(np.random.default_rng((self.seed, 6, turn)).permutation(self.styles)[place])
