"""Cut an exported graph where instance norm needs the whole picture's statistics. Imports onnx, and so is imported late.

Rows are counted in positions: the rows of the innermost features, each as high as the card's `multiple` of pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from onestroke.errors import ModelError
from onestroke.inference.tiling.rows import Rows, follow

NORM = "InstanceNormalization"
IMAGE, STRENGTH, OUTPUT = "image", "strength", "stylized"
COARSE = 4  # pixels a row: what is finer is not kept from one phase to the next, but computed again
AXES = {"all": [0, 2, 3], "rows:1": [1], "rows:2": [2]}
Scale = tuple[NDArray[np.float32], NDArray[np.float32]]  # factor and offset [C]: what a norm is, once its statistics are known


@dataclass(frozen=True)
class Phase:
    """One pass over a picture: from `sources` to the statistics of `measured` and to the tensors to `keep`, or to the end.

    `norms` counts those whose statistics are known by then. Each strip takes `halo` positions more above and below.
    """

    sources: tuple[str, ...]
    norms: int
    measured: str | None
    keep: tuple[str, ...]
    halo: int
    bytes_per_pixel: float  # of a strip, while it runs


class Graph:
    """An exported model at one strength, cut into phases; `axis` is that of the image's rows. Raises ModelError."""

    def __init__(
        self, path: Path, multiple: int, axis: int, strength: float, styles: NDArray[np.float32] | None = None
    ) -> None:
        self.model, self.multiple, self.axis = onnx.load(path), multiple, axis
        graph = self.model.graph
        self.constants = {value.name: value for value in graph.initializer}
        self.constants[STRENGTH] = numpy_helper.from_array(np.asarray(strength, np.float32), STRENGTH)
        if styles is not None:
            self.constants["styles"] = numpy_helper.from_array(styles, "styles")
        self.image = next(value for value in graph.input if value.name == IMAGE)
        self.nodes = list(graph.node)
        self.stored = dict(self.constants)  # by the names under which operators know them
        kernels = {node.input[1] for node in self.nodes if node.op_type == "Conv"}
        for node in self.nodes:
            widens = node.op_type in ("Cast", "DequantizeLinear") or (node.op_type == "Mul" and node.output[0] in kernels)
            if widens and node.input[0] in self.stored:
                self.stored[node.output[0]] = self.stored[node.input[0]]
        self.norms = [node for node in self.nodes if node.op_type == NORM]
        if {node.input[0] for node in self.norms} & {
            name for node in self.nodes if node.op_type != NORM for name in needs(node)
        }:
            raise ModelError(f"{path}: a graph that uses what it normalizes in another way too; it cannot be cut into strips")
        try:
            self.all_rows = self._follow({}, self.nodes)
            self.phases = list(self._phases())
        except (KeyError, IndexError) as error:
            raise ModelError(f"{path}: a graph of a kind that cannot be cut into strips ({error})") from None

    def bytes_per_pixel(self, rows: dict[str, Rows], kept: tuple[str, ...] = ()) -> float:
        """What ONNX Runtime takes at most to run a graph of these tensors, of which some are read from or go to what is kept.

        As measured: three of the largest, and eight bytes for each value that is kept.
        """
        largest = max(one.channels * one.rate**2 for one in rows.values())
        exchanged = sum(self.all_rows[name].channels for name in kept)
        return (3.2 * 4 * largest + 8 * exchanged) / self.multiple**2 + 12

    def affine(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64], float]]:
        """Gain, bias [C] and epsilon of every norm, in the order of `norms`, at this strength."""
        names = [name for norm in self.norms for name in norm.input[1:]]
        computed = sorted({name for name in names if name not in self.constants})
        known: dict[str, Any] = {name: numpy_helper.to_array(self.constants[name]) for name in {*names} - {*computed}}
        if computed:
            session = onnxruntime.InferenceSession(self._model(computed, (), [], []), providers=["CPUExecutionProvider"])
            known |= zip(computed, session.run(computed, {}), strict=True)
        affines = []
        for norm in self.norms:
            epsilon = next((value.f for value in norm.attribute if value.name == "epsilon"), 1e-5)
            affines.append((known[norm.input[1]].astype(np.float64), known[norm.input[2]].astype(np.float64), epsilon))
        return affines

    def part(self, phase: Phase, scales: list[Scale]) -> bytes:
        """A model of this phase. Inputs are the sources (the photo, or kept tensors as float16), and `first` and `last`: which
        positions of the result are wanted.

        Outputs are `count` (of values of all channels), `mean` and `square` [C] (the sum of squares), and then the
        tensors to keep, or the picture. What is measured is measured and kept less `center`, an input [1, C, 1, 1]: norms
        divide by the deviation, and where that is small beside the mean, float16 would round it away.
        scales: factor and offset [C] of every norm that is known by then, for its input as it is kept, or as it is.
        """
        wanted = [name for name in (phase.measured, *phase.keep) if name] if phase.measured else [OUTPUT]
        rates = {name: self.all_rows[name].rate if phase.measured else self.multiple for name in wanted}
        tail = [node for rate in dict.fromkeys(rates.values()) for node in _edges(rate)]
        tail += [_slice(name, 2 if phase.measured else self.axis, rate) for name, rate in rates.items()]
        outputs = ["count", "mean", "square"] if phase.measured else [f"{OUTPUT}:rows"]
        if phase.measured:
            tail += _moments(f"{phase.measured}:rows", f"{phase.measured}:less")
        for name in phase.keep:
            exact = f"{name}:less" if name == phase.measured else f"{name}:rows"
            tail.append(helper.make_node("Cast", [exact], [f"{name}:kept"], to=TensorProto.FLOAT16))
            outputs.append(f"{name}:kept")
        return self._model(outputs, phase.sources, tail, scales)

    def _phases(self) -> Iterator[Phase]:
        sources: tuple[str, ...] = ()
        for known, norm in enumerate(self.norms):
            keep = self._living(known)
            rows = [self.all_rows[name] for name in keep]
            coarse = all(self.multiple // one.rate >= COARSE and not one.extra for one in rows)
            yield self._phase(sources, known, norm.input[0], keep if coarse else ())
            sources = keep if coarse else sources
        yield self._phase(sources, len(self.norms), None, ())

    def _phase(self, sources: tuple[str, ...], known: int, measured: str | None, keep: tuple[str, ...]) -> Phase:
        wanted = [name for name in (measured, *keep) if name] or [OUTPUT]
        start = {name: Rows(self.all_rows[name].rate, channels=self.all_rows[name].channels) for name in sources}
        rows = self._follow(start, self._needed(wanted, sources))
        found = [rows[name] for name in wanted]
        halo, memory = max(one.halo for one in found), self.bytes_per_pixel(rows, (*sources, *keep))
        return Phase(sources, known, measured, keep, halo, memory)

    def _living(self, known: int) -> tuple[str, ...]:
        """What is computed before, and used after, the statistics of norm number `known` and of later ones."""
        later: set[str] = set()
        living: dict[str, None] = {}
        for node in self.nodes:
            inputs = needs(node)
            if any(node is norm for norm in self.norms[known:]) or later.intersection(inputs):
                later.update(node.output)
                living |= dict.fromkeys(
                    name for name in inputs if name not in later and name in self.all_rows and name != IMAGE
                )
        return tuple(living)

    def _follow(self, sources: dict[str, Rows], nodes: list[Any]) -> dict[str, Rows]:
        return follow(nodes, {IMAGE: Rows(self.multiple, channels=3)} | sources, self.stored, needs)

    def _needed(self, outputs: Iterable[str], sources: Iterable[str]) -> list[Any]:
        """The nodes, in order, that lead from the sources and the image to the outputs."""
        wanted, found = set(outputs), []
        for node in reversed(self.nodes):
            if wanted.difference(sources).intersection(node.output):
                wanted.update(needs(node))
                found.append(node)
        return found[::-1]

    def _model(self, outputs: list[str], sources: tuple[str, ...], tail: list[Any], scales: list[Scale]) -> bytes:
        made = {name for node in tail for name in node.output}
        wanted = {name for node in tail for name in node.input} | {*outputs}
        order = {norm.output[0]: number for number, norm in enumerate(self.norms)}
        nodes = [helper.make_node("Cast", [f"{name}:in"], [name], to=TensorProto.FLOAT) for name in sources]
        numbers = AXES | {f"rate:{1 << power}": [1 << power] for power in range(self.multiple.bit_length())}
        constants = {name: numpy_helper.from_array(np.array(values), name) for name, values in numbers.items()} | self.constants
        for node in self._needed(wanted - made, sources):
            if node.op_type == NORM:
                number = order[node.output[0]]
                for kind, value in zip(("factor", "offset"), scales[number], strict=True):
                    constants[f"{kind}:{number}"] = numpy_helper.from_array(value[:, None, None], f"{kind}:{number}")
                nodes.append(helper.make_node("Mul", [node.input[0], f"factor:{number}"], [f"scaled:{number}"]))
                nodes.append(helper.make_node("Add", [f"scaled:{number}", f"offset:{number}"], [node.output[0]]))
            else:
                nodes.append(node)
        nodes += tail
        used = {name for node in nodes for name in needs(node)}
        inputs = [helper.make_tensor_value_info(f"{name}:in", TensorProto.FLOAT16, None) for name in sources]
        inputs += [helper.make_tensor_value_info(name, TensorProto.INT64, [1]) for name in ("first", "last") if name in used]
        inputs += [helper.make_tensor_value_info("center", TensorProto.FLOAT, None)] if "center" in used else []
        inputs += [self.image] if IMAGE in used else []
        results = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(nodes, "part", inputs, results, [value for name, value in constants.items() if name in used])
        model = helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        return model.SerializeToString()  # type: ignore[no-any-return]


def needs(node: Any) -> list[str]:
    """The names that a node reads, those inside its branches included."""
    inner = [child for value in node.attribute if value.HasField("g") for child in value.g.node]
    return [name for name in node.input if name] + [name for child in inner for name in needs(child)]


def _edges(rate: int) -> list[Any]:
    """`first` and `last` in rows, for tensors of that many rows to a position."""
    return [helper.make_node("Mul", [edge, f"rate:{rate}"], [f"{edge}:{rate}"]) for edge in ("first", "last")]


def _slice(name: str, axis: int, rate: int) -> Any:
    return helper.make_node("Slice", [name, f"first:{rate}", f"last:{rate}", f"rows:{axis}"], [f"{name}:rows"])


def _moments(name: str, less: str) -> list[Any]:
    """Mean and mean square over a strip, less `center`, which is near enough to the mean for float32 to be exact enough."""
    return [
        helper.make_node("Sub", [name, "center"], [less]),
        helper.make_node("Size", [less], ["count"]),
        helper.make_node("ReduceMean", [less, "all"], ["mean"], keepdims=0),
        helper.make_node("ReduceSumSquare", [less, "all"], ["square"], keepdims=0),
    ]
