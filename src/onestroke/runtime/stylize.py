"""Stylise arrays with an exported model. Never imports torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from onestroke.card import ModelCard
from onestroke.errors import ImageError
from onestroke.images import Array, with_colors_of
from onestroke.runtime.brush import Brush, paint_with
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

    def __call__(self, photo: Array, strength: float = 1.0, keep_colors: bool = False, brush: Brush | None = None) -> Array:
        """uint8 RGB [H, W, 3] or [N, H, W, 3] to the same shape.

        strength: 0 gives the photo, 1 the style. keep_colors: lightness from the style, colour from the photo.
        brush: the scale to paint at, None for the photo's own.
        Raises ImageError for another shape or type.
        """
        if photo.dtype != np.uint8 or photo.ndim not in (3, 4) or photo.shape[-1] != 3 or 0 in photo.shape:
            raise ImageError(f"expected a uint8 RGB array [H, W, 3] or [N, H, W, 3], got {photo.dtype} {list(photo.shape)}")
        photos = photo if photo.ndim == 4 else photo[None]
        if brush is None:
            stylised = self._paint(photos, strength)
        else:
            stylised = np.stack([paint_with(brush, p, lambda small: self._paint(small[None], strength)[0]) for p in photos])
        if keep_colors:
            stylised = np.stack([with_colors_of(p, s) for p, s in zip(photos, stylised, strict=True)])
        return stylised if photo.ndim == 4 else stylised[0]

    def _paint(self, photos: Array, strength: float) -> Array:
        """[N, H, W, 3] to the same shape, at its own scale; photos too small for the network are padded."""
        height, width = photos.shape[1:3]
        down, right = (max(0, self.card.minimum - extent) for extent in (height, width))
        padded = np.pad(photos, ((0, 0), (0, down), (0, right), (0, 0)), "edge") if down or right else photos
        return self.model.run(padded, strength)[:, :height, :width]
