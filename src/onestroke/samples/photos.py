"""Photographs that ship inside scikit-image and scikit-learn: enough to start without a download."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from onestroke.errors import DataError

_TRAIN = {
    "skimage/data": ("astronaut.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "motorcycle_right.png",
                     "hubble_deep_field.jpg", "brick.png", "grass.png"),
    "sklearn/datasets/images": ("flower.jpg",),
}  # fmt: skip
_HELD_OUT = {"skimage/data": ("chelsea.png",), "sklearn/datasets/images": ("china.jpg",)}


def train_photos() -> list[Path]:
    """Photos to train on."""
    return _find(_TRAIN)


def held_out_photos() -> list[Path]:
    """Photos that no training here ever sees: a cat, and a temple (the last, which samples are drawn from)."""
    return _find(_HELD_OUT)


def _find(wanted: Mapping[str, tuple[str, ...]]) -> list[Path]:
    paths = []
    for folder, names in wanted.items():
        package, _, inside = folder.partition("/")
        spec = importlib.util.find_spec(package)
        root = Path(spec.origin).parent / inside if spec and spec.origin else Path(package)
        paths += [root / name for name in names]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"{missing[0]}: a sample photo is missing; pip install 'onestroke[train]', or name photos: --content")
    return paths
