"""What a video is, and one frame of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from onestroke.arrays import Array

UNKNOWN = 2  # FFmpeg's "unspecified" matrix, primaries and transfer


@dataclass(frozen=True)
class Color:
    """How the file's numbers mean colors, in FFmpeg's codes.

    `tagged` is the matrix that is stated in what is written: the file's own, or where it states none, what players assume
    by its size, which may change. `matrix` is the one to compute with, `full` whether 0 to 255 are used, `primaries` and
    `transfer` are passed on.
    """

    matrix: int
    tagged: int
    full: bool
    primaries: int = UNKNOWN
    transfer: int = UNKNOWN


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
    color: Color
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
