"""A trained network as one .onnx file, written only where ONNX Runtime agrees with torch."""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from onestroke.arrays import Array
from onestroke.card import PRECISIONS, ModelCard
from onestroke.config import schema
from onestroke.config import training as configs
from onestroke.config.training import SAMPLE_PAINTING, style_name, style_names
from onestroke.errors import ConfigError, ModelError, because
from onestroke.exporting.precision import calibration_photos, convert
from onestroke.exporting.verify import fault, parity
from onestroke.exporting.web import convert_file
from onestroke.files import replacing
from onestroke.logs import quiet
from onestroke.networks.layers import Framed
from onestroke.networks.registry import entry, name_of
from onestroke.networks.wrappers import WRAPPERS
from onestroke.training.checkpoint import CHECKPOINT, CONFIG, OBJECTIVE, load_checkpoint, trained_network

OPSET = 18
# How the painting is blended with the photo below the strength SOLID. Above it uint8 models skip the sum, which costs time.
BLEND = {
    "float": """agraph (float strength, float[N, 3, H, W] image, float[N, 3, H, W] painted) => (float[N, 3, H, W] stylized)
    <float solid = {SOLID}, float one = {1}> {
        ratio = Div(strength, solid)
        share = Min(ratio, one)
        change = Sub(painted, image)
        part = Mul(change, share)
        stylized = Add(image, part)
    }""",
    "uint8": """agraph (float strength, uint8[N, H, W, 3] image, uint8[N, H, W, 3] painted) => (uint8[N, H, W, 3] stylized)
    <float solid = {SOLID}, float half = {0.5}, float least = {0}, float most = {255}> {
        full = GreaterOrEqual(strength, solid)
        stylized = If(full) <
            then_branch = whole () => (uint8[N, H, W, 3] as_painted) { as_painted = Identity(painted) },
            else_branch = mixed () => (uint8[N, H, W, 3] blended) {
                before = Cast<to = 1>(image)
                after = Cast<to = 1>(painted)
                change = Sub(after, before)
                share = Div(strength, solid)
                part = Mul(change, share)
                sum = Add(before, part)
                up = Add(sum, half)
                level = Clip(up, least, most)
                blended = Cast<to = 2>(level)
            }
        >
    }""",
}


def export_run(
    folder: Path,
    target: Path | None = None,
    io: str = "uint8",
    precision: str = "fp32",
    *,
    overwrite: bool = False,
    web: bool = False,
) -> Path:
    """Export what the run in `folder` has reached, to `target` or RUN/<painting>.onnx (fp16, int8: <painting>_fp16.onnx).

    `web`: in the form that browsers run (exporting/web.py), <painting>_web.onnx.
    Returns the file. Raises ConfigError where there is no run, for an unknown `io` or `precision`, and rather than replace
    a file (unless `overwrite`) other than a model of ours in the run's own folder; DataError where int8 finds no photos;
    ModelError as `export` does.
    """
    if io not in WRAPPERS or precision not in PRECISIONS:
        raise ConfigError(f"io, precision: {io}, {precision}; choose from {', '.join(WRAPPERS)} and {', '.join(PRECISIONS)}")
    if not (folder / CHECKPOINT).is_file() or not (folder / CONFIG).is_file():
        raise ConfigError(f"{folder}: not a run folder ({CHECKPOINT} and {CONFIG} expected); `onestroke train` makes them")
    config = configs.load_run(folder / CONFIG)
    names = style_names(config.style_image)
    name = style_name(config.style_image)
    target = target or folder / f"{name}{'' if precision == 'fp32' else f'_{precision}'}{'_web' if web else ''}.onnx"
    if target.suffix != ".onnx":
        raise ConfigError(f"out: {target} does not end in .onnx")
    if target.exists() and not overwrite and not (target.resolve().parent == folder.resolve() and _is_ours(target)):
        raise ConfigError(f"{target}: exists already; add --overwrite to replace it, or name another place with -o")
    checkpoint = load_checkpoint(folder / CHECKPOINT)
    finished = (folder / OBJECTIVE).is_file() and checkpoint["global_step"] >= config.steps  # what was judged is exported
    net = trained_network(checkpoint, config.network)
    card = make_card(
        target.stem,
        name_of(config.network, checkpoint["state_dict"]),
        net,
        painting=config.title or ", ".join(Path(path).name for path in config.style_image) or SAMPLE_PAINTING,
        styles=names if len(names) > 1 else [],
        license=config.license or ("" if config.style_image else "Apache-2.0"),
        style_levels=config.style_levels,
        grain=config.grain,
        io=io,
        precision=precision,
        vgg=config.vgg,
        steps=checkpoint["global_step"],
        train_size=config.size,
        objective=schema.read_yaml(folder / OBJECTIVE) if finished else {},
    )
    if config.supervision == "pairs":  # which show one strength only: weaker is a blend, and stronger there is none
        card = replace(card, solid=1.0, strongest=1.0)
    export(net, card, target, calibration_photos(config.content) if precision == "int8" else ())
    if web:
        convert_file(target, target)
    return target


