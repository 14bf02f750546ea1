"""One training run from its configuration to the exported model: what `train.py` does."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from rich.console import Console
from torch import Tensor

from onestroke import config as configs
from onestroke.config import TrainConfig, style_names
from onestroke.errors import ConfigError, Diverged, TrainingError, because
from onestroke.fast import callbacks
from onestroke.fast.export import export_run
from onestroke.fast.module import CHECKPOINT, CONFIG, OBJECTIVE, StyleModule, load_checkpoint, peak_rate
from onestroke.fast.networks import name_of
from onestroke.fast.prepare import Materials, in_bf16, pair_steps, prepare, with_crops
from onestroke.fast.start import starting_weights
from onestroke.images import resize, save_image
from onestroke.runtime.stylize import Stylizer

MOST_RETRIES = 3
# The share of a time budget that is for training; the rest is for the objective, the export and the sample.
TRAINING = 0.95
PREVIEW_SIDE = 512


@dataclass(frozen=True)
class Result:
    """Where a run left what; `model` and `sample` are None after Ctrl-C."""

    folder: Path
    steps: int
    objective: dict[str, float]
    model: Path | None = None
    sample: Path | None = None


def train(config: TrainConfig, folder: Path, console: Console) -> Result:
    """Train into `folder`, on from its checkpoint if it has one; then validate, export and draw a sample.

    Raises a OnestrokeError for anything wrong with the input before the folder is touched, and TrainingError where the
    loss diverged again after MOST_RETRIES halvings of the rate.
    """
    began = time.monotonic()
    _quiet_lightning()
    config = with_crops(config)
    _refuse_another(config, folder)
    weights = None
    if (folder / CHECKPOINT).exists():
        config = replace(config, network=name_of(config.network, load_checkpoint(folder / CHECKPOINT)["state_dict"]))
    else:
        weights = starting_weights(config.start, config.network, style_names(config.painting))
    materials = prepare(config, console)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        configs.write_yaml(config, folder / CONFIG)
        for name, painting in zip(style_names(config.painting), materials.paintings, strict=True):
            save_image(folder / "previews" / f"style_{name}.jpg", resize(painting, longer=PREVIEW_SIDE))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({because(error)})") from None
    module, steps = _fit(config, materials, weights, folder, console, began)
    if steps < module.config.steps or module.config.minutes:
        return Result(folder, steps, {})
    with _interruptible():
        found = _trainer(config, folder, materials.device, []).validate(module, datamodule=materials.photos, verbose=False)[0]
    objective = {name.removeprefix("val/"): round(float(value), 5) for name, value in found.items()}
    configs.write_mapping(objective, folder / OBJECTIVE)
    model = export_run(folder)
    sample = folder / "sample.png"
    save_image(sample, Stylizer(model, device="cpu")(materials.preview))
    return Result(folder, steps, objective, model, sample)


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
    console: Console,
    began: float,
) -> tuple[StyleModule, int]:
    """Fit, from `weights` if any; after a divergence go back to the last checkpoint with half the rate.

    Returns the step reached.
    """
    checkpoint, scale = folder / CHECKPOINT, 1.0

    def settled(found: TrainConfig) -> None:
        nonlocal config
        config = found
        configs.write_yaml(config, folder / CONFIG)
        if not config.minutes:
            console.print(f"{config.steps} steps fit the time; --steps {config.steps} repeats this run")

    while True:
        module = StyleModule(config, materials.loss, materials.pair_loss, pair_steps(config), weights)
        module.rate_scale = scale
        start = 0
        if checkpoint.exists():
            saved = load_checkpoint(checkpoint)
            start = saved["global_step"]
            if start >= config.steps and not config.minutes:
                module.load_state_dict(saved["state_dict"], strict=False)
                return module, start
        materials.photos.start = start
        clock = callbacks.Clock(config.minutes * 60 * TRAINING, began, settled)
        trainer = _trainer(
            config,
            folder,
            materials.device,
            [
                clock,
                callbacks.StopOnInterrupt(),
                callbacks.Checkpoint(checkpoint, config.save_every),
                callbacks.Previews(resize(materials.preview, longer=PREVIEW_SIDE), folder / "previews", config.preview_every),
                callbacks.Metrics(folder / "metrics.csv"),
                callbacks.ProgressLine(console, config.batch, clock),
            ],
        )
        try:
            with _interruptible():
                trainer.fit(module, datamodule=materials.photos, ckpt_path=checkpoint if start else None)
            return module, trainer.global_step
        except Diverged as error:
            scale = module.rate_scale / 2
            if scale < 0.5**MOST_RETRIES:
                again = f"{error}, even at 1/{2**MOST_RETRIES} of the rate"
                raise TrainingError(f"{again}; use a smaller --rate than {peak_rate(config):g}") from None
            back = load_checkpoint(checkpoint)["global_step"]
            console.print(f"{error}; going back to step {back} with half the rate", style="yellow")


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


def _quiet_lightning() -> None:
    """Lightning's hints about workers and loggers do not fit what this program does."""
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for module in ("pytorch_lightning", "lightning_fabric", "torch.utils.data"):
        warnings.filterwarnings("ignore", module=module)
