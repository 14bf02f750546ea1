"""Holds the paintings of a video still: each is mixed with the one before it, moved along the motion of the film.

Where the film itself cannot be followed (something comes into view, the light changes), the new painting stands alone. The
motion is dense inverse search (DIS, Kroeger 2016), which OpenCV brings; it is asked for only here.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onestroke.arrays import Array
from onestroke.errors import ConfigError

# The share of the painting before, so that what changes from frame to frame at random is halved.
_KEPT = 0.6
# Motion is looked for at this longer side, in pixels; a frame is followed where it differs by less than about _FOLLOWED levels.
_SIDE, _FOLLOWED = 512, 12.0


class Steady:
    """Shown the frames of a scene and their paintings in turn, returns steadier paintings.

    Raises ConfigError where OpenCV is not installed.
    """

    def __init__(self) -> None:
        try:
            self._cv2: Any = importlib.import_module("cv2")
        except ImportError:
            raise ConfigError("steady: needs OpenCV; pip install opencv-python-headless") from None
        self.restart()

    def restart(self) -> None:
        """Another scene begins: forget the last."""
        # A new one: it changes its own settings where frames are tiny.
        self._motion = self._cv2.DISOpticalFlow_create(self._cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._last: tuple[Array, Array, NDArray[np.float32]] | None = None

    def __call__(self, photo: Array, painted: Array) -> Array:
        """A frame and its painting, both uint8 [H, W, 3] of one size throughout; returns the steadier painting."""
        gray = self._gray(photo)
        held = painted.astype(np.float32)
        if self._last is not None:
            photo_before, gray_before, painted_before = self._last
            at = self._places(gray, gray_before, photo.shape[:2])
            keep = self._followed(photo, self._moved(photo_before, at))
            held += keep[..., None] * (self._moved(painted_before, at) - held)
        self._last = photo, gray, held
        steadier: Array = np.clip(held + 0.5, 0, 255).astype(np.uint8)
        return steadier

    def _gray(self, photo: Array) -> Array:
        height, width = photo.shape[:2]
        scale = min(1.0, _SIDE / max(height, width))
        # DIS works on patches of 8 pixels, at two scales or more.
        size = max(16, round(width * scale)), max(16, round(height * scale))
        gray: Array = self._cv2.cvtColor(
            self._cv2.resize(photo, size, interpolation=self._cv2.INTER_AREA), self._cv2.COLOR_RGB2GRAY
        )
        return gray

    def _places(self, gray: Array, before: Array, size: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Where each pixel was in the frame before: columns and rows, [H, W] each."""
        height, width = size
        flow = self._cv2.resize(self._motion.calc(gray, before, None), (width, height))
        right = flow[..., 0] * (width / gray.shape[1]) + np.arange(width, dtype=np.float32)
        down = flow[..., 1] * (height / gray.shape[0]) + np.arange(height, dtype=np.float32)[:, None]
        return right, down

    def _moved(self, picture: NDArray[Any], at: tuple[NDArray[np.float32], NDArray[np.float32]]) -> NDArray[Any]:
        # Linear would blur what stays for long.
        moved: NDArray[Any] = self._cv2.remap(picture, *at, self._cv2.INTER_CUBIC, borderMode=self._cv2.BORDER_REFLECT)
        return moved

    def _followed(self, photo: Array, expected: Array) -> NDArray[np.float32]:
        """How much of the painting before to keep, [H, W]: less the more the frame differs from what its motion explains."""
        off = self._cv2.absdiff(photo, expected).mean(-1, dtype=np.float32)
        keep: NDArray[np.float32] = _KEPT * np.exp(-np.square(self._cv2.blur(off, (5, 5)) / _FOLLOWED))
        return keep
