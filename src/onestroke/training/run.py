"""One training run, from its configuration to weights and their objective."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from onestroke.config import schema
from onestroke.config import training as configs
from onestroke.config.training import TrainConfig, style_names
from onestroke.errors import ConfigError, Diverged, TrainingError, because
from onestroke.events import Note, Report, Stage, silent
from onestroke.images import Array, resize
from onestroke.locking import locked
from onestroke.logs import quiet
from onestroke.networks.registry import name_of
from onestroke.saving import save_image
from onestroke.training import callbacks
from onestroke.training.budget import Clock
from onestroke.training.checkpoint import CHECKPOINT, CONFIG, OBJECTIVE, load_checkpoint, trained_network
from onestroke.training.initialize import initial_weights
from onestroke.training.module import StyleModule
from onestroke.training.schedule import peak_rate
from onestroke.training.setup import Materials, in_bf16, pair_steps, prepare, with_crops

MOST_RETRIES = 3
# The share of a time budget that is for training; the rest is for the objective, the export and the sample.
TRAINING = 0.95
PREVIEW_SIDE = 512


@dataclass(frozen=True)
class Trained:
    """Where a run left its weights: after how many steps, with what held-out objective, and the photo to draw a sample from.

    `finished` is False where the report stopped it; the objective is empty then.
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
    _refuse_another(config, folder)
    weights = None
    if (folder / CHECKPOINT).exists():
        checkpoint = load_checkpoint(folder / CHECKPOINT)
        config = replace(config, network=name_of(config.network, checkpoint["state_dict"]))
        trained_network(checkpoint, config.network)  # so that a foreign one is found now
    else:
        weights = initial_weights(config.initialize_from, config.network, style_names(config.style_image))
    with _quiet_lightning(), ExitStack() as stack:
        materials = prepare(config, report)
        stack.enter_context(locked(folder))
        _make_folder(config, materials, folder)
        report(Stage("training"))
        module, steps = _fit(config, materials, weights, folder, report, began)
        if steps < module.config.steps or module.config.minutes:
            return Trained(folder, steps, False, {}, materials.preview)
        report(Stage("finishing"))
        judge = _trainer(config, folder, materials.device, [])
        with _interruptible():
            found = judge.validate(module, datamodule=materials.photos, verbose=False)[0]
    objective = {name.removeprefix("val/"): round(float(value), 5) for name, value in found.items()}
    schema.write_mapping(objective, folder / OBJECTIVE)
    return Trained(folder, steps, True, objective, materials.preview)


def _make_folder(config: TrainConfig, materials: Materials, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        schema.write_yaml(config, folder / CONFIG)
        for name, painting in zip(style_names(config.style_image), materials.paintings, strict=True):
            save_image(folder / "previews" / f"style_{name}.jpg", resize(painting, longer=PREVIEW_SIDE))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({because(error)})") from None


def _refuse_another(config: TrainConfig, folder: Path) -> None:
    """Raise ConfigError where `folder` holds a run with other settings, which would pass for this one."""
    if not ((folder / CHECKPOINT).is_file() and (folder / CONFIG).is_file()):
        return
    if other := configs.differing(configs.load(folder / CONFIG), config):
        raise ConfigError(f"{folder}: holds a run with another {', '.join(other)}; name another folder, or delete it")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Lightning makes an exit of a Ctrl-C that it does not know what to do with; the command should say it."""
    try:
        yield
    except SystemExit:
        raise KeyboardInterrupt from None


def _fit(
    config: TrainConfig,
    materials: Materials,
    weights: dict[str, Tensor] | None,
    folder: Path,
    report: Report,
    began: float,
) -> tuple[StyleModule, int]:
    """Fit, from `weights` if any; after a divergence go back to the last checkpoint with half the rate.

    Returns the step reached.
    """
    checkpoint, scale = folder / CHECKPOINT, 1.0

    def settled(found: TrainConfig) -> None:
        nonlocal config
        config = found
        schema.write_yaml(config, folder / CONFIG)
        if not config.minutes:
            report(Note(f"{config.steps} steps fit the time; --steps {config.steps} repeats this run"))

    photo = resize(materials.preview, longer=PREVIEW_SIDE)
    clock = Clock(config.minutes * 60 * TRAINING, began, settled)
    while True:
        module = StyleModule(config, materials.loss, materials.pair_loss, pair_steps(config), weights)
        module.rate_scale = scale
        start = 0
        if checkpoint.exists():
            saved = load_checkpoint(checkpoint)
            start = saved["global_step"]
            if start >= config.steps and not config.minutes:
                module.load_state_dict(saved["state_dict"])
                return module, start
        materials.photos.start = start
        trainer = _trainer(
            config,
            folder,
            materials.device,
            [
                clock,
                callbacks.Events(report, config.batch, clock),
                callbacks.Checkpoint(checkpoint, config.save_every),
                callbacks.Previews(photo, folder / "previews", config.preview_every, report),
                callbacks.Metrics(folder / "metrics.csv"),
            ],
        )
        try:
            with _interruptible():
                trainer.fit(module, datamodule=materials.photos, ckpt_path=checkpoint if checkpoint.exists() else None)
            return module, trainer.global_step
        except Diverged as error:
            scale = module.rate_scale / 2
            if scale < 0.5**MOST_RETRIES:
                again = f"{error}, even at 1/{2**MOST_RETRIES} of the rate"
                raise TrainingError(f"{again}; use a smaller --rate than {peak_rate(config):g}") from None
            back = load_checkpoint(checkpoint)["global_step"]
            report(Note(f"{error}; going back to step {back} with half the rate", warning=True))


def _trainer(config: TrainConfig, folder: Path, device: torch.device, hooks: list[pl.Callback]) -> pl.Trainer:
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if in_bf16(config, device) else "32-true",
        max_steps=-1 if config.minutes else config.steps,
        max_epochs=-1,
        val_check_interval=config.val_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        gradient_clip_val=config.clip or None,
        log_every_n_steps=10,
        logger=TensorBoardLogger(folder, name="tensorboard", version="") if hooks else False,
        callbacks=hooks,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
    )


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning's hints about workers and loggers do not fit what this program does; quiet while it trains, no longer."""
    with quiet("pytorch_lightning", "lightning_fabric", "lightning.pytorch"), warnings.catch_warnings():
        for module in ("pytorch_lightning", "lightning_fabric", "torch.utils.data"):
            warnings.filterwarnings("ignore", module=module)
        yield