def _is_ours(path: Path) -> bool:
    """Whether a file is a model that this program exported."""
    try:
        metadata = {entry.key: entry.value for entry in onnx.load(path, load_external_data=False).metadata_props}
        ModelCard.from_metadata(metadata, str(path))
    except Exception:  # ours, the system's, or protobuf's, which have no public base
        return False
    return True


def make_card(name: str, network: str, net: Framed, **known: Any) -> ModelCard:
    """The card of a network, from its entry in NETWORKS and what the caller knows of its training."""
    spec = entry(network)
    return ModelCard(
        name=name,
        network=network,
        parameters=sum(p.numel() for p in net.parameters()),
        minimum=spec.minimum,
        multiple=spec.multiple,
        halo=spec.halo,
        tiling=spec.tiling,
        solid=spec.solid,
        strongest=spec.strongest,
        onestroke_version=importlib.metadata.version("onestroke"),
        **known,
    )


def export(net: Framed, card: ModelCard, path: Path, photos: Sequence[Array] = ()) -> ModelCard:
    """Write `path` in the card's io and precision, after checking it through the runtime; returns the card with its parity.

    `photos`, uint8 [H, W, 3], calibrate int8; the sample photos do where there are none. Raises ModelError, and leaves `path`
    as it was, where onnx.checker objects, where ONNX Runtime and torch differ by more than parity.py allows for the
    precision, or where the place cannot be written.
    """
    wrapper = WRAPPERS[card.io](net).eval()
    model = convert(_trace(wrapper, card), card, photos)
    _blend(model.graph, onnx.parser.parse_graph(BLEND[card.io].replace("SOLID", str(card.solid))), net.styles)
    try:
        with replacing(path) as temporary:
            _save(model, card, temporary)
            card = replace(card, parity=parity(wrapper, card, temporary))
            if wrong := fault(card):
                raise ModelError(f"{path}: not written: {wrong}")
            _save(model, card, temporary)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({because(error)})") from None
    return card


def _trace(wrapper: nn.Module, card: ModelCard) -> onnx.ModelProto:
    """The ONNX graph with dynamic N, H, W, up to what the network itself paints."""
    n, h, w = torch.export.Dim("N", min=1), torch.export.Dim("H", min=card.minimum), torch.export.Dim("W", min=card.minimum)
    if card.io == "uint8":
        image, dims = torch.randint(0, 256, (2, 72, 88, 3), dtype=torch.uint8), {0: n, 1: h, 2: w}
    else:
        image, dims = torch.rand(2, 3, 72, 88), {0: n, 2: h, 3: w}
    inputs = {"image": image, "strength": torch.tensor(1.0)}
    if card.styles:
        inputs["styles"] = torch.full((len(card.styles),), 1 / len(card.styles))
    with warnings.catch_warnings(), quiet("torch.onnx"), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            wrapper,
            tuple(inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=["painted"],
            dynamic_shapes=(dims, *({} for _ in range(len(inputs) - 1))),
            opset_version=OPSET,
            verbose=False,
        )
    model: onnx.ModelProto = program.model_proto  # type: ignore[union-attr]
    # Where in the source each operator came from, a sixth of the file, would name this computer's folders.
    for part in (model.graph, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del part.metadata_props[:]
    del model.graph.value_info[:]
    return model


def _blend(graph: onnx.GraphProto, blend: onnx.GraphProto, styles: int) -> None:
    """Let `blend` follow the graph; inputs that may be left out: `strength` (1.0) and `styles` (the first one alone)."""
    del graph.output[:]
    graph.node.extend(blend.node)
    defaults = {"strength": np.asarray(1.0, np.float32), "styles": np.eye(1, styles, dtype=np.float32)[0]}
    known = [value.name for value in graph.input]
    if "strength" not in known:  # a network that is told no strength
        graph.input.append(blend.input[0])
    graph.initializer.extend(blend.initializer)
    for name in ("strength", "styles"):
        if name == "strength" or name in known:
            graph.initializer.append(onnx.numpy_helper.from_array(defaults[name], name))
    graph.output.extend(blend.output)


def _save(model: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    onnx.helper.set_model_props(model, card.to_metadata())
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{path}: not a valid ONNX graph ({because(error)})") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
