"""Neural style transfer in one forward pass: train one small network per painting, export it, stylize photos and videos.

    import onestroke

    stylize = onestroke.Stylizer("great_wave")     # a bundled style (onestroke.styles()), or your own .onnx file
    stylize("photo.jpg").save("painted.jpg")
    stylize.video("clip.mp4", "painted.mp4")

    run = onestroke.train("painting.jpg", content="photos/", minutes=30)      # needs onestroke[train]
    run.export("painting.onnx")

docs/python.md has worked examples.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from onestroke.errors import (
    ConfigError,
    DataError,
    ImageError,
    ModelError,
    OnestrokeError,
    TrainingError,
    VideoError,
    WeightsError,
)

if TYPE_CHECKING:
    from onestroke.api import Run, Stylizer, deepdream, export, gatys, styles, train
    from onestroke.images import read_image

    __version__: str

__all__ = [
    "ConfigError", "DataError", "ImageError", "ModelError", "OnestrokeError", "Run", "Stylizer", "TrainingError", "VideoError",
    "WeightsError", "__version__", "deepdream", "export", "gatys", "read_image", "styles", "train",
]  # fmt: skip

_HOMES = dict.fromkeys(("Run", "Stylizer", "deepdream", "export", "gatys", "styles", "train"), "onestroke.api")
_HOMES["read_image"] = "onestroke.images"


def __getattr__(name: str) -> Any:
    """Import what is asked for, and no more: `onestroke --help` must not wait for ONNX Runtime, nor stylizing for torch."""
    if name == "__version__":
        from importlib.metadata import version

        return version("onestroke")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'onestroke' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
