"""Photos and what the slow half makes of them, as a folder of pairs: photos/NAME.png, targets/NAME.png, manifest lines.

A pair is finished when its manifest line is; whatever a kill leaves behind without one is made again. Shards of one folder
write manifests of their own, so that they may run at the same time.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from onestroke.arrays import Array, center_crop
from onestroke.config import schema
from onestroke.config.shard import Shard
from onestroke.errors import ConfigError, DataError, ImageError, because
from onestroke.images import check_size, find_images, read_image
from onestroke.locking import locked
from onestroke.optimization.gatys.materials import Painting
from onestroke.optimization.gatys.presets import Recipe
from onestroke.optimization.gatys.synthesis import Gatys, Progress
from onestroke.saving import save_image

SETTINGS = "settings.yaml"


def manifest(shard: Shard) -> str:
    """The file name of a shard's manifest."""
    return f"manifest-{shard.index + 1}-of-{shard.count}.jsonl"


def entries(folder: Path) -> list[dict[str, Any]]:
    """All finished pairs of a folder, from the manifests of all shards; a line cut short by a kill counts as none, as does one
    whose name would lead out of the folder."""
    found = []
    for path in sorted(folder.glob("manifest-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and isinstance(name := entry.get("name"), str) and Path(name).name == name:
                found.append(entry)
    return found


def read_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """(photo, target) files of all finished pairs. Raises DataError where `folder` holds no pairs at all."""
    if not (folder / SETTINGS).is_file():
        raise DataError(f"{folder}: no folder of pairs; make one with `onestroke pairs`")
    names = sorted(entry["name"] for entry in entries(folder))
    return [(folder / "photos" / f"{name}.png", folder / "targets" / f"{name}.png") for name in names]


def open_folder(folder: Path, recipe: Recipe, paintings: Sequence[Painting], content: Path) -> None:
    """Make the folder, or check that it was begun with the same settings; raises ConfigError where not."""
    wanted = {
        "recipe": {key: value for key, value in asdict(recipe).items() if key != "vgg_weights"},
        "paintings": [{"sha256": hashlib.sha256(p.rgb.tobytes()).hexdigest(), "share": p.share} for p in paintings],
        "content": str(content.resolve()),
    }
    path = folder / SETTINGS
    if path.is_file():
        known = schema.read_yaml(path)
        if known != wanted:
            differs = ", ".join(key for key in wanted if known.get(key) != wanted[key])
            raise ConfigError(f"{folder}: holds pairs made with another {differs}; use another folder with -o")
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        schema.write_mapping(wanted, path)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({because(error)})") from None


@dataclass(frozen=True)
class Report:
    """What `make` yields: a finished pair's name, or the line that says why a photo was skipped; `left` photos remain."""

    name: str
    left: int
    skipped: str = ""


def make(
    folder: Path, content: Path, recipe: Recipe, paintings: Sequence[Painting], *, shard: Shard, batch: int = 1, count: int = 0,
    device: torch.device | None = None, memory: int = 0, callback: Callable[[Progress], bool | None] | None = None,
) -> Iterator[Report]:  # fmt: skip
    """Make the shard's missing pairs, `batch` at a time, from center squares of `recipe.size` pixels; yields as they finish.

    count: of the shard's photos only the first so many (0: all). The callback may return True to stop,
    which leaves the batch at hand undone. Raises ConfigError or DataError before anything is written.
    """
    photos = [path for path in find_images(content) if not path.resolve().is_relative_to(folder.resolve())]
    if not photos:
        raise DataError(f"{content}: no folder with photos; name one with .jpg, .png or other pictures")
    named = [(_name(path.relative_to(content)), path) for path in photos]
    mine = named[shard.index :: shard.count]
    mine = mine[:count] if count else mine
    check_size(recipe.size, recipe.size * batch, 3)
    blank = np.zeros((batch, recipe.size, recipe.size, 3), np.uint8)
    work = Gatys(recipe, blank, paintings, device=device, memory=memory)  # whatever does not fit is found here
    open_folder(folder, recipe, paintings, content)
    with locked(folder / manifest(shard)):
        yield from _make_missing(folder, content, work, mine, shard, batch, callback)


def _make_missing(
    folder: Path, content: Path, work: Gatys, mine: Sequence[tuple[str, Path]], shard: Shard, batch: int,
    callback: Callable[[Progress], bool | None] | None,
) -> Iterator[Report]:  # fmt: skip
    """Make those of the named photos whose pairs are not finished; as `make`."""
    _end_line(folder / manifest(shard))
    done = {entry["name"] for entry in entries(folder)}
    waiting = [(name, path) for name, path in mine if name not in done]
    ready: list[tuple[str, Path, Array]] = []
    for position, (name, path) in enumerate(waiting, 1):
        try:
            ready.append((name, path, _square(path, work.recipe.size)))
        except ImageError as error:
            yield Report(name, len(waiting) - position, str(error))
        if len(ready) == batch or (ready and position == len(waiting)):
            work.restart(np.stack([pixels for _, _, pixels in ready]))
            if not work.run(callback):
                return
            _finish(folder, shard, content, work, ready)
            for written, _, _ in ready:
                yield Report(written, len(waiting) - position)
            ready = []


def _name(photo: Path) -> str:
    """A pair's name, the same however many photos come and go beside this one."""
    return f"{photo.stem}-{hashlib.sha256(photo.as_posix().encode()).hexdigest()[:8]}"


def _square(path: Path, size: int) -> Array:
    photo = read_image(path).rgb
    if min(photo.shape[:2]) < size:
        raise ImageError(
            f"{path}: {photo.shape[1]}x{photo.shape[0]} pixels, smaller than pairs of {size}; use a smaller --size"
        )
    return center_crop(photo, size)


def _finish(folder: Path, shard: Shard, content: Path, work: Gatys, ready: Sequence[tuple[str, Path, Array]]) -> None:
    """Pictures first, each atomically, then the line that makes the pair count."""
    assert work.optimizer is not None
    terms = work.optimizer.values
    for i, ((name, path, pixels), target) in enumerate(zip(ready, work.pictures, strict=True)):
        save_image(folder / "photos" / f"{name}.png", pixels)
        save_image(folder / "targets" / f"{name}.png", target)
        entry = {
            "name": name, "photo": str(path.relative_to(content)), "seconds": round(work.seconds / len(ready), 3),
            "terms": {key: round(float(value[i]), 6) for key, value in terms.items()},
        }  # fmt: skip
        try:
            with (folder / manifest(shard)).open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise DataError(f"{folder / manifest(shard)}: cannot be written ({because(error)}); run again to go on") from None


def _end_line(path: Path) -> None:
    """Close a line that a kill cut short, so that the next one stands by itself."""
    if path.is_file() and (text := path.read_bytes()) and not text.endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b"\n")
