"""What a user may ask of a run over pictures and videos."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational

from onestroke.errors import ConfigError
from onestroke.inference.brush import AUTO, Brush


@dataclass(frozen=True)
class Settings:
    """How to paint and what to write.

    strength: 0 is the photo, 1 the style. keep_colors: only lightness from the style. size: longer side in pixels, None
    for the source's own. codec: a name of CODECS, None for the container's usual one. quality: constant rate factor, None
    for the codec's default. rate: frames a second of a sequence of pictures. resume: go on from a stopped run. brush: how
    large strokes are. steady: mix each frame of a video with those before (needs OpenCV).
    """

    strength: float = 1.0
    keep_colors: bool = False
    size: int | None = None
    codec: str | None = None
    quality: int | None = None
    rate: Fraction | None = None
    resume: bool = False
    brush: Brush = AUTO
    steady: bool = False

    def __post_init__(self) -> None:
        """Raises ConfigError for a size, a quality or a rate that is none."""
        if self.size is not None and not (isinstance(self.size, int) and self.size >= 1):
            raise ConfigError(f"size: {self.size} is no size in pixels; use 1 or more")
        if self.quality is not None and (isinstance(self.quality, bool) or not isinstance(self.quality, int)):
            raise ConfigError(f"quality: {self.quality!r} is no whole number; 0 is the best")
        if self.rate is not None and not (isinstance(self.rate, Rational) and self.rate > 0):
            raise ConfigError(f"rate: {self.rate!r} is no number of frames a second; use a Fraction or a whole number above 0")


DEFAULT = Settings()
