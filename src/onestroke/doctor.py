"""What a bug report should say: versions, devices, memory, formats, and a self-test on every device. Never imports torch."""

from __future__ import annotations

import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import av
import numpy as np
from av.codec.codec import UnknownCodecError
from PIL import features

from onestroke import bundled
from onestroke.arrays import Array
from onestroke.config.devices import CPU, DEVICES
from onestroke.errors import OnestrokeError
from onestroke.inference.devices import why_not
from onestroke.inference.session import TOLERANCE, Model, open_model
from onestroke.memory import free_memory

PACKAGES = ("onestroke", "numpy", "pillow", "av", "onnx", "onnxruntime", "onnxruntime-gpu", "onnxruntime-ep-webgpu", "torch",
            "pytorch-lightning")  # fmt: skip
ENCODERS = ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "prores_ks", "ffv1", "h264_nvenc", "h264_videotoolbox")
PICTURES = {"jpg": "JPEG", "webp": "WebP", "avif": "AVIF", "tif": "TIFF (compressed)", "jp2": "JPEG 2000"}
_PILLOW = {"jpg": "jpg", "webp": "webp", "avif": "avif", "tif": "libtiff", "jp2": "jpg_2000"}
SIDE, REPEATS = 512, 5


def examine() -> dict[str, Any]:
    """Everything, as JSON can hold it; "problems" lists what is broken, each with what helps."""
    packages = {name: _version(name) for name in PACKAGES}
    devices = {device: _self_test(device) for device in DEVICES if device != "auto"}
    problems = [f"{name}: {found['failed']}" for name, found in devices.items() if "failed" in found]
    if packages["onnxruntime"] and packages["onnxruntime-gpu"]:
        problems.append(
            "onnxruntime and onnxruntime-gpu are both installed and overwrite each other: uninstall both, then install one"
        )
    return {
        "system": f"{platform.platform()}, {platform.machine()}, Python {platform.python_version()}",
        "packages": packages,
        "memory_free_mb": round(free_memory() / 1e6),
        "styles": bundled.names(),
        "devices": devices,
        "encoders": [name for name in ENCODERS if _encodes(name)],
        "pictures": [text for name, text in PICTURES.items() if features.check(_PILLOW[name])],
        "problems": problems,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _encodes(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except UnknownCodecError:
        return False
    return True


def _self_test(device: str) -> dict[str, Any]:
    """{"missing": why} where there is no such device, {"failed": why} where it is broken, else speed and parity."""
    if cause := why_not(device):
        return {"missing": cause}
    names = bundled.names()
    if not names:
        return {"failed": "no bundled style to test with: install onestroke again"}
    try:
        model, reference = open_model(names[0], device), open_model(names[0], CPU)
    except OnestrokeError as error:
        return {"failed": str(error)}
    if model.device != device:
        return {"failed": model.note}
    picture = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3)).astype(np.uint8)
    off = int(np.abs(model.run(picture).astype(int) - reference.run(picture)).max())
    found = {"style": names[0], "milliseconds": _milliseconds(model, picture), "levels_from_cpu": off}
    return found | ({"failed": f"{off} of 255 levels from the CPU's picture"} if off > TOLERANCE else {})


def _milliseconds(model: Model, picture: Array) -> float:
    """The median time of a few runs."""
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        model.run(picture)
        times.append(time.perf_counter() - began)
    return round(1000 * float(np.median(times)), 1)
