"""The front door for Python: what `import onestroke` offers, in the words of the command line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from PIL import Image

from onestroke.arrays import Array, resize_to
from onestroke.errors import ConfigError, ImageError, VideoError, because
from onestroke.events import Report, silent
from onestroke.images import Picture, read_image, to_picture
from onestroke.inference import stylizer as inference
from onestroke.inference.brush import AUTO, Brush
from onestroke.saving import save_image

if TYPE_CHECKING:
    from onestroke.config.training import TrainConfig
    from onestroke.jobs.painter import Report as VideoReport
    from onestroke.training.run import Trained

Paths = str | Path | Sequence[str | Path]


class Stylizer(inference.Stylizer):
    """A style, ready to use: ``Stylizer("great_wave")("photo.jpg")``. See onestroke.inference.stylizer for the arguments."""

    @overload
    def __call__(
        self, photo: Array, strength: float = ..., keep_colors: bool = ..., brush: Brush | str | int = ...
    ) -> Array: ...
    @overload
    def __call__(
        self, photo: str | Path | Image.Image, strength: float = ..., keep_colors: bool = ..., brush: Brush | str | int = ...
    ) -> Image.Image: ...
    def __call__(
        self, photo: Any, strength: float = 1.0, keep_colors: bool = False, brush: Brush | str | int = AUTO
    ) -> Array | Image.Image:
        """An array to an array, a file or a Pillow image to a Pillow image, turned upright, in sRGB, alpha kept.

        photo: uint8 RGB [H, W, 3] or [N, H, W, 3], a path, or an image. strength: 0 gives the photo, 1 the style, more is
        stronger, up to the card's `strongest`. keep_colors: lightness from the style, color from the photo. brush: how
        large strokes are on large photos: "auto", "native", pixels or a share ("25%"). Raises ImageError and ConfigError.
        """
        how = strength, keep_colors, brush if isinstance(brush, Brush) else Brush.parse(str(brush))
        if isinstance(photo, np.ndarray):
            return super().__call__(photo, *how)
        picture = _picture(photo)
        return Picture(super().__call__(picture.rgb, *how), picture.alpha).to_pil()

    def video(
        self, source: str | Path, target: str | Path, progress: Callable[[int, int | None], bool | None] | None = None,
        *, overwrite: bool = False, **settings: Any,
    ) -> VideoReport:  # fmt: skip
        """Stylize a video, animation or numbered sequence into `target`, sound and timestamps kept; says how it went.

        progress: called with the frames done and their number (None: unknown); True stops. settings: fields of
        onestroke.jobs.settings.Settings (strength, keep_colors, size, codec, quality, rate, resume, brush, steady). Raises
        VideoError, and ConfigError for a target that exists, unless `overwrite` or `resume`.
        """
        from onestroke.config.schema import check_names
        from onestroke.jobs.job import Job
        from onestroke.jobs.render import render
        from onestroke.jobs.settings import Settings
        from onestroke.jobs.targets import check_targets
        from onestroke.media.source import parse_path

        check_names(Settings, settings, "settings")
        if "brush" in settings and not isinstance(settings["brush"], Brush):
            settings["brush"] = Brush.parse(str(settings["brush"]))
        job, chosen = Job(parse_path(Path(source)), Path(target)), Settings(**settings)
        if not job.is_video:
            raise VideoError(f"{source}: a picture; call the stylizer with it, or name a video")
        check_targets([job], overwrite, chosen.resume)
        return render(self, job.source, job.target, chosen, lambda done, total: bool(progress and progress(done, total)))


@dataclass(frozen=True)
class Run:
    """A training run: its folder, the steps taken, the held-out objective (1.0: what doing nothing costs).

    `model` (.onnx) and `sample` (a stylized photo) are None where the run was stopped before its end.
    """

    folder: Path
    steps: int
    objective: dict[str, float]
    model: Path | None = None
    sample: Path | None = None

    def export(self, path: str | Path, *, precision: str = "fp32", io: str = "uint8", overwrite: bool = False) -> Path:
        """Write the network as one .onnx file; see `export`."""
        return export(self.folder, path, precision=precision, io=io, overwrite=overwrite)

    def stylizer(self, device: str = "auto") -> Stylizer:
        """The style, ready to use. Raises ConfigError for a run that was stopped: export it first."""
        if self.model is None:
            raise ConfigError(f"{self.folder}: was stopped after {self.steps} steps; train with resume=True, or export it")
        return Stylizer(self.model, device)

    def _repr_png_(self) -> bytes | None:
        """The sample, for notebooks."""
        return self.sample.read_bytes() if self.sample else None


def styles() -> list[str]:
    """Names of the bundled styles, the best looking first."""
    from onestroke import bundled

    return bundled.names()


def train(
    style_image: Paths = (), *, content: str | Path = "", minutes: float | None = None, out: str | Path = "",
    resume: bool = False, progress: Report = silent, **settings: Any,
) -> Run:  # fmt: skip
    """Train one network on a painting (or several: one network that holds them all), export it, and stylize a sample.

    style_image: files; none: the sample painting. content: a folder of photos; empty: the sample photos. minutes: a time
    budget (on a CPU 4 by default). out: the run's folder, new, or with `resume` the one to go on in; empty:
    runs/<painting>. progress: called with events (onestroke.events); what returns True stops, and saves. settings: any
    other field of onestroke.config.training.TrainConfig. Raises OnestrokeError for what is wrong with these.
    """
    from onestroke.training.folders import choose

    images = [style_image] if isinstance(style_image, str | Path) else list(style_image)
    given: dict[str, Any] = {"style_image": [str(image) for image in images]} if images else {}
    given |= {name: str(value) for name, value in (("content", content), ("out", out)) if value}
    given |= {} if minutes is None else {"minutes": minutes}
    return run_training(*choose(given | settings, resume=resume), progress)


def run_training(config: TrainConfig, folder: Path, report: Report = silent) -> Run:
    """Train as `config` says into `folder`, or on from its checkpoint; then export, and stylize a sample."""
    from onestroke.training.run import train as fit

    trained = fit(config, folder, report)
    return _finish(trained) if trained.finished else Run(folder, trained.steps, {})


def _finish(trained: Trained) -> Run:
    from onestroke.exporting.onnx import export_run

    model, sample = export_run(trained.folder), trained.folder / "sample.png"
    save_image(sample, inference.Stylizer(model, device="cpu")(trained.preview))
    return Run(trained.folder, trained.steps, trained.objective, model, sample)


def export(
    run: str | Path, path: str | Path | None = None, *, precision: str = "fp32", io: str = "uint8", overwrite: bool = False
) -> Path:
    """Write the network that the run in a folder has reached; returns the file (default: RUN/<painting>.onnx).

    precision: "fp32", "fp16" (half the size), "w8" (0.3 of it) or "int8" (computed in 8 bits). io: "uint8" [N, H, W, 3] or
    "float" [N, 3, H, W] in [0, 1].
    Raises ConfigError, and ModelError where ONNX Runtime and torch disagree or `path` is a file that is no model of ours.
    """
    from onestroke.exporting.onnx import export_run

    return export_run(Path(run), None if path is None else Path(path), io, precision, overwrite=overwrite)


def gatys(
    content_image: str | Path | Image.Image | Array, style_images: Any, *, preset: str = "quality", device: str = "auto",
    memory: int = 0, progress: Callable[[Any], bool | None] | None = None, **settings: Any,
) -> Image.Image:  # fmt: skip
    """Paint one photo by optimizing its pixels (Gatys 2015): minutes to hours, and the reference for what is fast.

    content_image, style_images: files, Pillow images or uint8 arrays [H, W, 3]; several styles are blended evenly. memory:
    megabytes, kept by exact tiles (0: half of what is free). progress: called with onestroke.optimization's Progress; True
    stops. settings: fields of Recipe laid over the preset. Raises OnestrokeError for what is wrong with these.
    """
    from onestroke.losses.vgg import choose_device
    from onestroke.optimization.gatys.materials import Painting
    from onestroke.optimization.gatys.presets import recipe
    from onestroke.optimization.gatys.synthesis import Gatys

    given = style_images if isinstance(style_images, list | tuple) else [style_images]
    if not given:
        raise ConfigError("style_images: none; give at least one painting")
    pictures = [_picture(image) for image in given]
    paintings = [Painting(f"style {i}", picture.rgb, picture.alpha) for i, picture in enumerate(pictures, 1)]
    photo = _picture(content_image)
    work = Gatys(recipe(preset, **settings), photo.rgb[None], paintings, device=choose_device(device), memory=memory)
    work.run(progress)
    return _finished(work.pictures[0], photo)


def deepdream(
    image: str | Path | Image.Image | Array, *, preset: str = "google", guide: Any = None, device: str = "auto",
    progress: Callable[[Any], bool | None] | None = None, **settings: Any,
) -> Image.Image:  # fmt: skip
    """Raise what a network sees in a picture until everyone sees it (Mordvintsev 2015).

    image, guide: a file, a Pillow image or a uint8 array [H, W, 3]; what in the image resembles the guide comes out.
    progress: called with onestroke.optimization's Progress; True stops. settings: fields of Dream laid over the preset.
    Raises OnestrokeError for what is wrong with these.
    """
    from onestroke.losses.vgg import choose_device
    from onestroke.optimization.deepdream.dreamer import Dreamer
    from onestroke.optimization.deepdream.presets import dream_recipe

    recipe = dream_recipe(preset, **settings)
    if recipe.frames > 1:
        raise ConfigError(f"frames: {recipe.frames} are a zoom, which `onestroke dream --frames` makes; leave it out")
    dreamer = Dreamer(recipe, None if guide is None else _picture(guide).rgb, choose_device(device))
    photo = _picture(image)
    return _finished(dreamer.dream(photo.rgb, progress), photo)


def _finished(result: Array, photo: Picture) -> Image.Image:
    """A picture [H, W, 3] made from a photo, with its alpha."""
    return Picture(result, None if photo.alpha is None else resize_to(photo.alpha, *result.shape[:2])).to_pil()


def _picture(image: Any) -> Picture:
    """What the user has, as a picture. Raises ImageError for something else."""
    if isinstance(image, str | Path):
        return read_image(image)
    if isinstance(image, Image.Image):
        try:
            return to_picture(image.copy())
        except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
            name = getattr(image, "filename", "") or type(image).__name__
            raise ImageError(f"{name}: damaged or unreadable ({because(error)})") from None
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[-1] == 3:
        return Picture(image)
    raise ImageError(f"{type(image).__name__}: not a picture; give a path, a Pillow image, or a uint8 array [H, W, 3]")
