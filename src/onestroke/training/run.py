"""One training run, from its configuration to weights and their objective."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from onestroke.arrays import Array, resize
from onestroke.config import schema
from onestroke.config import training as configs
from onestroke.config.training import TrainConfig, style_names
from onestroke.errors import ConfigError, Diverged, TrainingError, because
from onestroke.events import Note, Report, Stage, silent
from onestroke.locking import locked
from onestroke.networks.registry import name_of
from onestroke.saving import save_image
from onestroke.training import callbacks
from onestroke.training.budget import Clock
from onestroke.training.checkpoint import CHECKPOINT, CONFIG, OBJECTIVE, load_checkpoint, trained_network
from onestroke.training.initialize import initial_weights
from onestroke.training.module import StyleModule
from onestroke.training.processes import rank
from onestroke.training.setup import Parts, new_module, prepare, with_crops
from onestroke.training.trainer import interruptible, new_trainer, quiet_lightning

MOST_RETRIES = 3
# The share of a time budget that is for training; the rest is for the objective, the export and the sample.
TRAINING = 0.95
PREVIEW_SIDE = 512
FEW = 100  # steps, less than half of what four minutes of two cores give


@dataclass(frozen=True)
class Trained:
    """Where a run left its weights: after how many steps, with what held-out objective, and the photo to draw a sample from.

    `finished` is False where the report stopped it, and in all processes but the first; the objective is empty then.
    """

    folder: Path
    steps: int
    finished: bool
    objective: dict[str, float]
    preview: Array


def train(config: TrainConfig, folder: Path, report: Report = silent) -> Trained:
    """Train into `folder`, on from its checkpoint if it has one; then measure the objective on held-out photos.

    Raises a OnestrokeError for anything wrong with the input before the folder is touched, and TrainingError where the
    loss diverged again after MOST_RETRIES halvings of the rate.
    """
    began = time.monotonic()
    config = with_crops(config)
    first = rank(config.devices, config.nodes) == 0
    if first:
        _refuse_another(config, folder)
    else:
        report = silent
    weights = None
    if (folder / CHECKPOINT).exists():
        checkpoint = load_checkpoint(folder / CHECKPOINT)
        config = replace(config, network=name_of(config.network, checkpoint["state_dict"]))
        trained_network(checkpoint, config.network)  # so that a foreign one is found now
    else:
        weights = initial_weights(config.initialize_from, config.network, style_names(config.style_image))
    with quiet_lightning(), ExitStack() as stack:
        parts = prepare(config, report)
        if first:
            stack.enter_context(locked(folder))
            _make_folder(config, parts, folder)
        report(Stage("training"))
        module, steps = _Fit(config, parts, folder, report, began, first).run(weights)
        if not first or module.rate.steps is None or steps < module.rate.steps:
            return Trained(folder, steps, False, {}, parts.preview)
        report(Stage("finishing"))
        judge = new_trainer(folder, parts.device, [], bf16=parts.bf16)
        with interruptible():
            found = judge.validate(module, datamodule=parts.photos, verbose=False)[0]
    objective = {name.removeprefix("val/"): round(float(value), 5) for name, value in found.items()}
    schema.write_mapping(objective, folder / OBJECTIVE)
    return Trained(folder, steps, True, objective, parts.preview)


def _make_folder(config: TrainConfig, parts: Parts, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        schema.write_yaml(config, folder / CONFIG)
        for name, painting in zip(style_names(config.style_image), parts.style_images, strict=True):
            save_image(folder / "previews" / f"style_{name}.jpg", resize(painting, longer=PREVIEW_SIDE))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({because(error)})") from None


def _refuse_another(config: TrainConfig, folder: Path) -> None:
    """Raise ConfigError where `folder` holds a run with other settings, which would pass for this one."""
    if not ((folder / CHECKPOINT).is_file() and (folder / CONFIG).is_file()):
        return
    if other := configs.differing(configs.load_run(folder / CONFIG), config):
        raise ConfigError(f"{folder}: holds a run with another {', '.join(other)}; name another folder, or delete it")


class _Fit:
    """The steps of a run; after a divergence it goes back to the last checkpoint with half the rate."""

    def __init__(self, config: TrainConfig, parts: Parts, folder: Path, report: Report, began: float, first: bool) -> None:
        """`first`: this process writes into the folder (see processes.rank)."""
        self.config, self.parts, self.folder, self.report, self.first = config, parts, folder, report, first
        self.checkpoint = folder / CHECKPOINT
        open_share = config.pair_share if config.supervision == "both" and not config.pair_steps else 0.0
        self.clock = Clock(config.minutes * 60 * TRAINING, began, self._settled, open_share)

    def _settled(self, **found: Any) -> None:
        """Write down what the time budget has become, so that the run can be repeated."""
        if "steps" in found:
            found["minutes"] = 0.0
            steps = found["steps"]
            self.report(Note(f"{steps} steps fit the time; --steps {steps} repeats this run"))
            if steps < FEW:
                self.report(Note("those are few: the machine is busy or slow, and more --minutes make a better picture"))
        self.config = replace(self.config, **found)
        if self.first:
            schema.write_yaml(self.config, self.folder / CONFIG)

    def run(self, weights: dict[str, Tensor] | None) -> tuple[StyleModule, int]:
        """Fit, from `weights` if any, or on from the checkpoint; the module and the step it reached."""
        scale = 1.0
        while True:
            module = new_module(self.config, self.parts.step, weights, self.report)
            module.rate_scale = scale
            start = 0
            if self.checkpoint.exists():
                saved = load_checkpoint(self.checkpoint)
                start = saved["global_step"]
                if module.rate.steps is not None and start >= module.rate.steps:
                    module.load_state_dict(saved["state_dict"])
                    return module, start
            self.parts.photos.start = start
            trainer = self._trainer(module.rate.steps)
            path = self.checkpoint if self.checkpoint.exists() else None
            try:
                with interruptible():
                    trainer.fit(module, datamodule=self.parts.photos, ckpt_path=path)
                return module, trainer.global_step
            except OSError as error:  # a full disk, met by metrics.csv or TensorBoard
                why = f"cannot be written ({because(error)}); make room, then add --resume"
                raise TrainingError(f"{self.folder}: {why}") from None
            except Diverged as error:
                scale = module.rate_scale / 2
                if scale < 0.5**MOST_RETRIES:
                    again = f"{error}, even at 1/{2**MOST_RETRIES} of the rate"
                    raise TrainingError(f"{again}; use a smaller --rate than {module.rate.peak:g}") from None
                back = load_checkpoint(self.checkpoint)["global_step"]
                self.report(Note(f"{error}; going back to step {back} with half the rate", warning=True))
            except RuntimeError as error:  # what the processes' connection raises has no type of its own
                if self.config.devices * self.config.nodes == 1:
                    raise
                said = f"a process of this run failed ({str(error).splitlines()[0]})"
                raise TrainingError(f"{said}; see what the others say, then go on with --resume") from error

    def _trainer(self, steps: int | None) -> pl.Trainer:
        config = self.config
        hooks: list[pl.Callback] = [
            self.clock,
            callbacks.Events(self.report, config.batch, self.clock),
        ]
        if self.first:
            photo = resize(self.parts.preview, longer=PREVIEW_SIDE)
            hooks += [
                callbacks.Previews(photo, self.folder / "previews", config.preview_every, self.report),
                callbacks.Metrics(self.folder / "metrics.csv"),
            ]
        hooks.append(callbacks.Checkpoint(self.checkpoint, config.save_every))  # last: what a step saved is not done again
        return new_trainer(
            self.folder, self.parts.device, hooks,
            bf16=self.parts.bf16, steps=steps, val_every=config.val_every, clip=config.clip,
            devices=config.devices, nodes=config.nodes, unused=self.parts.step.pair_loss is not None,
        )  # fmt: skip
