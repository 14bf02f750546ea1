"""Smaller numbers in an exported graph: weights stored as float16 or int8, or convolutions computed in int8.

What is done here, and what was tried, is measured in docs/performance.md (benchmarks/exports.py).
"""

from __future__ import annotations

import contextlib
import io
import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from onestroke.arrays import Array, center_crop
from onestroke.card import ModelCard
from onestroke.errors import DataError, ImageError, ModelError, because
from onestroke.inference.session import as_input
from onestroke.logs import quiet
from onestroke.samples.photos import train_photos
from onestroke.training.photos import folder_sources, read_rgb

# Kernels of this many numbers are stored in 8 bits: nine tenths of all weights. The others draw the details.
LARGE = 10_000
# Photos on which int8 learns its ranges, and their side in pixels.
CALIBRATION_PHOTOS, CALIBRATION_SIDE = 16, 256


def convert(model: onnx.ModelProto, card: ModelCard, photos: Sequence[Array] = ()) -> onnx.ModelProto:
    """The graph in the card's precision: itself for fp32.

    photos: uint8 [H, W, 3], any sizes, for int8 alone; the sample photos where none are given. Raises ModelError where
    ONNX Runtime cannot quantize the graph.
    """
    if card.precision == "fp16":
        return halve(model)
    if card.precision == "w8":
        return shrink(model)
    if card.precision == "int8":
        return quantize(model, card, photos or calibration_photos())
    return model


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convolution weights stored as float16, half the file, and widened to float32 when a session opens.

    Everything is computed in float32: processors gain nothing from float16 here (ONNX Runtime has no such kernels for
    them and would convert around every operator), and instance norms would lose digits.
    """
    return _stored(model, least=math.inf)


def shrink(model: onnx.ModelProto) -> onnx.ModelProto:
    """Large convolution weights stored as int8, with a scale for each output channel, and the others as float16.

    0.3 of the file and, as `halve`, computed in float32. With all of them in int8, pictures would be three times as far from
    those in float32.
    """
    return _stored(model, least=LARGE)


def _stored(model: onnx.ModelProto, least: float) -> onnx.ModelProto:
    """The graph with its convolutions' weights in float16, those of `least` numbers in int8, and operators that widen them."""
    smaller, kept, widen = onnx.ModelProto(), [], []
    smaller.CopyFrom(model)
    weights = {node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    for tensor in model.graph.initializer:
        if tensor.name not in weights:
            kept.append(tensor)
            continue
        values = onnx.numpy_helper.to_array(tensor)
        tensors, nodes = (_as_int8 if values.size >= least else _as_float16)(tensor.name, values)
        kept += tensors
        widen += nodes
    nodes = [*widen, *model.graph.node]
    del smaller.graph.node[:]
    smaller.graph.node.extend(nodes)
    del smaller.graph.initializer[:]
    smaller.graph.initializer.extend(kept)
    return smaller


def _as_float16(name: str, values: Array) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    stored = onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half")
    return [stored], [onnx.helper.make_node("Cast", [stored.name], [name], f"widen {name}", to=onnx.TensorProto.FLOAT)]


def _as_int8(name: str, values: Array) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    """Not DequantizeLinear, which ONNX Runtime would compute anew in every pass."""
    scale = np.maximum(np.abs(values).max(axis=(1, 2, 3), keepdims=True), 1e-12).astype(np.float32) / 127
    whole = onnx.numpy_helper.from_array(np.round(values / scale).astype(np.int8), f"{name}.int8")
    scales = onnx.numpy_helper.from_array(scale, f"{name}.scale")
    cast = onnx.helper.make_node("Cast", [whole.name], [f"{name}.whole"], f"widen {name}", to=onnx.TensorProto.FLOAT)
    return [whole, scales], [cast, onnx.helper.make_node("Mul", [f"{name}.whole", scales.name], [name], f"scale {name}")]


def quantize(model: onnx.ModelProto, card: ModelCard, photos: Sequence[Array]) -> onnx.ModelProto:
    """Convolutions in int8 (QDQ: uint8 activations, int8 weights with a scale per channel), all else in float32.

    The first convolution stays in float32, where int8 costs most of the quality, and the last, whose outputs are pixels.
    Weights keep to 7 bits: processors without VNNI add pairs of products in 16 bits, which 8 bits overflow, so that the
    same file would paint differently there. Ranges leave out the outermost 0.001 %. Padding stays in float32 as well: it
    would quantize the sums of the residual blocks.
    """
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    with tempfile.TemporaryDirectory() as folder, _quiet():
        target = Path(folder) / "int8.onnx"
        try:
            quantize_static(
                model,
                target,
                _Readings(model, card, photos),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv"],
                nodes_to_exclude=[convolutions[0], convolutions[-1]],
                per_channel=True,
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.Percentile,
                calibration_providers=["CPUExecutionProvider"],
            )
        except Exception as error:  # the quantizer raises whatever comes, ONNX Runtime's exceptions have no common public base
            raise ModelError(f"precision: int8 failed ({because(error)[:160]}); use fp16 or fp32") from None
        return onnx.load(target)


class _Readings(CalibrationDataReader):  # type: ignore[misc]
    """Feeds: each photo at strength 1; every fourth also at the weakest and strongest that the network is told, if any."""

    def __init__(self, model: onnx.ModelProto, card: ModelCard, photos: Sequence[Array]) -> None:
        known = {value.name for value in model.graph.input}
        self.feeds = self._feeds("strength" in known, card, photos)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next feed, or None after the last."""
        return next(self.feeds, None)

    @staticmethod
    def _feeds(told: bool, card: ModelCard, photos: Sequence[Array]) -> Iterator[dict[str, np.ndarray]]:
        for i, photo in enumerate(photos):
            image = np.ascontiguousarray(as_input(center_crop(photo, CALIBRATION_SIDE)[None], card))
            for strength in (1.0, card.solid, card.strongest) if told and i % 4 == 0 else (1.0,):
                yield {"image": image, **({"strength": np.asarray(strength, np.float32)} if told else {})}


def calibration_photos(content: str = "") -> list[Array]:
    """Up to CALIBRATION_PHOTOS photos, uint8 [H, W, 3], spread over the folder `content`, without its damaged files.

    The sample photos where `content` is empty or its folder no longer there (a run may have been made on another computer):
    how good the ranges are is measured on other photos in any case. Raises DataError where none can be read.
    """
    folder = Path(content)
    if not content or not folder.is_dir():
        return [read_rgb(path) for path in train_photos()]
    sources, found = folder_sources(folder), []
    for i in np.linspace(0, len(sources) - 1, min(CALIBRATION_PHOTOS, len(sources))).astype(int):
        with contextlib.suppress(ImageError):
            found.append(sources[i][1]())
    if not found:
        raise DataError(f"{content}: none of {len(sources)} photos could be read")
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer prints its steps and gives advice on models other than ours."""
    with quiet(""), contextlib.redirect_stdout(io.StringIO()):
        yield
