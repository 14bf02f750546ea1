"""Weights to begin from: a network that has learned other paintings learns the next in half the steps (docs/experiments.md)."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor

from onestroke import bundled
from onestroke.card import ModelCard
from onestroke.errors import ConfigError, ModelError
from onestroke.inference.session import refuse_other_files
from onestroke.networks import registry as networks
from onestroke.networks.layers import Framed
from onestroke.networks.resize import transplant
from onestroke.networks.wrappers import WRAPPERS

# What `initialize_from` may be beside a model: the base, or random weights for a network that does not begin with it; random
# weights; the base, which is one network that learned eleven paintings in turn (configs/base.yaml).
AUTO, NONE, BASE = "auto", "none", "base"
_BASE_FILE = Path(str(importlib.resources.files(__package__) / "base.onnx"))


def initial_weights(source: str, network: str, styles: Sequence[str]) -> dict[str, Tensor] | None:
    """The state of networks.build(network, len(styles)) to start from; None: random weights.

    source: "auto", "none", "base", the name of a bundled style, or a file exported in fp32, fp16 or w8, of `network` or of
    another size of it. A style that the model has by name keeps its gains and biases, any other one with the mean of
    all. Raises ConfigError for another kind of network or int8, and ModelError for what is no model of ours.
    """
    if source == AUTO:
        source = BASE if networks.entry(network).from_base else NONE
    if source == NONE:
        return None
    path = _BASE_FILE if source == BASE else bundled.path(source)
    kind, known, stored = _read(path)
    if kind != network:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same new channels in every run
            net = networks.build(network, stored.styles)
        try:
            transplant(stored.body, net.body)
        except ValueError:
            raise ConfigError(
                f"initialize_from: {path} is a {kind}, not a {network}; use --network {kind}, or --initialize-from none"
            ) from None
        stored = net
    state = stored.state_dict()
    for key, value in state.items():
        if key.endswith((".affine", ".slope")):
            mean = value.mean(0)
            state[key] = torch.stack([value[known.index(style)] if style in known else mean for style in styles])
    return state


def _read(path: Path) -> tuple[str, list[str], Framed]:
    """Which network a model is, the names of its styles, and that network with its weights."""
    refuse_other_files(path)
    try:
        model = onnx.load(path)
    except Exception as error:  # what protobuf raises has no public base
        raise ModelError(f"{path}: not an ONNX model, or a damaged one ({type(error).__name__})") from None
    card = ModelCard.from_metadata({entry.key: entry.value for entry in model.metadata_props}, str(path))
    if card.precision == "int8":
        raise ConfigError(f"initialize_from: {path} is in int8; name its fp32, fp16 or w8 file")
    stored = _weights({part.name: onnx.numpy_helper.to_array(part) for part in model.graph.initializer})
    kind = networks.name_of(card.network, stored)
    styles = card.styles or [card.name]
    try:
        net = networks.build(kind, len(styles))
        wrapper = WRAPPERS[card.io](net)
        wrapper.load_state_dict({name: torch.from_numpy(stored[name].copy()).float() for name in wrapper.state_dict()})
    except (ConfigError, KeyError, RuntimeError, TypeError):
        raise ModelError(f"{path}: its weights are not those of a {card.network} of today; export it again") from None
    wrapper.unfold()
    net.load_state_dict(dict(zip(net.state_dict(), wrapper.state_dict().values(), strict=True)))
    return kind, styles, net


def _weights(stored: dict[str, Any]) -> dict[str, Any]:
    """Arrays under torch's names, from those of a file: float16, or int8 and a scale (exporting/precision.py)."""
    whole = {name.removesuffix(".half"): values for name, values in stored.items()}
    scaled = {name.removesuffix(".int8"): values * stored[f"{name.removesuffix('.int8')}.scale"]
              for name, values in stored.items() if name.endswith(".int8")}  # fmt: skip
    return whole | scaled
