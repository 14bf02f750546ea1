"""What an exported file is worth beside its fp32 form: size, speed measured side by side, and whether OpenCV runs it."""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from onestroke.card import ModelCard
from onestroke.exporting.onnx import export_run
from onestroke.images import Array
from onestroke.inference.session import Model, as_input, levels, open_model

SIDE, REPEATS = 512, 9
# Seconds in which the threads of the session before go to sleep: until then they spin, and take the processor from the next.
PAUSE = 0.1


@dataclass(frozen=True)
class Check:
    """One file beside its fp32 form: sizes in bytes, seconds a picture, speed as a multiple of fp32's, what OpenCV says."""

    card: ModelCard
    size: int
    plain_size: int
    seconds: float
    ratio: float
    opencv: str


def check(run: Path, target: Path) -> Check:
    """Compare `target`, exported from the run folder `run`, with fp32 of the same run. Raises as `export_run` does."""
    model = open_model(target, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        plain = export_run(run, Path(folder) / "plain.onnx", model.card.io)
        seconds = side_by_side([open_model(plain, "cpu"), model])
        plain_size = plain.stat().st_size
    ratio = statistics.median(a / b for a, b in zip(*seconds, strict=True))
    return Check(model.card, target.stat().st_size, plain_size, statistics.median(seconds[1]), ratio, in_opencv(target, model))


def side_by_side(models: list[Model], repeats: int = REPEATS) -> list[list[float]]:
    """Seconds of each model for one picture of SIDE x SIDE pixels, in turns, so that all meet the same load."""
    photo, seconds = _noise(SIDE, SIDE), [[0.0] * repeats for _ in models]
    for repeat in range(repeats):
        for model, times in zip(models, seconds, strict=True):
            time.sleep(PAUSE)
            model.run(photo)
            began = time.perf_counter()
            model.run(photo)
            times[repeat] = time.perf_counter() - began
    return seconds


def in_opencv(path: Path, model: Model) -> str:
    """Whether OpenCV's DNN module paints what ONNX Runtime paints, at two sizes, in one line."""
    if importlib.util.find_spec("cv2") is None:
        return "not installed"
    cv2: Any = importlib.import_module("cv2")
    most = 0
    logs: Any = getattr(cv2.utils, "logging", None)  # not in OpenCV 4.12
    level = logs and logs.setLogLevel(logs.LOG_LEVEL_SILENT)
    try:
        for height, width in ((64, 80), (97, 131)):
            photo = _noise(height, width)
            network = cv2.dnn.readNetFromONNX(str(path))
            network.setInput(as_input(photo, model.card))
            found = levels(np.asarray(network.forward()), model.card)
            most = max(most, int(np.abs(found.astype(np.int32) - model.run(photo)).max()))
    except (cv2.error, ValueError) as error:
        return f"no ({' '.join(str(getattr(error, 'err', error)).split())[:120]})"
    finally:
        if logs:
            logs.setLogLevel(level)
    return f"runs ({cv2.__version__}; at most {most} of 255 from ONNX Runtime)"


def _noise(height: int, width: int) -> Array:
    """uint8 [1, H, W, 3]."""
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
