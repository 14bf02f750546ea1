"""Where tiling keeps features of the whole picture between its phases: in memory as far as it goes, then in files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO

import numpy as np
from numpy.typing import NDArray

from onestroke.errors import ImageError, because

Half = NDArray[np.float16]


class Plane:
    """One tensor float16 [C, H, W], read and written by rows.

    Files are read and written, not mapped: mapped pages would count as this process's memory, and a full disk would
    kill it instead of raising.
    """

    def __init__(self, shape: tuple[int, int, int], file: IO[bytes] | None) -> None:
        self.shape, self.file = shape, file
        self.array: Half | None = None if file else np.empty(shape, np.float16)

    def read(self, top: int, bottom: int) -> Half:
        """Rows top to bottom as a copy [1, C, rows, W]."""
        if self.array is not None:
            return self.array[None, :, top:bottom].copy()
        rows = np.empty((1, self.shape[0], bottom - top, self.shape[2]), np.float16)
        for channel in range(self.shape[0]):
            self._seek(channel, top).readinto(rows[0, channel].data.cast("B"))  # type: ignore[attr-defined]
        return rows

    def write(self, top: int, rows: Half) -> None:
        """Rows [1, C, rows, W] from `top` on. Raises OSError."""
        if self.array is not None:
            self.array[:, top : top + rows.shape[2]] = rows[0]
            return
        for channel in range(self.shape[0]):
            self._seek(channel, top).write(np.ascontiguousarray(rows[0, channel]).data.cast("B"))

    def _seek(self, channel: int, row: int) -> IO[bytes]:
        assert self.file is not None
        self.file.seek(2 * self.shape[2] * (channel * self.shape[1] + row))
        return self.file


class Kept:
    """The tensors that one phase leaves to the next, of a picture `height` pixels high, in positions of `multiple` pixels.

    A tensor has a rate: its rows to a position. `room` is in bytes; what does not fit goes into temporary files, which
    `stack` closes, and closing removes them. A tensor takes the place of the one before where their shapes agree: so
    write what comes of some rows only after all that still needs the old ones has been read.
    """

    def __init__(self, height: int, multiple: int, room: float, stack: ExitStack) -> None:
        self.height, self.multiple, self.room, self.stack = height, multiple, room, stack
        self.old: list[tuple[int, Plane]] = []  # each with its rate
        self.new: list[tuple[int, Plane]] = []

    def read(self, top: int, bottom: int) -> list[Half]:
        """Positions of what the last phase left, as float16 [1, C, rows, W] each."""
        return [plane.read(top * rate, min(bottom * rate, plane.shape[1])) for rate, plane in self.old]

    def write(self, top: int, rates: Sequence[int], tensors: Sequence[Half]) -> None:
        """What this phase leaves, from position `top` on, as float16 [1, C, rows, W] each. Raises ImageError on a full disk."""
        for number, (rate, tensor) in enumerate(zip(rates, tensors, strict=True)):
            if number == len(self.new):
                rows = -(-self.height * rate // self.multiple)
                self.new.append((rate, self._plane(number, (tensor.shape[1], rows, tensor.shape[3]))))
            try:
                self.new[number][1].write(top * rate, tensor)
            except OSError as error:
                folder = tempfile.gettempdir()
                raise ImageError(
                    f"{folder}: no room for features ({because(error)}); allow more memory, or name a larger folder in TMPDIR"
                ) from None

    def turn(self) -> None:
        """The next phase begins: what is new becomes old."""
        self.old, self.new = self.new, []

    def _plane(self, number: int, shape: tuple[int, int, int]) -> Plane:
        if number < len(self.old) and self.old[number][1].shape == shape:
            return self.old[number][1]
        size = 2 * shape[0] * shape[1] * shape[2]
        fits = size <= self.room
        self.room -= size if fits else 0
        return Plane(shape, None if fits else self.stack.enter_context(tempfile.TemporaryFile(buffering=0)))
