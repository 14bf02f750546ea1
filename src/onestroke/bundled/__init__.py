"""The bundled styles: .onnx files that this program trained (recipes in configs/styles)."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from pathlib import Path

from onestroke.errors import ConfigError, ModelError

_FOLDER = importlib.resources.files(__name__)
# In the order in which they are shown: those that look best first.
_BEST = ("great_wave", "composition_vii", "watercolor", "stained_glass", "starry_night", "etching", "the_scream",
         "delaunay_portrait", "mosaic", "wheat_field_with_cypresses", "three_tahitian_women", "brushwork",
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


def named(models: Sequence[str | Path]) -> dict[str, Path]:
    """Model files (see `path`) by names that differ, capitals not counted; a file that is given twice is there once.

    A name is the file's own; where others are called the same, with as many of its folders before it as tell them apart:
    a/wave.onnx and b/wave.onnx are a-wave and b-wave. Raises ModelError as `path` does, ConfigError where folders do not help.
    """
    files = {file.parent.resolve() / file.name: file for file in map(path, models)}
    parts = {whole: (*whole.parent.relative_to(whole.anchor).parts, whole.stem) for whole in files}
    found = dict[str, Path]()
    for whole, own in parts.items():
        others = [other for place, other in parts.items() if place != whole]
        length = 1
        while length < len(own) and any(_alike(own[-length:], other[-length:]) for other in others):
            length += 1
        name = "-".join(own[-length:])
        if same := next((file for known, file in found.items() if _alike([known], [name])), None):
            raise ConfigError(f"{files[whole]}: would be called {name}, as {same} is; rename one of them")
        found[name] = files[whole]
    return found


def _alike(one: Sequence[str], other: Sequence[str]) -> bool:
    return [part.casefold() for part in one] == [part.casefold() for part in other]
