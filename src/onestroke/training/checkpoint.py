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
    state = loaded.get("state_dict") if isinstance(loaded, dict) else None
    if not (isinstance(state, dict) and state and all(_is_weight(*entry) for entry in state.items())):
        raise TrainingError(f"{path}: a file of torch, but not a checkpoint of ours; name the folder of another run")
    if not (isinstance(loaded.get("global_step"), int) and loaded["global_step"] >= 0):
        raise TrainingError(f"{path}: does not say how many steps were taken; name the folder of another run")
    return loaded


def _is_weight(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, torch.Tensor)


def trained_network(checkpoint: dict[str, Any], name: str) -> Framed:
    """The averaged network out of a checkpoint that StyleModule saved, in evaluation mode.

    Raises TrainingError where the weights are those of another network.
    """
    prefix = "ema.module."
    state = {key.removeprefix(prefix): v for key, v in checkpoint["state_dict"].items() if key.startswith(prefix)}
    styles = next((len(v) for key, v in state.items() if key.endswith(".affine") and v.ndim == 2), 1)
    net = networks.build(networks.name_of(name, state), styles)
    try:
        net.load_state_dict(state)
    except RuntimeError:
        raise TrainingError(f"{CHECKPOINT}: its weights are not those of a {name}; name the folder of another run") from None
    net.eval()
    return net
