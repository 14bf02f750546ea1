"""Decoded frames to upright RGB in the file's own colors, and back. The only file that touches PyAV's frames."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from onestroke.arrays import Array
from onestroke.media.clip import UNKNOWN, Clip, Color, Frame

# Chroma is interpolated both ways, and rounded, not cut: without these flags swscale doubles its columns.
EXACT = int(Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND)


_BT709, _BT601 = 1, 5
_RGB_FORMATS = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr", "mono")
# FFmpeg's matrix codes to swscale's; constant luminance is read as its near kin, YCgCo and ICtCp as unknown
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}


def fraction(value: Any) -> Fraction | None:
    """A rational of PyAV's, or of Python's, as the latter; None for none. From PyAV 19 on its own has no arithmetic."""
    return Fraction(value.numerator, value.denominator) if value else None


def color_of(frame: VideoFrame) -> Color:
    """A decoded frame's colors. RGB becomes BT.709, said explicitly, since a video must be stored as something."""
    if frame.format.name.startswith(_RGB_FORMATS):
        return Color(_BT709, _BT709, False, 1, 1)
    tagged = int(frame.colorspace)
    guess = _BT709 if frame.height >= 720 else _BT601
    if tagged in (0, UNKNOWN):  # 0: RGB, which gray pictures say they are
        tagged = guess
    full = int(frame.color_range) == 2 or frame.format.name.startswith("yuvj")
    return Color(_MATRICES.get(tagged, guess), tagged, full, int(frame.color_primaries), int(frame.color_trc))


@dataclass(frozen=True)
class Turn:
    """How to turn stored pixels upright: first transposed, then mirrored left to right and top to bottom."""

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Turn:
        """From the display matrix, which takes stored (x, y) to shown (a x + c y, b x + d y)."""
        try:
            side = cast(Any, frame.side_data)["DISPLAYMATRIX"]  # whose types PyAV states wrongly
        except (KeyError, ValueError):  # none, or PyAV does not know something that lies beside it
            return cls()
        a, b, _, c, d = np.frombuffer(bytes(side), np.int32)[:5]
        if abs(int(a)) >= abs(int(b)):
            return cls(False, bool(a < 0), bool(d < 0))
        return cls(True, bool(c < 0), bool(b < 0))

    def __call__(self, pixels: Array) -> Array:
        """`pixels` [H, W, C], upright."""
        if self.transposed:
            pixels = pixels.transpose(1, 0, 2)
        if self.mirrored:
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(pixels[::-1] if self.flipped else pixels)


class Converter:
    """Decoded frames to RGB at a clip's size, and back to whatever an encoder stores."""

    def __init__(self, clip: Clip, turn: Turn = Turn()) -> None:
        self.clip, self.turn = clip, turn
        self._swscale = VideoReformatter()

    def to_rgb(self, frame: VideoFrame) -> tuple[Array, Array | None]:
        """`rgb` uint8 [H, W, 3] and `alpha` uint8 [H, W] or None, at the clip's size."""
        stored = (self.clip.height, self.clip.width) if self.turn.transposed else (self.clip.width, self.clip.height)
        scaling = Interpolation.BILINEAR if stored == (frame.width, frame.height) else Interpolation.LANCZOS
        color = color_of(frame)
        made = self._swscale.reformat(
            frame,
            *stored,
            format="rgba" if self.clip.has_alpha else "rgb24",
            src_colorspace=color.matrix,
            src_color_range=2 if color.full else 1,
            dst_color_range=2,
            interpolation=int(scaling) | EXACT,
        )
        pixels = self.turn(cast(Array, made.to_ndarray()))
        return (np.ascontiguousarray(pixels[..., :3]), pixels[..., 3]) if self.clip.has_alpha else (pixels, None)

    def from_rgb(self, frame: Frame, pixel_format: str) -> VideoFrame:
        """A frame for the encoder. Where it stores no alpha, what shows through is white, as in pictures."""
        rgb, alpha = frame.rgb, frame.alpha
        if alpha is not None and not pixel_format.startswith("yuva"):
            share = alpha[..., None].astype(np.uint16)
            rgb, alpha = ((rgb * share + 255 * (255 - share) + 127) // 255).astype(np.uint8), None
        pixels, kind = (rgb, "rgb24") if alpha is None else (np.dstack([rgb, alpha]), "rgba")
        color = self.clip.color
        return self._swscale.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(pixels), kind),
            format=pixel_format,
            dst_colorspace=color.matrix,
            src_color_range=2,
            dst_color_range=2 if color.full else 1,
            interpolation=int(Interpolation.BILINEAR) | EXACT,
        )
