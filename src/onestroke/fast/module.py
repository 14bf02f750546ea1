"""The LightningModule: wires network, losses, optimizer and weight average together. The maths is elsewhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from onestroke.config import TrainConfig, style_names
from onestroke.errors import Diverged, TrainingError
from onestroke.fast import disturb, networks
from onestroke.fast.optimizer import Muon
from onestroke.perception.losses import PairLoss, PerceptualLoss

# What a run folder holds to be resumed and exported.
CHECKPOINT, CONFIG, OBJECTIVE = "last.ckpt", "config.yaml", "objective.yaml"
# A smoothed loss this many times its lowest value so far counts as exploded (batches differ by less than 3).
EXPLODED = 5.0
# Peak rates, this one and those of NETWORKS, were found with this batch; larger ones do not get more.
ADAM_RATE, RATES_BATCH = 0.002, 4
# The weakest strength that is trained: further down the photo covers so much that nothing is left to learn.
WEAKEST = 0.2
# The share of steps at other strengths than 1: with a half they cost 3 % of the objective at 1 (docs/experiments.md).
OTHERS = 1 / 3
# The share of a run over which the rate stays level, so that its end need not be known before (Hu 2024, MiniCPM).
HOLD = 2 / 3


def to_float(photos: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] to float [N, 3, H, W] in [0, 1]; the memory stays NHWC, which torch calls channels_last."""
    return photos.permute(0, 3, 1, 2).float() / 255


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
    styles = len(style_names(config.painting))
    turn, place = divmod(step, styles)
    return int(np.random.default_rng((config.seed, 6, turn)).permutation(styles)[place])


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


class StyleModule(pl.LightningModule):
    """One style in training: `net` learns, `ema` (its running average) is what gets validated and exported.

    The learning rate is a pure function of the step and of `rate_scale`, which is halved whenever a run goes back.
    """

    smoothed: Tensor
    lowest: Tensor

    def __init__(
        self,
        config: TrainConfig,
        loss: PerceptualLoss,
        pair_loss: PairLoss | None = None,
        pair_steps: int = 0,
        weights: dict[str, Tensor] | None = None,
    ) -> None:
        """`weights`: the network's state to begin with, instead of random ones."""
        super().__init__()
        self.config, self.loss, self.rate_scale = config, loss, 1.0
        self.pair_loss, self.pair_steps = pair_loss, pair_steps
        self.terms: dict[str, Tensor] = {}  # of the last step
        torch.manual_seed(config.seed)
        self.net = networks.build(config.network, len(style_names(config.painting))).to(memory_format=torch.channels_last)
        if weights:
            self.net.load_state_dict(weights)
        self.ema = AveragedModel(self.net, avg_fn=self._average)
        self.register_buffer("smoothed", torch.tensor(math.nan))
        self.register_buffer("lowest", torch.tensor(math.inf))
        self.strict_loading = False  # VGG's weights are not in the checkpoint

    def _average(self, average: Tensor, value: Tensor, count: Tensor | int) -> Tensor:
        """Exponential average whose memory grows with the steps taken, so that early steps are forgotten."""
        decay = min(self.config.ema, (1 + int(count)) / (10 + int(count)))
        return average + (1 - decay) * (value - average)

    def forward(self, photos: Tensor, style: int = 0) -> Tensor:
        """Stylize [N, 3, H, W] in [0, 1] with the averaged weights."""
        return self.ema(photos, None, style)  # type: ignore[no-any-return]

    def on_train_batch_start(self, batch: Tensor, batch_idx: int) -> None:
        """Set this step's learning rate."""
        for group in self.optimizers().param_groups:  # type: ignore[union-attr]
            group["lr"] = self.rate_scale * rate_at(self.global_step, self.config)

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        """batch: uint8 [B, H, W, 3 or 6]. Raises Diverged where the loss is no number or has exploded."""
        if self.global_step == self.pair_steps:  # another loss begins
            self.smoothed, self.lowest = torch.full_like(self.smoothed, math.nan), torch.full_like(self.lowest, math.inf)
        terms = terms_of(batch, self.net, self.loss, self.pair_loss, self.config, self.global_step)
        self.terms = {name: term.detach() for name, term in terms.items()}
        self._watch(self.terms["total"])
        self.log_dict({f"train/{name}": term for name, term in self.terms.items()})
        return terms["total"]

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
        return make_optimizer(self.config, self.net)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave VGG out: it is large, frozen, and found again by name."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {key: value for key, value in state.items() if ".vgg." not in key}
        checkpoint["rate_scale"] = self.rate_scale

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """A rate that was halved stays halved. Norms of version 0.1 knew one style: their moments get its dimension."""
        self.rate_scale = min(self.rate_scale, checkpoint["rate_scale"])
        parameters = sorted(self.net.parameters(), key=lambda parameter: parameter.ndim != 4)  # as Muon has them in groups
        for state in checkpoint["optimizer_states"]:
            for parameter, moments in zip(parameters, state["state"].values(), strict=False):
                for name, value in moments.items():
                    if isinstance(value, Tensor) and value.ndim == 1 and parameter.ndim == 2:
                        moments[name] = value.view_as(parameter)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, tensors on the CPU, read without unpickling code. Raises TrainingError where it is damaged."""
    try:
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(f"{path}: damaged or not a checkpoint of ours ({type(error).__name__})") from None
    return loaded


def trained_network(checkpoint: dict[str, Any], name: str) -> networks.Framed:
    """The averaged network out of a checkpoint that StyleModule saved, in evaluation mode."""
    prefix = "ema.module."
    state = {key.removeprefix(prefix): v for key, v in checkpoint["state_dict"].items() if key.startswith(prefix)}
    styles = next((len(v) for key, v in state.items() if key.endswith(".affine") and v.ndim == 2), 1)
    net = networks.build(networks.name_of(name, state), styles)
    net.load_state_dict(state)
    net.eval()
    return net
