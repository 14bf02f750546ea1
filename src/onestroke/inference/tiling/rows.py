"""How the rows of a strip go through a network's graph: how many come out, and how many of them are wrong at its edges.

An edge of a strip inside the picture is padded as if it were the picture's own. What that spoils is taken away again; here
it is reckoned how much that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from onnx import helper, numpy_helper

from onestroke.errors import ModelError

# Operators that look at no row but their own (those that arrange pixels at the end stay within a position). Others are refused:
# what looks at the whole picture in some other way than instance norm would differ from strip to strip.
_POINTWISE = frozenset((
    "Relu", "LeakyRelu", "PRelu", "Sigmoid", "Tanh", "Clip", "Add", "Sub", "Mul", "Div", "Min", "Max", "Cast", "Identity",
    "Transpose", "Split", "Unsqueeze", "Squeeze", "Concat", "Reshape", "Slice", "DepthToSpace", "If", "InstanceNormalization",
    "BatchNormalization", "QuantizeLinear", "DequantizeLinear",
))  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """The rows of a tensor over a strip of n positions: rate * n + extra, of which, at an edge inside the picture, the
    first `before` and the last `after` are wrong."""

    rate: int
    extra: int = 0
    before: int = 0
    after: int = 0
    channels: int = 0

    @property
    def halo(self) -> int:
        """Positions to add above and below a strip, so that the strip's own rows are right."""
        return -(-max(self.before, self.after - self.extra) // self.rate)

    def padded(self, before: int, after: int) -> Rows:
        """With rows added that are invented."""
        return replace(self, extra=self.extra + before + after, before=self.before + before, after=self.after + after)

    def convolved(self, side: int, stride: int) -> Rows:
        """After a window of `side` rows in steps of `stride`, without padding. Raises ModelError where strides do not fit."""
        if self.rate % stride:
            raise ModelError("a graph that strides below the positions of its card's `multiple`; it cannot be cut into strips")
        reach = (self.extra - side) // stride
        wrong = reach - (self.extra - self.after - side) // stride
        return replace(self, rate=self.rate // stride, extra=reach + 1, before=-(-self.before // stride), after=wrong)

    def resized(self, factor: int, linear: bool) -> Rows:
        """Enlarged; linear interpolation also looks at the neighbor."""
        more = factor if linear else 0
        grown = Rows(self.rate * factor, self.extra * factor, self.before * factor, self.after * factor, self.channels)
        return replace(grown, before=grown.before + more, after=grown.after + more)


def follow(
    nodes: Iterable[Any], known: Mapping[str, Rows], constants: Mapping[str, Any], needs: Callable[[Any], list[str]]
) -> dict[str, Rows]:
    """Rows of every tensor with rows that the nodes, in order, make from the `known` ones. Raises ModelError."""
    found = dict(known)
    for node in nodes:
        carried = [found[name] for name in needs(node) if name in found]
        if carried and node.op_type != "Shape" and not {*node.output} & {*known}:
            found |= dict.fromkeys(node.output, _through(node, _together(carried), constants))
    return found


def _together(carried: list[Rows]) -> Rows:
    """Of tensors that meet in one operator, the rows of the one that spoils most."""
    lead = max(carried, key=lambda rows: (rows.halo, rows.rate))
    alike = [rows for rows in carried if rows.rate == lead.rate]
    return replace(lead, before=max(rows.before for rows in alike), after=max(rows.after for rows in alike))


def _through(node: Any, rows: Rows, constants: Mapping[str, Any]) -> Rows:
    about = {value.name: helper.get_attribute_value(value) for value in node.attribute if value.name != "then_branch"}
    if node.op_type == "Pad":
        pads = numpy_helper.to_array(constants[node.input[1]])
        return rows.padded(int(pads[2]), int(pads[len(pads) // 2 + 2]))
    if node.op_type == "Resize":
        factor = float(numpy_helper.to_array(constants[node.input[2]])[2])
        if factor != int(factor):
            raise ModelError(f"a graph that enlarges by {factor:g}; it cannot be cut into strips")
        return rows.resized(int(factor), about.get("mode") != b"nearest")
    if node.op_type == "Conv":
        if about.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            raise ModelError("a graph with auto_pad; it cannot be cut into strips")
        weight = constants[node.input[1]].dims
        around, stride = about.get("pads") or [0] * 4, (about.get("strides") or [1])[0]
        side = (weight[2] - 1) * (about.get("dilations") or [1])[0] + 1
        return replace(rows.padded(around[0], around[2]).convolved(side, stride), channels=weight[0])
    if node.op_type not in _POINTWISE:
        raise ModelError(f"a graph with {node.op_type}; it cannot be cut into strips")
    return rows
