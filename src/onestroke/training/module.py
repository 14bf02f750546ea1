"""The LightningModule: wires network, losses, optimizer and weight average together. The maths is elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from onestroke.errors import Diverged, TrainingError
from onestroke.losses.pixels import to_float
from onestroke.networks.layers import Framed
from onestroke.training.schedule import Rate, make_optimizer
from onestroke.training.step import TrainingStep

# A smoothed loss this many times its lowest value so far counts as exploded (batches differ by less than 3).
EXPLODED = 5.0


class StyleModule(pl.LightningModule):
    """One style in training: `net` learns, `ema` (its running average) is what gets validated and exported.

    The learning rate is a pure function of the step and of `rate_scale`, which is halved whenever a run goes back.
    """

    smoothed: Tensor
    lowest: Tensor

    def __init__(
        self, net: Framed, step: TrainingStep, rate: Rate, *, optimizer: str = "muon", ema: float = 0.995, pair_steps: int = 0
    ) -> None:
        """`optimizer`: see make_optimizer; `ema`: decay of the average, in [0, 1); pairs teach the first `pair_steps`."""
        super().__init__()
        self.net, self.step, self.rate, self.rate_scale = net.to(memory_format=torch.channels_last), step, rate, 1.0
        self.loss, self.pair_loss, self.pair_steps = step.loss, step.pair_loss, pair_steps
        self.optimizer, self.decay = optimizer, ema
        self.terms: dict[str, Tensor] = {}  # of the last step
        # Not Lightning's WeightAveraging, which stores the average in place of the weights: checkpoints so far hold both.
        self.ema = AveragedModel(self.net, multi_avg_fn=self.average).requires_grad_(False)
        self.register_buffer("smoothed", torch.tensor(math.nan))
        self.register_buffer("lowest", torch.tensor(math.inf))

    def average(self, averages: Any, values: Any, count: Tensor | int) -> None:
        """Exponential average whose memory grows with the steps taken, so that early steps are forgotten."""
        decay = min(self.decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averages, values, 1 - decay)

    def forward(self, photos: Tensor, style: int = 0) -> Tensor:
        """Stylize [N, 3, H, W] in [0, 1] with the averaged weights, as `onestroke stylize` does."""
        return self.ema(self.step.seen(photos), None, style)  # type: ignore[no-any-return]

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        """Set this step's learning rate."""
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = self.rate_scale * self.rate.at(self.global_step)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """batch: uint8 [B, H, W, 3 or 6]. Raises Diverged where the loss is non-finite or has exploded."""
        if self.global_step == self.pair_steps:  # another loss begins
            self.smoothed, self.lowest = torch.full_like(self.smoothed, math.nan), torch.full_like(self.lowest, math.inf)
        terms = self.step.terms(self.net, batch, self.global_step)
        self.terms = self._of_all({name: term.detach() for name, term in terms.items()})
        self._watch(self.terms["total"])
        self.log_dict({f"train/{name}": term for name, term in self.terms.items()})
        return terms["total"]

    def _of_all(self, terms: dict[str, Tensor]) -> dict[str, Tensor]:
        """The means over all processes, so that each sees the same losses, and stops where the others do."""
        if self.trainer.world_size == 1:
            return terms
        means = self.trainer.strategy.reduce(torch.stack(list(terms.values())), reduce_op="mean")
        return dict(zip(terms, means, strict=True))

    def _watch(self, total: Tensor) -> None:
        self.smoothed = torch.where(self.smoothed.isnan(), total, 0.9 * self.smoothed + 0.1 * total)
        self.lowest = torch.minimum(self.lowest, self.smoothed)
        if not bool(self.smoothed <= EXPLODED * self.lowest):  # also true for NaN
            raise Diverged(f"the loss became {float(total):.3g} at step {self.global_step}")

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then average: here and not at the batch's end, where a checkpoint may already have been written."""
        super().optimizer_step(*args, **kwargs)
        self.ema.update_parameters(self.net)

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        """batch: one uint8 [B, H, W, 3] of held-out photos."""
        photos = to_float(batch[0])
        of_each = [self.loss(self(photos, style), photos, style=style) for style in range(self.net.styles)]
        means = {name: torch.stack([terms[name] for terms in of_each]).mean() for name in of_each[0]}
        self.log_dict({f"val/{name}": mean for name, mean in means.items()}, batch_size=len(photos))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """See make_optimizer."""
        return make_optimizer(self.optimizer, self.net, self.rate.peak)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave VGG out: it is large, frozen, and found again by name."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {key: value for key, value in state.items() if ".vgg." not in key}
        checkpoint["rate_scale"] = self.rate_scale

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Everything but VGG must be there under its name, and nothing else. Raises TrainingError where that is not so.

        Losses of version 0.1 had other names: theirs are left out, and measured anew from the same photos.
        """
        old = any(key.startswith("loss.style.") for key in state_dict)
        state = {key: value for key, value in state_dict.items() if not (old and key.startswith(("loss.", "pair_loss.")))}
        found = super().load_state_dict(state, strict=False, assign=assign)
        missing = [key for key in found.missing_keys if ".vgg." not in key and not (old and "loss." in key)]
        if wrong := [*missing, *found.unexpected_keys]:
            raise TrainingError(
                f"checkpoint: {wrong[0]} is not the same in it and in this network, nor {len(wrong) - 1} others"
            )
        return found

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A rate that was halved stays halved. Norms of version 0.1 knew one style: their moments get its dimension."""
        self.rate_scale = min(self.rate_scale, checkpoint["rate_scale"])
        parameters = sorted(self.net.parameters(), key=lambda parameter: parameter.ndim != 4)  # as Muon has them in groups
        for state in checkpoint["optimizer_states"]:
            for parameter, moments in zip(parameters, state["state"].values(), strict=False):
                for name, value in moments.items():
                    if isinstance(value, Tensor) and value.ndim == 1 and parameter.ndim == 2:
                        moments[name] = value.view_as(parameter)
