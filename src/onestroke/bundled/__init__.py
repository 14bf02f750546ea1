"""The bundled styles: .onnx files that this program trained (recipes in configs/styles)."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from onestroke.errors import ModelError

_FOLDER = importlib.resources.files(__name__)
# In the order in which they are shown: those that look best first.
_BEST = ("great_wave", "composition_vii", "stained_glass", "starry_night", "etching", "the_scream", "delaunay_portrait",
         "mosaic", "wheat_field_with_cypresses", "three_tahitian_women", "brushwork",
         "shipwreck_of_the_minotaur")  # fmt: skip


def names() -> list[str]:
    """Names of the bundled styles, the best looking first."""
    found = [file.name.removesuffix(".onnx") for file in _FOLDER.iterdir() if file.name.endswith(".onnx")]
    return sorted(found, key=lambda name: (_BEST.index(name) if name in _BEST else len(_BEST), name))


def path(model: str | Path) -> Path:
    """A model file itself, or the bundled style of that name. Raises ModelError for neither."""
    file = Path(model)
    if file.is_file():
        return file
    known = names()
    if str(model) in known:
        return Path(str(_FOLDER / f"{model}.onnx"))
    raise ModelError(f"{model}: no such model file, nor a bundled style ({', '.join(known)})")
