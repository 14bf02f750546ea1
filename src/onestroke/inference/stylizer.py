"""Stylize arrays with an exported model. Never imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np

from onestroke import bundled
from onestroke.arrays import Array, with_colors_of
from onestroke.card import ModelCard
from onestroke.config.devices import CPU
from onestroke.errors import ConfigError, ImageError, ModelError, OnestrokeError, because
from onestroke.inference.brush import AUTO, Brush, paint_in_octaves
from onestroke.inference.margin import MARGIN, Margined, Source, Whole
from onestroke.inference.session import mix, open_model
from onestroke.inference.tiling.executor import MB, Tiler
from onestroke.memory import free_memory

# Bytes a pixel that no network here exceeds: below it the graph need not be read to know that a picture fits.
_HUNGRIEST = 850
# Bytes on a GPU, where nothing tells what is free without one more library.
_ON_GPU = 4 * 10**9
# Rows whose colors are replaced at a time.
_ROWS = 512
# Pictures that a GPU is given at once, and their pixels: more gains nothing there, and costs memory.
MOST_AT_ONCE, PIXELS_AT_ONCE = 8, 8 * 1280 * 720


class Stylizer:
    """A style, ready to use: ``Stylizer("wave.onnx")(photo)``.

    `model` is a file or the name of a bundled style; `device` is "auto", "cpu", "cuda" or "webgpu". `memory`, in MB, is what
    the network may take (None: half of what is free); a picture that needs more is painted in strips that show no seams.
    Beside that the picture and its result take 3 bytes a pixel each, and octaves (see Brush) 2.5. `style`, of a model with
    several: one of them, or a mix, "a:0.7,b:0.3" (default: the first). Raises ModelError, and ConfigError for a style that
    the model lacks, or another value that cannot be.
    """

    def __init__(self, model: str | Path, device: str = "auto", memory: int | None = None, style: str = "") -> None:
        if memory is not None and not (isinstance(memory, Real) and memory >= 1):
            raise ConfigError(f"memory: {memory!r} cannot be used; use MB, 1 or more")
        self._arguments = model, device, memory, style
        path = bundled.path(model)
        self.model = open_model(path, device)
        self._memory, self._styles = memory, mix(style, self.model.card)
        # The frames of a video share one strength, and so one reading of the graph.
        self._tiler = lru_cache(1)(partial(Tiler, self.model, path, styles=self._styles))

    def __reduce__(self) -> tuple[type[Stylizer], tuple[Any, ...]]:
        """Another process opens the model anew: a session of ONNX Runtime cannot be sent."""
        return type(self), self._arguments

    @property
    def card(self) -> ModelCard:
        """What the model is and how it was made."""
        return self.model.card

    def __call__(self, photo: Array, strength: float = 1.0, keep_colors: bool = False, brush: Brush = AUTO) -> Array:
        """uint8 RGB [H, W, 3] or [N, H, W, 3] to the same shape.

        strength: 0 gives the photo, 1 the style. keep_colors: lightness from the style, color from the photo.
        brush: how large the strokes are on photos larger than what the network was trained for (see Brush).
        Raises ImageError for another shape or type, ConfigError for a strength beyond what the model was trained for,
        MemoryError where there is less memory than it was to use.
        """
        self.check_strength(strength)
        if not isinstance(photo, np.ndarray):
            raise ImageError(f"expected a uint8 RGB array [H, W, 3] or [N, H, W, 3], got a {type(photo).__name__}")
        if photo.dtype != np.uint8 or photo.ndim not in (3, 4) or photo.shape[-1] != 3 or 0 in photo.shape:
            raise ImageError(f"expected a uint8 RGB array [H, W, 3] or [N, H, W, 3], got {photo.dtype} {list(photo.shape)}")
        photos = photo if photo.ndim == 4 else photo[None]
        height, width = photos.shape[1:3]
        sizes = brush.sizes(height, width)
        # Where the photo shows through, so would its grain.
        under = brush.grain_for(self.card.grain) * min(1.0, strength / self.card.solid)
        if len(sizes) == 1 or strength == 0:
            stylized = self._paint([Whole(photo, under) for photo in photos], strength)
        else:
            paint = partial(self._one, strength=strength)
            stylized = np.stack([paint_in_octaves(sizes, photo, paint, under) for photo in photos])
        if keep_colors:
            for p, s in zip(photos, stylized, strict=True):
                for top in range(0, len(p), _ROWS):
                    s[top : top + _ROWS] = with_colors_of(p[top : top + _ROWS], s[top : top + _ROWS])
        return stylized if photo.ndim == 4 else stylized[0]

    def check_strength(self, strength: float) -> None:
        """Raise ConfigError for a strength that this model cannot paint."""
        if not (isinstance(strength, Real) and 0 <= strength <= self.card.strongest):
            shown = f"{strength:g}" if isinstance(strength, float) else repr(strength)
            raise ConfigError(f"strength: {shown} is out of range; use 0 to {self.card.strongest:g}")

    def at_once(self, height: int, width: int) -> int:
        """How many pictures of this size are best given in one call: one on a CPU, which is busy with it."""
        if self.model.device == CPU:
            return 1
        return max(1, min(MOST_AT_ONCE, PIXELS_AT_ONCE // (height * width)))

    def _one(self, photo: Source, strength: float) -> Array:
        """[H, W, 3] to the same shape, at its own scale."""
        painted: Array = self._paint([photo], strength, once=True)[0]
        return painted

    def _paint(self, photos: Sequence[Source], strength: float, once: bool = False) -> Array:
        """Pictures of one size to [N, H, W, 3], at their own scale, with a mirrored margin while they are painted."""
        height, width = photos[0].shape[:2]
        try:
            return self._run([Margined(photo, self.card.minimum) for photo in photos], strength, once)
        except Exception as error:  # ONNX Runtime's exceptions have no common public base
            if isinstance(error, OnestrokeError):
                raise
            if "alloc" not in str(error).lower():
                raise ModelError(f"{self.card.name}: cannot paint {width} x {height} pixels ({because(error)[:160]})") from None
            raise MemoryError(f"too little memory for {width} x {height} pixels; use a lower --memory or --size") from None

    def _run(self, photos: Sequence[Margined], strength: float, once: bool) -> Array:
        """Whole where that fits the memory, else one by one, in strips where even that does not fit; without the margins."""
        memory, (height, width) = self._budget(), photos[0].inside
        pixels = len(photos) * photos[0].shape[0] * photos[0].shape[1]
        if pixels * _HUNGRIEST <= memory or pixels * self._tiler(strength).bytes_per_pixel <= memory:
            whole = np.stack([photo.rows(0, photo.shape[0]) for photo in photos])
            painted = self.model.run(whole, strength, self._styles, once=once)
            return painted[:, MARGIN : MARGIN + height, MARGIN : MARGIN + width]
        result = np.empty((len(photos), height, width, 3), np.uint8)
        for photo, into in zip(photos, result, strict=True):
            for top, rows in self._tiler(strength).paint(photo, memory):
                first, last = max(top, MARGIN), min(top + len(rows), MARGIN + height)
                if first < last:
                    into[first - MARGIN : last - MARGIN] = rows[first - top : last - top, MARGIN : MARGIN + width]
        return result

    def _budget(self) -> float:
        """In bytes."""
        if self._memory is not None:
            return self._memory * MB
        return min(free_memory() / 2, _ON_GPU if self.model.device != CPU else float("inf"))
