"""What a run folder holds to be resumed and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from onestroke.errors import TrainingError
from onestroke.networks import registry as networks
from onestroke.networks.layers import Framed

# What a run folder holds to be resumed and exported.
CHECKPOINT, CONFIG, OBJECTIVE = "last.ckpt", "config.yaml", "objective.yaml"


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, tensors on the CPU, read without unpickling code. Raises TrainingError where it is damaged."""
    try:
        loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise TrainingError(f"{path}: damaged or not a checkpoint of ours ({type(error).__name__})") from None
    return loaded


def trained_network(checkpoint: dict[str, Any], name: str) -> Framed:
    """The averaged network out of a checkpoint that StyleModule saved, in evaluation mode."""
    prefix = "ema.module."
    state = {key.removeprefix(prefix): v for key, v in checkpoint["state_dict"].items() if key.startswith(prefix)}
    styles = next((len(v) for key, v in state.items() if key.endswith(".affine") and v.ndim == 2), 1)
    net = networks.build(networks.name_of(name, state), styles)
    net.load_state_dict(state)
    net.eval()
    return net
