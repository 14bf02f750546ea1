"""The web form of a model: the same pictures, from a graph that browsers run without leaving the GPU. Never imports torch.

Three things stand between an ordinary file and a browser. An input with a default value is hidden there, so `strength` is
asked for, and `styles` too where a model has several. WebGPU has no kernels that move uint8, so pixels are cast before they
are arranged, and back at the very end. And an `If` sends both its branches to the CPU, so the blend with the photo is
arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from onestroke.card import ModelCard
from onestroke.errors import ModelError, because
from onestroke.files import replacing

IMAGE, STRENGTH, STYLES, PAINTED, OUTPUT = "image", "strength", "styles", "painted", "stylized"
HALF = 0.5  # what levels are raised by before they are cut to whole numbers


def convert_file(source: Path, target: Path) -> ModelCard:
    """Write the web form of the onestroke model `source` to `target`, atomically; returns its card.

    Raises ModelError where `source` is no model of ours or is damaged, or where `target` cannot be written.
    """
    model, card = read(source)
    try:
        with replacing(target) as temporary:
            onnx.save(to_web(model, card, str(source)), temporary)
    except OSError as error:
        raise ModelError(f"{target}: cannot be written ({because(error)})") from None
    return card


def read(source: Path) -> tuple[onnx.ModelProto, ModelCard]:
    """A onestroke .onnx file and its card. Raises ModelError for anything else."""
    try:
        model = onnx.load(source)
    except Exception as error:  # OSError, or protobuf's DecodeError, which has no public base
        raise ModelError(f"{source}: not an ONNX model, or a damaged one ({because(error)[:160]})") from None
    return model, ModelCard.from_metadata({entry.key: entry.value for entry in model.metadata_props}, str(source))


def to_web(model: onnx.ModelProto, card: ModelCard, source: str) -> onnx.ModelProto:
    """The web form of `model`, which stays as it is: shapes and card as before, and no input that may be left out.

    A model that has this form already is returned as a copy. Raises ModelError, naming `source`, for a graph that is not
    built as `onestroke export` builds them.
    """
    web = onnx.ModelProto()
    web.CopyFrom(model)
    graph = web.graph
    _ask_for_all(graph)
    if any(node.op_type == "If" for node in graph.node):
        _cast_first(graph)
        solid = next((numpy_helper.to_array(value) for value in graph.initializer if value.name == "solid"), None)
        back = _cast_of_levels(graph.node)
        if solid is None or back is None:
            raise ModelError(f"{source}: a graph of a kind that has no web form; export it again")
        _cast_last(graph, back, float(solid))
    _drop_unused(graph)
    try:
        onnx.checker.check_model(web, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelError(f"{source}: its web form is no valid graph ({because(error)[:160]}); export it again") from None
    return web


def _ask_for_all(graph: onnx.GraphProto) -> None:
    """Take the defaults away from `strength` and `styles`."""
    kept = [value for value in graph.initializer if value.name not in (STRENGTH, STYLES)]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    if STRENGTH not in {value.name for value in graph.input}:
        graph.input.append(helper.make_tensor_value_info(STRENGTH, TensorProto.FLOAT, []))


def _cast_first(graph: onnx.GraphProto) -> None:
    """Transpose then Cast becomes Cast then Transpose."""
    for turn in graph.node:
        cast = next((node for node in graph.node if node.op_type == "Cast" and node.input[0] == turn.output[0]), None)
        if turn.op_type == "Transpose" and turn.input[0] == IMAGE and cast is not None:
            turn.op_type, cast.op_type = "Cast", "Transpose"
            attributes = list(turn.attribute), list(cast.attribute)
            for node, given in ((turn, attributes[1]), (cast, attributes[0])):
                del node.attribute[:]
                node.attribute.extend(given)
            return


def _cast_of_levels(nodes: Iterable[NodeProto]) -> NodeProto | None:
    """The node that makes levels of what the network paints."""
    return next((node for node in nodes if node.op_type == "Cast" and _target(node) == TensorProto.UINT8), None)


def _cast_last(graph: onnx.GraphProto, back: NodeProto, solid: float) -> None:
    """Arrange the pixels as floats, and blend by arithmetic in place of the `If`; then one Cast ends the graph."""
    nodes = [node for node in graph.node if node.op_type != "If" and node is not back]
    for node in nodes:
        for place, name in enumerate(node.input):
            if name == back.output[0]:
                node.input[place] = back.input[0]
    del graph.value_info[:]
    del graph.node[:]
    graph.node.extend([*nodes, *_blend()])
    for name, value in (("web.solid", solid), ("web.one", 1.0), ("web.half", HALF)):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), name))


def _blend() -> Iterator[NodeProto]:
    """`painted`, HALF above its levels, with what of the photo is to show: all of it at strength 0, none from solid on."""
    yield helper.make_node("Div", [STRENGTH, "web.solid"], ["web.ratio"])
    yield helper.make_node("Min", ["web.ratio", "web.one"], ["web.share"])
    yield helper.make_node("Sub", ["web.one", "web.share"], ["web.rest"])
    yield helper.make_node("Cast", [IMAGE], ["web.photo"], to=TensorProto.FLOAT)
    yield helper.make_node("Add", ["web.photo", "web.half"], ["web.raised"])
    yield helper.make_node("Sub", ["web.raised", PAINTED], ["web.change"])
    yield helper.make_node("Mul", ["web.change", "web.rest"], ["web.part"])
    yield helper.make_node("Add", [PAINTED, "web.part"], ["web.levels"])
    yield helper.make_node("Cast", ["web.levels"], [OUTPUT], to=TensorProto.UINT8)


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Leave out operators and constants that nothing asks for any more."""
    wanted, nodes = {value.name for value in graph.output}, list[NodeProto]()
    for node in reversed(graph.node):
        if wanted & set(node.output):
            wanted |= set(node.input)
            nodes.insert(0, node)
    del graph.node[:]
    graph.node.extend(nodes)
    constants = [value for value in graph.initializer if value.name in wanted]
    del graph.initializer[:]
    graph.initializer.extend(constants)


def _target(node: NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "to"), 0)
