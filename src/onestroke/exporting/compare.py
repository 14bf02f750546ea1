"""What the forms of an exported model cost and are worth beside the ordinary file: size, time, pictures, and OpenCV."""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from onestroke.arrays import Array
from onestroke.exporting.onnx import export_run
from onestroke.exporting.precision import halve
from onestroke.exporting.web import convert_file
from onestroke.inference.session import Model, as_input, levels, mix, open_model
from onestroke.samples.photos import held_out_photos
from onestroke.training.photos import read_rgb

SIDE, REPEATS = 512, 9
# Seconds in which the threads of the session before go to sleep: until then they spin, and take the processor from the next.
PAUSE = 0.1
STRENGTHS = (0.5, 1.0)


@dataclass(frozen=True)
class Form:
    """One form of a model: size in bytes; seconds a picture, and as a multiple of the ordinary file's; what OpenCV says.

    mean, most: levels of 255 from what the ordinary file paints of held-out photos, at STRENGTHS.
    """

    name: str
    size: int
    seconds: float
    times: float
    mean: float
    most: int
    opencv: str


def check(run: Path, target: Path) -> list[Form]:
    """The ordinary file of the run folder `run`, and the other forms; `target`, exported from it, among them where it is int8.

    Raises as `export_run` does.
    """
    card = open_model(target, "cpu").card
    with tempfile.TemporaryDirectory() as folder:
        files = _forms(export_run(run, Path(folder) / "plain.onnx", card.io))
        if card.precision == "int8":
            files["int8"] = target
        models = [open_model(path, "cpu") for path in files.values()]
        seconds = side_by_side(models)
        painted = [_paintings(model) for model in models]
        apart = [np.abs(each.astype(np.int32) - painted[0]) for each in painted]
        return [
            Form(
                name, path.stat().st_size, statistics.median(own),
                statistics.median(b / a for a, b in zip(seconds[0], own, strict=True)),
                float(off.mean()), int(off.max()), in_opencv(path, model),
            )
            for (name, path), model, own, off in zip(files.items(), models, seconds, apart, strict=True)
        ]  # fmt: skip


def _forms(plain: Path) -> dict[str, Path]:
    """The ordinary file, and the others made of it, beside it."""
    files = {"fp32": plain, "fp16": plain.with_name("fp16.onnx"), "web": plain.with_name("web.onnx")}
    onnx.save(halve(onnx.load(plain)), files["fp16"])
    convert_file(plain, files["web"])
    return files


def _paintings(model: Model) -> Array:
    """All levels of the held-out photos, painted at STRENGTHS, in one row."""
    photos = [read_rgb(path)[None] for path in held_out_photos()]
    return np.concatenate([model.run(photo, strength).ravel() for photo in photos for strength in STRENGTHS])


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
    """Whether OpenCV's DNN module paints what ONNX Runtime paints, at two sizes, and in what time, in one line.

    At STRENGTHS where the file asks for a strength (the web form); else at 1, since OpenCV knows no input that has a default.
    """
    if importlib.util.find_spec("cv2") is None:
        return "not installed"
    cv2: Any = importlib.import_module("cv2")
    logs: Any = getattr(cv2.utils, "logging", None)  # not in OpenCV 4.12
    level = logs and logs.setLogLevel(logs.LOG_LEVEL_SILENT)
    try:
        most = max(_difference(cv2, path, model, *case) for case in _cases(model))
        times = _times(cv2, path, model)
    except (cv2.error, ValueError) as error:
        return f"no ({' '.join(str(getattr(error, 'err', error)).split())[:120]})"
    finally:
        if logs:
            logs.setLogLevel(level)
    return f"runs ({cv2.__version__}; at most {most} of 255 from ONNX Runtime, {times:.1f} times its time)"


def _cases(model: Model) -> Iterator[tuple[Array, float]]:
    for height, width in ((64, 80), (97, 131)):
        for strength in STRENGTHS if _asks(model) else (1.0,):
            yield _noise(height, width), strength


def _asks(model: Model) -> bool:
    """Whether `strength` has no default."""
    return "strength" in {value.name for value in model.session.get_inputs()}


def _network(cv2: Any, path: Path, model: Model, photo: Array, strength: float) -> Any:
    network = cv2.dnn.readNetFromONNX(str(path))
    network.setInput(as_input(photo, model.card), "image")
    if _asks(model):
        network.setInput(np.asarray(strength, np.float32), "strength")
        if model.card.styles:
            network.setInput(mix("", model.card), "styles")
    return network


def _difference(cv2: Any, path: Path, model: Model, photo: Array, strength: float) -> int:
    found = levels(np.asarray(_network(cv2, path, model, photo, strength).forward()), model.card)
    return int(np.abs(found.astype(np.int32) - model.run(photo, strength)).max())


def _times(cv2: Any, path: Path, model: Model) -> float:
    """OpenCV's time for a picture of SIDE x SIDE as a multiple of ONNX Runtime's."""
    photo = _noise(SIDE, SIDE)
    network = _network(cv2, path, model, photo, 1.0)
    ratios = []
    for _ in range(4):
        seconds = []
        for work in (network.forward, lambda: model.run(photo)):
            time.sleep(PAUSE)
            began = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - began)
        network.setInput(as_input(photo, model.card), "image")
        ratios.append(seconds[0] / seconds[1])
    return statistics.median(ratios[1:])


def _noise(height: int, width: int) -> Array:
    """uint8 [1, H, W, 3]."""
    return np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
