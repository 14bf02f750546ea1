"""Animated GIF, WebP and PNG to and from frames: every delay, the number of loops and transparency kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from onestroke.arrays import Array, resize_to
from onestroke.errors import ImageError, VideoError, because
from onestroke.files import check_file
from onestroke.images import check_size
from onestroke.media.clip import Clip, Color, Frame
from onestroke.media.target import ANIMATIONS
from onestroke.saving import check_sides

_MOST = 4 << 30  # bytes of frames held at once; Pillow takes all frames of an animation together
_DECODING = 16  # bytes a pixel of one frame
_LEAST_FRAME = 12  # bytes of a file that any frame takes
_GROWTH = 4  # times the first frame's pixels that a later one, which reaches beyond it, may have
# The longest delay in milliseconds that each format holds, and the most loops.
_LONGEST = {"GIF": 655_350, "WEBP": 16_777_215, "PNG": 65_535_000}
_MOST_LOOPS = {"GIF": 65_535, "WEBP": 65_535, "PNG": 2**31 - 1}
_SHORTEST = 20  # milliseconds
_CLEAR = 255  # the palette entry of a GIF that stands for transparent


class Animation:
    """An open animation, used like a `Reader`. `loop` is how often it plays (0: for ever), None where the file says nothing."""

    original: str | None = None  # nothing to copy from it
    painted = 0

    def __init__(self, source: Path, size: int | None = None) -> None:
        self.times: list[int] = []
        self._source = source
        try:
            check_file(source)
            self._image = Image.open(source)
        except Exception as error:
            raise VideoError(f"{source}: damaged or unreadable ({because(error)})") from None
        try:
            self._describe(source, size)
        except BaseException:
            self._image.close()
            raise

    def _describe(self, source: Path, size: int | None) -> None:
        """Find out what there is to know, all frames looked through. Raises VideoError."""
        try:
            check_size(*self._image.size, _DECODING)
            count = getattr(self._image, "n_frames", 1)
            if count > source.stat().st_size // _LEAST_FRAME:
                raise ImageError(f"announces {count} frames in {source.stat().st_size} bytes; the file is damaged")
        except ImageError as error:
            raise VideoError(f"{source}: {error}") from None
        except Exception as error:
            raise VideoError(f"{source}: damaged or unreadable ({because(error)})") from None
        self.loop: int | None = self._image.info.get("loop")
        # an APNG may carry another picture for programs that do not animate; Pillow counts it as the first frame
        self._first = int(getattr(self._image, "default_image", False))
        self.announced = count - self._first
        self._delays: list[int] = []
        has_alpha = self._look_through(source)
        self.last_duration = self._delays[-1]
        width, height = self._image.size
        rate = Fraction(1000 * len(self._delays), sum(self._delays))
        color = Color(1, 1, False, 1, 1)  # BT.709 in a video
        self.clip = Clip(width, height, Fraction(1, 1000), rate, self.announced, color, has_alpha=has_alpha).scaled(size)

    def __enter__(self) -> Animation:
        return self

    def __exit__(self, *_: object) -> None:
        self._image.close()

    def _look_through(self, source: Path) -> bool:
        """Note every delay; returns whether any frame is transparent anywhere. A delay of 0 is shown as 100 ms by browsers."""
        seen, clear = False, False
        width, height = self._image.size
        for number in range(self.announced):
            pixels = self._read(number, _GROWTH * width * height)
            seen |= pixels is not None
            clear |= pixels is not None and bool((pixels[..., 3] < 255).any())
            self._delays.append(round(self._image.info.get("duration", 0)) or 100)
        if not seen:
            raise VideoError(f"{source}: no frame of it can be read; the file is empty or damaged")
        return clear

    def _read(self, number: int, most: int | None = None) -> Array | None:
        """Frame [H, W, 4], or None for a broken one. Raises VideoError for one of more than `most` pixels."""
        try:
            self._image.seek(number + self._first)
            width, height = self._image.size
            if most is not None and width * height > most:
                raise VideoError(f"{self._source}: frame {number + 1} has {width} x {height} pixels, far more than the first")
            return np.asarray(self._image.convert("RGBA"))
        except VideoError:
            raise
        except Exception:  # Pillow's decoders raise anything
            return None

    def frames(self, skip: int = 0) -> Iterator[Frame]:
        """The frames after the first `skip`; a broken one is stood in for by the one before it, or else after it."""
        pixels = next(found for n in range(self.announced) if (found := self._read(n)) is not None)
        for number, time in enumerate(np.cumsum([0, *self._delays[:-1]]).tolist()):
            found = self._read(number)
            pixels = pixels if found is None else found
            self.times.append(time)
            if number >= skip:
                height, width = self.clip.height, self.clip.width
                alpha = resize_to(np.ascontiguousarray(pixels[..., 3]), height, width) if self.clip.has_alpha else None
                yield Frame(time, resize_to(np.ascontiguousarray(pixels[..., :3]), height, width), alpha, found is None)


class AnimationWriter:
    """Collects painted frames and saves them as one animation."""

    def __init__(self, target: Path, clip: Clip) -> None:
        check_sides(target, ANIMATIONS[target.suffix.lower()], clip.width, clip.height)
        self.target, self.clip = target, clip
        self._frames: list[Image.Image] = []
        bytes_needed = (clip.frames or 0) * clip.width * clip.height * 4
        if bytes_needed > _MOST:
            raise VideoError(
                f"{target}: {clip.frames} frames of {clip.width} x {clip.height} are too much for an animation "
                f"({bytes_needed >> 30} GB in memory); use --size or write a .mp4"
            )

    def write(self, frame: Frame) -> None:
        """Add one."""
        pixels = frame.rgb if frame.alpha is None else np.dstack([frame.rgb, frame.alpha])
        image = Image.fromarray(np.ascontiguousarray(pixels))
        self._frames.append(_indexed(image) if self.target.suffix.lower() == ".gif" else image)

    def save(self, path: Path, times: Sequence[int], end: int, loop: int | None) -> list[str]:
        """Write the frames, shown at `times` until `end` (in the clip's time base). Raises VideoError.

        Returns lines for the user about what the format cannot hold.
        """
        kind = ANIMATIONS[self.target.suffix.lower()]
        unit = 10 if kind == "GIF" else 1  # a GIF counts hundredths of a second
        # the rounded times, not the delays, lest errors add up
        marks = [round(time * self.clip.time_base * 1000 / unit) * unit for time in (*times, end)]
        if kind == "GIF":
            marks = self._slow_enough(marks)
        wanted = [after - before for before, after in pairwise(marks)]
        delays = [_possible(delay, kind) for delay in wanted]
        notes = (
            [] if delays == wanted else [f"frames are shown for {_LONGEST[kind] / 1000:g} s at most, as {kind} holds no more"]
        )
        options: dict[str, Any] = {"duration": delays} | ({} if loop is None else {"loop": min(loop, _MOST_LOOPS[kind])})
        if kind == "WEBP":
            options |= {"quality": 90, "method": 3}
        if kind == "GIF" and self.clip.has_alpha:
            options |= {"transparency": _CLEAR, "disposal": 2}
        try:
            first, *rest = self._frames
            first.save(path, format=kind, save_all=True, append_images=rest, **options)
        except Exception as error:  # OSError, ValueError, RuntimeError, OverflowError, struct.error, ...
            raise VideoError(f"{self.target}: cannot be written ({because(error)})") from None
        return notes

    def _slow_enough(self, marks: list[int]) -> list[int]:
        """Without the frames that would be shown for less than 20 ms, which browsers stretch to 100; and their times."""
        kept = [0]
        for number in range(1, len(self._frames)):
            if marks[number] - marks[kept[-1]] >= _SHORTEST:
                kept.append(number)
        self._frames = [self._frames[number] for number in kept]
        return [*(marks[number] for number in kept), max(marks[-1], marks[kept[-1]] + _SHORTEST)]


def _possible(delay: int, kind: str) -> int:
    """The delay in milliseconds that a format can hold; a PNG counts whole seconds where milliseconds do not fit 16 bits."""
    delay = min(delay, _LONGEST[kind])
    return delay if kind != "PNG" or delay < 2**16 else round(delay / 1000) * 1000


def _indexed(image: Image.Image) -> Image.Image:
    """With the palette that suits it best, and an entry for transparent where it has alpha, which a GIF has all or not."""
    if image.mode == "RGB":
        return image.quantize(256)
    alpha = image.getchannel("A")
    made = image.convert("RGB").quantize(_CLEAR)
    made.paste(_CLEAR, mask=alpha.point(lambda value: 255 * (value < 128)))
    made.info["transparency"] = _CLEAR
    return made
