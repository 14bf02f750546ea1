"""Opens a .onnx model for ONNX Runtime: checks that it is ours, and that a GPU paints right. Never imports torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from onestroke import bundled
from onestroke.arrays import Array
from onestroke.card import ModelCard
from onestroke.config.devices import CPU
from onestroke.errors import ConfigError, ModelError, OnestrokeError, because
from onestroke.inference.devices import open_session

# Levels of 255 by which a GPU may differ from the CPU, and the side of the picture that both paint to see it.
TOLERANCE, PROBE = 4, 96
MOST_BYTES = 1 << 29  # of a model file
# A run after which ONNX Runtime gives the processor's memory back, which it otherwise keeps for the next one.
_GIVEN_BACK = onnxruntime.RunOptions()
_GIVEN_BACK.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")


@dataclass
class Model:
    """An open model: its card, where it runs ("cpu", "cuda" or "webgpu"), and why not on something faster."""

    session: Any
    card: ModelCard
    device: str
    note: str = ""

    def run(
        self, images: Array, strength: float = 1.0, styles: NDArray[np.float32] | None = None, *, once: bool = False
    ) -> Array:
        """uint8 [N, H, W, 3] RGB to the same shape; H, W at least the card's minimum; strength: 0 to the card's `strongest`.

        styles: how much of each of the card's styles (see `mix`); None: the first one. once: no picture of this size is
        likely to follow, so that ONNX Runtime need not keep the memory for it.
        """
        feed = {"image": as_input(images, self.card), "strength": np.asarray(strength, np.float32)}
        weights = mix("", self.card) if styles is None else styles
        if weights is not None:
            feed["styles"] = weights
        painted = levels(self.session.run(["stylized"], feed, _GIVEN_BACK if once else None)[0], self.card)
        if painted.shape != images.shape:
            raise ModelError(f"{self.card.name}: paints {list(images.shape)} as {list(painted.shape)}; export it again")
        return painted


def split_mix(text: str) -> list[tuple[str, str]]:
    """ "a:0.7,b:0.3" as names and weights, which are empty where none is said."""
    parts = [part.strip().partition(":") for part in text.split(",")]
    return [(name, weight) for name, _, weight in parts]


def mix(text: str, card: ModelCard) -> NDArray[np.float32] | None:
    """ "a:0.7,b:0.3", or "a" alone, as the weight of each of the card's styles [S]; "" is the first; None where there is one.

    Raises ConfigError for a style that the model lacks, and for weights that are negative or do not add up to 1.
    """
    if not text:
        return np.eye(1, len(card.styles), dtype=np.float32)[0] if card.styles else None
    known = card.styles or [card.name]
    weights = dict.fromkeys(known, 0.0)
    for name, weight in split_mix(text):
        if name not in weights:
            raise ConfigError(f"style: {card.name} has no {name!r}; it has {', '.join(known)}")
        try:
            weights[name] += float(weight or 1)
        except ValueError:
            raise ConfigError(f"style: {weight!r} is no weight for {name}; use {name}:0.5") from None
    total = sum(weights.values())
    if not (abs(total - 1) < 0.01 and all(weight >= 0 for weight in weights.values())):
        raise ConfigError(f"style: the weights in {text!r} add up to {total:g}; they must add up to 1, none below 0")
    return np.array([weights[name] / total for name in known], np.float32) if card.styles else None


def as_input(images: Array, card: ModelCard) -> NDArray[Any]:
    """uint8 [N, H, W, 3] as the model's graph wants it."""
    return images if card.io == "uint8" else np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def levels(result: NDArray[Any], card: ModelCard) -> Array:
    """What the model's graph returns, as uint8 [N, H, W, 3]."""
    if card.io == "uint8":
        return result
    return np.clip(result * 255 + 0.5, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def open_model(name: str | Path, device: str = "auto") -> Model:
    """Open a model file or a bundled style on "auto", "cpu", "cuda" or "webgpu" (devices.py).

    A GPU paints a small picture first: where it differs from the CPU by more than TOLERANCE levels, the CPU it is. Raises
    ConfigError for a device that cannot be had, and ModelError for a file that is no ONNX model, damaged or somebody else's.
    """
    path = bundled.path(name)
    refuse_other_files(path)
    model = _open(path, device)
    if model.device == CPU:
        return model
    on_cpu = _open(path, CPU)
    off = int(np.abs(_probe(model).astype(int) - _probe(on_cpu)).max())
    if off <= TOLERANCE:
        return model
    return replace(on_cpu, note=f"{model.device} paints {off} of 255 levels off, which is a fault of its driver")


def _open(path: Path, device: str) -> Model:
    try:
        opened = open_session(path, device)
    except OnestrokeError:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no common public base
        raise ModelError(f"{path}: not an ONNX model, or a damaged one ({_first_line(error)})") from None
    session = opened.session
    card = ModelCard.from_metadata(session.get_modelmeta().custom_metadata_map, str(path))
    names = {i.name for i in session.get_inputs()} | {i.name for i in session.get_overridable_initializers()}
    if not {"image", "strength"} <= names:
        raise ModelError(f"{path}: its inputs are {', '.join(sorted(names))}, not a onestroke model's; export it again")
    _check_picture(session, card, path)
    return Model(session, card, opened.device, opened.note)


def _probe(model: Model) -> Array:
    """A small picture of ramps and noise, painted."""
    ramp = np.linspace(0, 200, PROBE)
    picture = np.stack([ramp[:, None] + 0 * ramp, 0 * ramp[:, None] + ramp, 200 - ramp[:, None] + 0 * ramp], -1)
    picture = picture + np.random.default_rng(0).integers(0, 56, picture.shape)
    return model.run(picture.astype(np.uint8)[None])


def refuse_other_files(path: Path) -> None:
    """Raise ModelError for a model that names other files to read its weights from, which could be anybody's.

    In an .onnx file that is a message whose first field, of 8 letters, is "location".
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelError(f"{path}: larger than {MOST_BYTES >> 20} MB, which no model of ours is")
        found = b"\n\x08location" in path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({because(error)})") from None
    if found:
        raise ModelError(f"{path}: keeps its weights in other files, which are not opened; save it as one file")


def _check_picture(session: Any, card: ModelCard, path: Path) -> None:
    """Raise ModelError unless "image" and "stylized" are batches of pictures as the card says."""
    kind = "tensor(uint8)" if card.io == "uint8" else "tensor(float)"
    values = {value.name: value for value in (*session.get_inputs(), *session.get_outputs())}
    for name in ("image", "stylized"):
        value = values.get(name)
        if value is None or value.type != kind or len(value.shape) != 4:
            raise ModelError(f"{path}: its {name} is no batch of pictures in {card.io}; export it again")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
