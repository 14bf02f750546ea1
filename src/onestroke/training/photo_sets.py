"""Which photos a run learns from and which it is judged by: folders, the samples, and pairs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from onestroke.errors import DataError
from onestroke.events import Note, Reading, Report
from onestroke.optimization.pairs import read_pairs
from onestroke.samples import photos as sample_photos
from onestroke.samples import scenes
from onestroke.training.data import Pairs
from onestroke.training.photos import Photos, Source, load_folder, load_sources, read_rgb, split

SAMPLE_SCENES = 150
LEAST_HELD_OUT = 300  # the shorter side of the smallest held-out sample photo
MOST_LISTED = 10  # skipped files that are named


def photo_sets(content: str, val: str, size: int, held_out: int, report: Report) -> tuple[Photos, Photos]:
    """(training, held-out) photos for crops of `size` pixels: of the folders `content` and `val`, or the samples where empty.

    held_out: how many are judged by, at most. Without `val` they are set aside from `content`. Raises DataError.
    """
    train = _folder(content, size, report) if content else _samples(size)
    if val:
        found = _folder(val, size, report)
        which = np.linspace(0, len(found) - 1, min(held_out, len(found))).astype(int)
        return train, found.subset(which.tolist())
    if content:
        return split(train, held_out)
    kept = [(path.name, partial(read_rgb, path)) for path in sample_photos.held_out_photos()]
    return train, load_sources(kept, min(size, LEAST_HELD_OUT))


def pair_set(folder: str, size: int, report: Report) -> Pairs:
    """The finished pairs in a folder of `onestroke pairs`. Raises DataError for none, and for pairs that do not fit."""
    found = read_pairs(Path(folder))
    if not found:
        raise DataError(f"{folder}: holds no finished pairs; make some with `onestroke pairs`")
    sources = [[(str(path), partial(read_rgb, path)) for path in side] for side in zip(*found, strict=True)]
    photos, targets = (load_sources(side, size) for side in sources)
    if not photos:
        raise DataError(f"{folder}: its pairs are smaller than {size} pixels; use a smaller --size")
    if photos.index != targets.index:
        raise DataError(f"{folder}: photos and targets differ in size or some are damaged; make the pairs again")
    report(Note(f"{len(photos)} pairs from {folder}"))
    return photos, targets


def _samples(size: int) -> Photos:
    """Photographs from installed packages, and procedural scenes beside them."""
    sources: list[Source] = [(path.name, partial(read_rgb, path)) for path in sample_photos.train_photos()]
    sources += [(f"scene {i}", partial(scenes.draw, i, 2 * size)) for i in range(SAMPLE_SCENES)]
    photos = load_sources(sources, size)
    if not photos:
        raise DataError(f"size: the sample photos are smaller than {size} pixels; use a smaller --size, or your own --content")
    return photos


def _folder(name: str, size: int, report: Report) -> Photos:
    photos = load_folder(Path(name), size, lambda done, total: report(Reading(name, done, total)))
    report(Reading(name))
    if photos.skipped:
        report(Note(f"{name}: {len(photos.skipped)} files skipped, {len(photos)} photos used", warning=True))
        for line in photos.skipped[:MOST_LISTED]:
            report(Note(f"  {line}", warning=True))
        if len(photos.skipped) > MOST_LISTED:
            report(Note(f"  and {len(photos.skipped) - MOST_LISTED} more", warning=True))
    return photos
