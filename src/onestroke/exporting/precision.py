"""Smaller numbers in an exported graph: weights stored as float16, or convolutions computed in int8.

What is done here, and what was tried, is measured in docs/performance.md (benchmarks/exports.py).
"""

from __future__ import annotations

import contextlib
import io
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

PRECISIONS = ("fp32", "fp16", "int8")
# Photos on which int8 learns its ranges, and their side in pixels.
CALIBRATION_PHOTOS, CALIBRATION_SIDE = 16, 256


def convert(model: onnx.ModelProto, card: ModelCard, photos: Sequence[Array] = ()) -> onnx.ModelProto:
    """The graph in the card's precision: itself for fp32.

    photos: uint8 [H, W, 3], any sizes, for int8 alone; the sample photos where none are given. Raises ModelError where
    ONNX Runtime cannot quantize the graph.
    """
    if card.precision == "fp16":
        return halve(model)
    if card.precision == "int8":
        return quantize(model, card, photos or calibration_photos())
    return model


def halve(model: onnx.ModelProto) -> onnx.ModelProto:
    """Convolution weights stored as float16, half the file, and widened to float32 when a session opens.

    Everything is computed in float32: processors gain nothing from float16 here (ONNX Runtime has no such kernels for
    them and would convert around every operator), and instance norms would lose digits.
    """
    halved, widen = onnx.ModelProto(), []
    halved.CopyFrom(model)
    weights = {node.input[1] for node in halved.graph.node if node.op_type == "Conv"}
    for tensor in halved.graph.initializer:
        if tensor.name in weights:
            name, values = tensor.name, onnx.numpy_helper.to_array(tensor)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            widen.append(onnx.helper.make_node("Cast", [f"{name}.half"], [name], f"widen {name}", to=onnx.TensorProto.FLOAT))
    nodes = [*widen, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    return halved


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
