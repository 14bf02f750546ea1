"""The built page with models, as a folder that any host of files can serve."""

from __future__ import annotations

import gzip
import importlib.resources
import json
import lzma
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from onestroke import bundled
from onestroke.errors import ConfigError, ModelError, because
from onestroke.exporting.web import convert_file

_HERE = Path(str(importlib.resources.files(__name__.rpartition(".")[0])))
BUILT, RUNTIME = _HERE / "dist", _HERE / "ort"
STYLES, LIST = "styles", "styles.json"
OWN = ("assets", "ort", STYLES)  # the page's folders
_LEVEL = 4  # of gzip: a third of the time of 6, for 7 % more


def write(folder: Path, models: Sequence[str | Path], *, overwrite: bool = False) -> list[str]:
    """Write the page to `folder`, with these models (files or names of bundled styles; none: all bundled ones).

    Returns the names of the styles; models are called as `bundled.named` says. Raises ConfigError for a folder that holds
    something else (unless `overwrite`), or that cannot be written, and for models that cannot be told apart; ModelError for a
    model that is none, or where this installation lacks the built page.
    """
    if not (BUILT / "index.html").is_file():
        raise ModelError("page: this installation lacks the built page; build it: cd web && npm ci && npm run build")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / STYLES / LIST).is_file() and not overwrite:
        raise ConfigError(f"{folder}: holds other files; name an empty folder, or add --overwrite")
    files = bundled.named(models or bundled.names())
    try:
        with TemporaryDirectory(prefix="onestroke-page-") as made:  # a bad model leaves the folder as it is
            listed = [entry for name, path in files.items() for entry in _write_model(Path(made), name, path)]
            _tell_apart(listed)
            Path(made, LIST).write_text(json.dumps(listed, indent=1), encoding="utf-8")
            if (folder / STYLES / LIST).is_file():  # a page: what it had may be what nobody is to find there any more
                for own in OWN:
                    shutil.rmtree(folder / own, ignore_errors=True)
            shutil.copytree(BUILT, folder, dirs_exist_ok=True)
            for packed in RUNTIME.glob("*.xz"):
                _repack(packed, folder / RUNTIME.name / f"{packed.stem}.gz")
            shutil.copytree(made, folder / STYLES, dirs_exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({because(error)})") from None
    return [str(entry["name"]) for entry in listed]


def _repack(packed: Path, target: Path) -> None:
    """LZMA, which keeps the wheel small, as gzip, which browsers unpack."""
    target.write_bytes(gzip.compress(lzma.decompress(packed.read_bytes()), _LEVEL, mtime=0))


def _write_model(folder: Path, name: str, path: Path) -> list[dict[str, str | int]]:
    """One model in its web form; returns the entries of its styles in the list that the page reads."""
    card = convert_file(path, folder / f"{name}.onnx")
    return [
        {
            "name": f"{name}:{style}" if card.styles else name,
            "title": _title(style),
            "painting": card.painting,
            "license": card.license,
            "file": f"{name}.onnx",
            "style": place,
        }
        for place, style in enumerate(card.styles or [name])
    ]


def _tell_apart(listed: list[dict[str, str | int]]) -> None:
    """Where two styles have one title, as those of two files may, add the file's name to it; in place."""
    count = Counter(entry["title"] for entry in listed)
    for entry in listed:
        if count[entry["title"]] > 1:
            entry["title"] = f"{entry['title']} ({str(entry['file']).removesuffix('.onnx')})"


def _title(name: str) -> str:
    """As people write it: composition_vii is Composition VII."""
    title = re.sub(r"\b[ivx]+$", lambda number: number[0].upper(), name.replace("_", " "))
    return title[:1].upper() + title[1:]
