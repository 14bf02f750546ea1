"""What a video is, and one decoded frame of it: upright RGB in the file's own colours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, cast

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from onestroke.images import Array

# Chroma is interpolated both ways, and rounded, not cut: without these flags swscale doubles its columns.
EXACT = int(Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND)
UNKNOWN = 2  # FFmpeg's "unspecified" matrix, primaries and transfer
_BT709, _BT601 = 1, 5
_RGB_FORMATS = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8", "x2rgb", "x2bgr", "mono")
# FFmpeg's matrix codes to swscale's; constant luminance is read as its near kin, YCgCo and ICtCp as unknown
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}


@dataclass(frozen=True)
class Colour:
    """How the file's numbers mean colours, in FFmpeg's codes.

    `tagged` is the matrix that is stated in what is written: the file's own, or where it states none, what players assume
    by its size, which may change. `matrix` is the one to compute with, `full` whether 0 to 255 are used, `primaries` and
    `transfer` are passed on.
    """

    matrix: int
    tagged: int
    full: bool
    primaries: int = UNKNOWN
    transfer: int = UNKNOWN

    @classmethod
    def of(cls, frame: VideoFrame) -> Colour:
        """A decoded frame's colours. RGB becomes BT.709, said explicitly, since a video must be stored as something."""
        if frame.format.name.startswith(_RGB_FORMATS):
            return cls(_BT709, _BT709, False, 1, 1)
        tagged, guess = int(frame.colorspace), _BT709 if frame.height >= 720 else _BT601
        if tagged in (0, UNKNOWN):  # 0: RGB, which grey pictures say they are
            tagged = guess
        full = int(frame.color_range) == 2 or frame.format.name.startswith("yuvj")
        return cls(_MATRICES.get(tagged, guess), tagged, full, int(frame.color_primaries), int(frame.color_trc))


@dataclass(frozen=True)
class Turn:
    """How to turn stored pixels upright: first transposed, then mirrored left to right and top to bottom."""

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Turn:
        """From the display matrix, which takes stored (x, y) to shown (a x + c y, b x + d y)."""
        for side in cast(Any, frame.side_data):  # PyAV types it as the mapping that it also is
            if side.type == Type.DISPLAYMATRIX:
                a, b, _, c, d = np.frombuffer(bytes(side), np.int32)[:5]
                if abs(int(a)) >= abs(int(b)):
                    return cls(False, bool(a < 0), bool(d < 0))
                return cls(True, bool(c < 0), bool(b < 0))
        return cls()

    def __call__(self, pixels: Array) -> Array:
        """`pixels` [H, W, C], upright."""
        if self.transposed:
            pixels = pixels.transpose(1, 0, 2)
        if self.mirrored:
            pixels = pixels[:, ::-1]
        return np.ascontiguousarray(pixels[::-1] if self.flipped else pixels)


@dataclass(frozen=True)
class Clip:
    """A video's properties. Sizes are those of a frame as it is shown, upright, in pixels; `pixel_aspect` is width / height,
    None where the file does not say (square).

    Timestamps count `time_base` seconds; `rate` is the nominal one, in frames a second. `frames` is how many the file
    announces, None where it does not say.
    """

    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    frames: int | None
    colour: Colour
    pixel_aspect: Fraction | None = None
    has_alpha: bool = False

    def scaled(self, longer: int | None) -> Clip:
        """With its longer side at `longer` pixels, both sides even, as most players want them; itself for None."""
        if longer is None:
            return self
        scale = longer / max(self.width, self.height)
        width, height = (max(2, 2 * round(side * scale / 2)) for side in (self.width, self.height))
        return replace(self, width=width, height=height)


@dataclass(frozen=True)
class Frame:
    """One picture of a video: `rgb` uint8 [H, W, 3], `alpha` uint8 [H, W] or None, shown from `pts` on.

    `repeated` marks the stand-in for a frame that could not be decoded.
    """

    pts: int
    rgb: Array
    alpha: Array | None = None
    repeated: bool = False


class Converter:
    """Decoded frames to RGB at a clip's size, and back to whatever an encoder stores."""

    def __init__(self, clip: Clip, turn: Turn = Turn()) -> None:
        self.clip, self.turn = clip, turn
        self._swscale = VideoReformatter()

    def to_rgb(self, frame: VideoFrame) -> tuple[Array, Array | None]:
        """`rgb` uint8 [H, W, 3] and `alpha` uint8 [H, W] or None, at the clip's size."""
        stored = (self.clip.height, self.clip.width) if self.turn.transposed else (self.clip.width, self.clip.height)
        scaling = Interpolation.BILINEAR if stored == (frame.width, frame.height) else Interpolation.LANCZOS
        colour = Colour.of(frame)
        made = self._swscale.reformat(
            frame,
            *stored,
            format="rgba" if self.clip.has_alpha else "rgb24",
            src_colorspace=colour.matrix,
            src_color_range=2 if colour.full else 1,
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
        colour = self.clip.colour
        return self._swscale.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(pixels), kind),
            format=pixel_format,
            dst_colorspace=colour.matrix,
            src_color_range=2,
            dst_color_range=2 if colour.full else 1,
            interpolation=int(Interpolation.BILINEAR) | EXACT,
        )
