"""Stylise arrays and picture files with an exported model. Never imports torch."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from onestroke.card import ModelCard
from onestroke.errors import ConfigError, ImageError, OnestrokeError
from onestroke.images import (
    WRITABLE,
    Array,
    find_images,
    output_format,
    read_image,
    resize,
    resize_to,
    save_image,
    with_colors_of,
)
from onestroke.runtime.session import open_model


class Stylizer:
    """A style, ready to use: ``Stylizer("wave.onnx")(photo)``.

    `model` is a file or the name of a style in the box; `device` is "auto", "cpu" or "cuda". Raises ModelError.
    """

    def __init__(self, model: str | Path, device: str = "auto") -> None:
        self.model = open_model(model, device)

    @property
    def card(self) -> ModelCard:
        """What the model is and how it was made."""
        return self.model.card

    def __call__(self, photo: Array, strength: float = 1.0, keep_colors: bool = False) -> Array:
        """uint8 RGB [H, W, 3] or [N, H, W, 3] to the same shape.

        strength: 0 gives the photo, 1 the style. keep_colors: lightness from the style, colour from the photo.
        Raises ImageError for another shape or type.
        """
        if photo.dtype != np.uint8 or photo.ndim not in (3, 4) or photo.shape[-1] != 3 or 0 in photo.shape:
            raise ImageError(f"expected a uint8 RGB array [H, W, 3] or [N, H, W, 3], got {photo.dtype} {list(photo.shape)}")
        photos = photo if photo.ndim == 4 else photo[None]
        height, width = photos.shape[1:3]
        down, right = (max(0, self.card.minimum - extent) for extent in (height, width))
        padded = np.pad(photos, ((0, 0), (0, down), (0, right), (0, 0)), "edge") if down or right else photos
        stylised = self.model.run(padded, strength)[:, :height, :width]
        if keep_colors:
            stylised = np.stack([with_colors_of(p, s) for p, s in zip(photos, stylised, strict=True)])
        return stylised if photo.ndim == 4 else stylised[0]


@dataclass(frozen=True)
class Job:
    """One file to read and one to write."""

    source: Path
    target: Path


def plan(inputs: Sequence[str], out: str | None, style: str, overwrite: bool = False) -> list[Job]:
    """Expand files, folders and glob patterns into jobs.

    A folder keeps its tree. Without `out`, a file goes beside itself and a folder into a new one, both named after the style.
    Raises ConfigError where nothing matches, two inputs share an output, or an existing file would be replaced unasked.
    """
    jobs: list[Job] = []
    single = out is not None and Path(out).suffix.lower() in WRITABLE and not Path(out).is_dir()
    for item in inputs:
        path = Path(item)
        if path.is_dir():
            found = list(find_images(path))
            folder = Path(out) if out else path.with_name(f"{path.resolve().name}-{style}")
            jobs += [Job(f, _writable(folder / f.relative_to(path))) for f in found]
            if not found:
                raise ConfigError(f"{item}: a folder without pictures")
        else:
            matches = [path] if path.exists() or not glob.has_magic(item) else [Path(m) for m in sorted(glob.glob(item))]
            if not matches or not matches[0].exists():
                raise ConfigError(f"{item}: no such file or folder")
            for match in matches:
                beside = match.with_name(f"{match.stem}-{style}{match.suffix}")
                target = Path(out or "") if single else Path(out) / match.name if out else beside
                jobs.append(Job(match, target if single else _writable(target)))
    if out is not None and not single and len(jobs) == 1 and Path(out).suffix and not Path(out).is_dir():
        output_format(Path(out))  # a file was meant, of a kind that is not written: say so instead of making a folder
    _check_targets(jobs, overwrite)
    return jobs


def _writable(path: Path) -> Path:
    """The same name, or .png where the input's format is only read (GIF, ...)."""
    return path if path.suffix.lower() in WRITABLE else path.with_suffix(".png")


def _check_targets(jobs: Sequence[Job], overwrite: bool) -> None:
    seen: dict[Path, Path] = {}
    for job in jobs:
        target = job.target.resolve()
        if target in seen:
            raise ConfigError(f"{job.target}: both {seen[target]} and {job.source} would be written there; use -o FOLDER")
        if target.exists() and not overwrite:
            raise ConfigError(f"{job.target}: exists already; add --overwrite to replace it or name another place with -o")
        seen[target] = job.source


def stylize_files(
    stylizer: Stylizer, jobs: Sequence[Job], *, strength: float = 1.0, keep_colors: bool = False, size: int | None = None
) -> Iterator[tuple[Job, OnestrokeError | None]]:
    """Do the jobs in turn; yields each with None, or with the error that made it be skipped.

    size: longer side in pixels at which to stylise and write; None keeps the photo's. Alpha and metadata are kept.
    """
    for job in jobs:
        try:
            picture = read_image(job.source)
            if size:
                picture.rgb = resize(picture.rgb, longer=size)
                if picture.alpha is not None:
                    picture.alpha = resize_to(picture.alpha, *picture.rgb.shape[:2])
            save_image(job.target, stylizer(picture.rgb, strength, keep_colors), like=picture)
            yield job, None
        except OnestrokeError as error:
            yield job, error
