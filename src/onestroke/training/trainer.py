"""Lightning's Trainer as this program uses it: quiet, without its own bars, checkpoints and handling of Ctrl-C."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.strategies import DDPStrategy

from onestroke.logs import quiet


def new_trainer(
    folder: Path,
    device: torch.device,
    hooks: Sequence[pl.Callback],
    *,
    bf16: bool,
    steps: int | None = None,
    val_every: int = 1,
    clip: float = 0.0,
    devices: int = 1,
    nodes: int = 1,
    unused: bool = False,
) -> pl.Trainer:
    """A trainer into `folder`; without `hooks` it only validates. steps: None while a time budget has not settled them.

    devices, nodes: a process for each of `devices` on each of `nodes` machines; `unused` then says that not every step
    reaches every weight.
    """
    # The losses' targets and the average are the same everywhere: nothing but gradients has to go round.
    spread = DDPStrategy(broadcast_buffers=False, find_unused_parameters=unused) if devices * nodes > 1 else "auto"
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=devices,
        num_nodes=nodes,
        strategy=spread,
        use_distributed_sampler=False,  # data.Batches shares out each batch, and all judge by the same photos
        precision="bf16-mixed" if bf16 else "32-true",
        max_steps=-1 if steps is None else steps,
        max_epochs=-1,
        val_check_interval=val_every,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        gradient_clip_val=clip or None,
        log_every_n_steps=10,
        logger=TensorBoardLogger(folder, name="tensorboard", version="") if hooks else False,
        callbacks=[*hooks, _Signals()],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
    )


@contextmanager
def interruptible() -> Iterator[None]:
    """Lightning makes an exit of a Ctrl-C that it does not know what to do with; the command should say it."""
    try:
        yield
    except SystemExit as error:
        raise (error.__context__ if isinstance(error.__context__, KeyboardInterrupt) else KeyboardInterrupt()) from None


class _Signals(pl.Callback):
    """Leaves SIGTERM to whoever took it before Lightning did, which would end a training between two saves."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Before Lightning takes it."""
        self.before = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After that."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.before)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Lightning's hints about workers and loggers do not fit what this program does; quiet while it trains, no longer."""
    with quiet("pytorch_lightning", "lightning_fabric", "lightning.pytorch"), warnings.catch_warnings():
        for module in ("pytorch_lightning", "lightning_fabric", "torch.utils.data"):
            warnings.filterwarnings("ignore", module=module)
        with _quiet_tensorboard():
            yield


@contextmanager
def _quiet_tensorboard() -> Iterator[None]:
    """What TensorBoard's thread meets, a full disk for one, is raised again by its next write: no traceback of its own."""
    before = threading.excepthook

    def told(error: threading.ExceptHookArgs) -> None:
        if not type(error.thread).__module__.startswith("tensorboard."):
            before(error)

    threading.excepthook = told
    try:
        yield
    finally:
        threading.excepthook = before
