"""Photos for training, decoded once: from any folder tree, through a cache on disk, or from pictures in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onestroke.arrays import Array, resize
from onestroke.config.cache import bound, photo_folder
from onestroke.errors import DataError, ImageError, because
from onestroke.files import replacing
from onestroke.images import find_images, read_image
from onestroke.locking import in_turn

# A photo is kept at up to this many times the crop's side, so that crops range from a detail to (nearly) the whole.
KEPT_SCALE = 2
# More photos than this do not make a better net, but a cache of tens of gigabytes; larger folders are thinned evenly.
MOST_PHOTOS = 10_000

MOST_HEADERS = 400  # more do not tell their sizes better

Source = tuple[str, Callable[[], Array]]


@dataclass
class Photos:
    """Decoded photos, all in one flat uint8 array (a memory map where they come from a folder), and what was skipped."""

    pixels: NDArray[np.uint8]
    index: list[tuple[int, int, int]]  # offset, height, width
    skipped: list[str]

    def __getstate__(self) -> dict[str, Any]:
        """For another process: a memory map by its name, which pickling alone would copy."""
        mapped = self.pixels.filename if isinstance(self.pixels, np.memmap) else None
        return self.__dict__ | ({"pixels": Path(mapped)} if mapped else {})

    def __setstate__(self, state: dict[str, Any]) -> None:
        pixels = state["pixels"]
        self.__dict__ = state | {"pixels": np.memmap(pixels, np.uint8, "r") if isinstance(pixels, Path) else pixels}

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, i: int) -> Array:
        """Photo i, uint8 [H, W, 3]."""
        offset, height, width = self.index[i]
        return self.pixels[offset : offset + height * width * 3].reshape(height, width, 3)

    def subset(self, which: Sequence[int]) -> Photos:
        """Some of the photos, sharing the pixels."""
        return Photos(self.pixels, [self.index[i] for i in which], self.skipped)


def folder_sources(folder: Path) -> list[Source]:
    """One source per picture file under `folder`. Raises DataError where there is no such folder or nothing in it."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of photos")
    paths = list(find_images(folder))
    if not paths:
        raise DataError(f"{folder}: holds no photos; name a folder with .jpg, .png or other pictures")
    if len(paths) > MOST_PHOTOS:
        paths = [paths[i] for i in np.linspace(0, len(paths) - 1, MOST_PHOTOS).astype(int)]
    return [(str(path.relative_to(folder)), partial(read_rgb, path)) for path in paths]


def read_rgb(path: Path) -> Array:
    """A picture file's pixels, uint8 [H, W, 3]; raises ImageError."""
    return read_image(path).rgb


