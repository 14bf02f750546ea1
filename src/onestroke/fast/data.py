"""Photos for training: any folder tree, or the samples in the box; decoded once, cropped at random, in a fixed order."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from onestroke.config import cache_folder
from onestroke.errors import DataError, ImageError
from onestroke.images import Array, find_images, read_image, resize

# A photo is kept at up to this many times the crop's side, so that crops range from a detail to (nearly) the whole.
KEPT_SCALE = 2
# More photos than this do not make a better net, but a cache of tens of gigabytes; larger folders are thinned evenly.
MOST_PHOTOS = 10_000

Source = tuple[str, Callable[[], Array]]


@dataclass
class Photos:
    """Decoded photos, all in one flat uint8 array (a memory map where they come from a folder), and what was skipped."""

    pixels: NDArray[np.uint8]
    index: list[tuple[int, int, int]]  # offset, height, width
    skipped: list[str]

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


def load_folder(folder: Path, size: int, progress: Callable[[int, int], None] | None = None) -> Photos:
    """Photos under `folder` for crops of `size` pixels, through a cache on disk keyed by names, sizes and times.

    Files that are damaged, or whose shorter side is below `size`, are skipped and listed. Raises DataError where none is left.
    """
    sources = folder_sources(folder)
    stats = [(name, (folder / name).stat().st_size, (folder / name).stat().st_mtime_ns) for name, _ in sources]
    key = hashlib.sha256(json.dumps([str(folder.resolve()), size, KEPT_SCALE, stats]).encode()).hexdigest()[:16]
    path = cache_folder() / "photos" / f"{key}.u8"
    if not path.with_suffix(".json").is_file():
        try:
            _fill_cache(path, folder, sources, size, progress)
        except OSError as error:
            reason = error.strerror or error
            raise DataError(f"{path.parent}: the photo cache cannot be written ({reason}); set ONESTROKE_CACHE") from None
    meta = json.loads(path.with_suffix(".json").read_text())
    return Photos(np.memmap(path, np.uint8, "r"), [tuple(entry) for entry in meta["index"]], meta["skipped"])


def _fill_cache(
    path: Path, folder: Path, sources: Sequence[Source], size: int, progress: Callable[[int, int], None] | None
) -> None:
    """Write the pixels, then their index, each to a temporary name first: an index means that the pixels are whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels, described = (path.with_suffix(f"{suffix}.{os.getpid()}.part") for suffix in (".u8", ".json"))
    try:
        with pixels.open("wb") as file:
            index, skipped = _decode(sources, size, file.write, progress)
        if not index:
            raise DataError(f"{folder}: none of {len(sources)} photos is usable; {skipped[0]}")
        described.write_text(json.dumps({"index": index, "skipped": skipped}))
        pixels.replace(path)
        described.replace(path.with_suffix(".json"))
    finally:
        pixels.unlink(missing_ok=True)
        described.unlink(missing_ok=True)


def load_sources(sources: Sequence[Source], size: int) -> Photos:
    """Photos from any sources, in memory."""
    parts: list[bytes] = []
    index, skipped = _decode(sources, size, parts.append, None)
    return Photos(np.frombuffer(b"".join(parts), np.uint8), index, skipped)


def _decode(
    sources: Sequence[Source], size: int, write: Callable[[bytes], Any], progress: Callable[[int, int], None] | None
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


def centre_crop(photo: Array, size: int) -> Array:
    """The central square of a photo, scaled to size x size."""
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    return _crop(photo, top, left, side, size)


def _crop(photo: Array, top: int, left: int, side: int, size: int) -> Array:
    square = photo[top : top + side, left : left + side]
    if side == size:
        return square
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))


class Batches(IterableDataset[Tensor]):
    """An endless sequence of batches uint8 [B, size, size, 3], each a pure function of (seed, step).

    So a run resumes at any step without replaying the ones before. Every epoch is one permutation of the photos.
    """

    def __init__(self, photos: Photos, size: int, batch: int, seed: int, start: int = 0) -> None:
        self.photos, self.size, self.batch, self.seed, self.start = photos, size, batch, seed, start

    def __iter__(self) -> Iterator[Tensor]:
        worker = torch.utils.data.get_worker_info()
        step, stride = (self.start + worker.id, worker.num_workers) if worker else (self.start, 1)
        while True:
            yield self.at(step)
            step += stride

    def at(self, step: int) -> Tensor:
        """The batch of one step: random square crops of random scale, half of them mirrored."""
        rng = np.random.default_rng((self.seed, 1, step))
        crops = np.empty((self.batch, self.size, self.size, 3), np.uint8)
        for i, crop in enumerate(crops):
            epoch, place = divmod(step * self.batch + i, len(self.photos))
            photo = self.photos[int(self._order(epoch)[place])]
            side = int(rng.integers(self.size, min(photo.shape[:2]) + 1))
            top, left = (int(rng.integers(extent - side + 1)) for extent in photo.shape[:2])
            crop[:] = _crop(photo, top, left, side, self.size)[:, :: 1 if rng.random() < 0.5 else -1]
        return torch.from_numpy(crops)

    def _order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((self.seed, 2, epoch)).permutation(len(self.photos))


class PhotoModule(pl.LightningDataModule):
    """Training batches and held-out photos for Lightning.

    `start` is the step to begin at, set from the checkpoint by the run that resumes.
    """

    def __init__(self, train: Photos, held_out: Photos, *, size: int, batch: int, seed: int, workers: int) -> None:
        super().__init__()
        self.train, self.held_out = train, held_out
        self.size, self.batch, self.seed, self.workers, self.start = size, batch, seed, workers, 0

    def train_dataloader(self) -> DataLoader[Tensor]:
        """Batches from `start` on, without end."""
        batches = Batches(self.train, self.size, self.batch, self.seed, self.start)
        return DataLoader(batches, batch_size=None, num_workers=self.workers, pin_memory=self.workers > 0)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """The central squares of the held-out photos, uint8 [B, size, size, 3] each."""
        crops = np.stack([centre_crop(self.held_out[i], self.size) for i in range(len(self.held_out))])
        return DataLoader(TensorDataset(torch.from_numpy(crops)), batch_size=self.batch)

    def sample(self, count: int = 32) -> Tensor:
        """Central squares of up to `count` training photos, evenly spread, uint8 [N, size, size, 3]: for the losses' units."""
        which = np.linspace(0, len(self.train) - 1, min(count, len(self.train))).astype(int)
        return torch.from_numpy(np.stack([centre_crop(self.train[int(i)], self.size) for i in which]))


def split(photos: Photos, held_out: int) -> tuple[Photos, Photos]:
    """(training, held-out) photos: evenly spread ones are set aside, at most a fifth, but one at least.

    Raises DataError for fewer than two photos.
    """
    if len(photos) < 2:
        raise DataError("one usable photo is not enough: one trains, another is held out; add photos to the folder")
    count = max(1, min(held_out, len(photos) // 5))
    aside = {int(i) for i in np.linspace(0, len(photos) - 1, count)}
    return photos.subset([i for i in range(len(photos)) if i not in aside]), photos.subset(sorted(aside))