def crop_for(folder: Path) -> int:
    """The side of crops, a multiple of 32 from 32 on, that three of four photos of a folder reach; nothing is enlarged for it.

    From the headers of up to MOST_HEADERS of them. Raises DataError as folder_sources does.
    """
    sources = folder_sources(folder)
    sides = []
    for i in np.linspace(0, len(sources) - 1, min(MOST_HEADERS, len(sources))).astype(int):
        try:
            with Image.open(folder / sources[i][0]) as image:
                sides.append(min(image.size))
        except (OSError, SyntaxError):  # Pillow's, for what is no picture: skipped and listed when they are read
            continue
    return max(32, int(np.quantile(sides, 0.25, method="lower")) // 32 * 32) if sides else 32


def load_folder(folder: Path, size: int, progress: Callable[[int, int], Any] | None = None) -> Photos:
    """Photos under `folder` for crops of `size` pixels, through a cache on disk keyed by names, sizes and times.

    Files that are damaged, or whose shorter side is below `size`, are skipped and listed. Raises DataError where none is left.
    """
    sources = folder_sources(folder)
    stats = [(name, (folder / name).stat().st_size, (folder / name).stat().st_mtime_ns) for name, _ in sources]
    key = hashlib.sha256(json.dumps([str(folder.resolve()), size, KEPT_SCALE, stats]).encode()).hexdigest()[:16]
    path = photo_folder() / f"{key}.u8"
    if not (found := _described(path)):
        try:
            with in_turn(path):  # of many trainings that begin at once, one decodes
                if not _described(path):
                    _fill_cache(path, folder, sources, size, progress)
        except OSError as error:
            raise DataError(
                f"{path.parent}: the photo cache cannot be written ({because(error)}); set ONESTROKE_CACHE"
            ) from None
        found = _described(path)
    bound(path.parent, path)
    if not found:
        raise DataError(f"{path}: the photo cache does not keep what is written to it; set ONESTROKE_CACHE")
    return Photos(np.memmap(path, np.uint8, "r"), *found)


def _described(path: Path) -> tuple[list[tuple[int, int, int]], list[str]] | None:
    """The index of cached pixels, and what was skipped; None where there are none, or it does not fit them."""
    try:
        meta = json.loads(path.with_suffix(".json").read_text())
        index = [(int(offset), int(height), int(width)) for offset, height, width in meta["index"]]
        whole = all(min(entry) >= 0 and entry[0] + 3 * entry[1] * entry[2] <= path.stat().st_size for entry in index)
        return (index, [str(line) for line in meta["skipped"]]) if index and whole else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _fill_cache(
    path: Path, folder: Path, sources: Sequence[Source], size: int, progress: Callable[[int, int], Any] | None
) -> None:
    """Write the pixels, then their index, each to a temporary name first: an index means that the pixels are whole."""
    with replacing(path) as pixels, pixels.open("wb") as file:
        index, skipped = _decode(sources, size, file.write, progress)
        if not index:
            raise DataError(f"{folder}: none of {len(sources)} photos is usable; {skipped[0]}")
    with replacing(path.with_suffix(".json")) as described:
        described.write_text(json.dumps({"index": index, "skipped": skipped}))


def load_sources(sources: Sequence[Source], size: int) -> Photos:
    """Photos from any sources, in memory."""
    parts: list[bytes] = []
    index, skipped = _decode(sources, size, parts.append, None)
    return Photos(np.frombuffer(b"".join(parts), np.uint8), index, skipped)


def _decode(
    sources: Sequence[Source], size: int, write: Callable[[bytes], Any], progress: Callable[[int, int], Any] | None
) -> tuple[list[tuple[int, int, int]], list[str]]:
    """Decode in threads (Pillow releases the lock), write in order."""

    def load(source: Source) -> Array | str:
        try:
            photo = source[1]()
        except ImageError as error:
            return str(error)
        if min(photo.shape[:2]) < size:
            return f"{source[0]}: {photo.shape[1]}x{photo.shape[0]} pixels, smaller than crops of {size}"
        return resize(photo, shorter=KEPT_SCALE * size) if min(photo.shape[:2]) > KEPT_SCALE * size else photo

    index: list[tuple[int, int, int]] = []
    skipped: list[str] = []
    offset = 0
    with ThreadPoolExecutor() as pool:
        for done, photo in enumerate(pool.map(load, sources), 1):
            if isinstance(photo, str):
                skipped.append(photo)
            else:
                write(photo.tobytes())
                index.append((offset, photo.shape[0], photo.shape[1]))
                offset += photo.size
            if progress:
                progress(done, len(sources))
    return index, skipped


def split(photos: Photos, held_out: int) -> tuple[Photos, Photos]:
    """(training, held-out) photos: evenly spread ones are set aside, at most a fifth, but one at least.

    Raises DataError for fewer than two photos.
    """
    if len(photos) < 2:
        raise DataError("one usable photo is not enough: one trains, another is held out; add photos to the folder")
    count = max(1, min(held_out, len(photos) // 5))
    aside = {int(i) for i in np.linspace(0, len(photos) - 1, count)}
    return photos.subset([i for i in range(len(photos)) if i not in aside]), photos.subset(sorted(aside))
