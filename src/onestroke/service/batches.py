"""Pictures that wait at the same time are painted at once where they are alike and the device gains by it."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from onestroke.arrays import Array
from onestroke.inference.stylizer import Stylizer


@dataclass(frozen=True, eq=False)
class _Waiting:
    """A photo, what it is to be painted by and how, and where its painting will be."""

    stylizer: Stylizer
    photo: Array
    how: tuple[Any, ...]
    painted: Future[Array] = field(default_factory=Future)

    def is_like(self, other: _Waiting) -> bool:
        """Whether both can be one batch."""
        return self.stylizer is other.stylizer and self.how == other.how and self.photo.shape == other.photo.shape


class Batches:
    """Paints photos from several threads, `workers` batches at a time. It waits for no batch to fill."""

    def __init__(self, workers: int) -> None:
        self.waiting = list[_Waiting]()
        self._lock = threading.Lock()
        self._painters = ThreadPoolExecutor(workers, "paint")

    def paint(self, stylizer: Stylizer, photo: Array, *how: Any) -> Array:
        """What `stylizer(photo, *how)` returns or raises; uint8 [H, W, 3], both."""
        one = _Waiting(stylizer, photo, how)
        with self._lock:
            self.waiting.append(one)
        self._painters.submit(self._paint_next)
        try:
            return one.painted.result()
        finally:
            del one  # an error knows this frame, so both would hold each other, and the photo, until garbage is collected

    def close(self) -> None:
        """End the threads; nothing may wait any more."""
        self._painters.shutdown()

    def _paint_next(self) -> None:
        """Paint what has waited longest, and what is like it. Nothing, where others have taken it along."""
        batch = self._take()
        if not batch:
            return
        stylizer, how = batch[0].stylizer, batch[0].how
        try:
            if len(batch) == 1:
                painted = [stylizer(batch[0].photo, *how)]
            else:
                painted = list(stylizer(np.stack([one.photo for one in batch]), *how))
        except BaseException as error:
            while batch:  # emptied, as the error knows this frame too
                batch.pop().painted.set_exception(error)
        else:
            for one, result in zip(batch, painted, strict=True):
                one.painted.set_result(result)

    def _take(self) -> list[_Waiting]:
        with self._lock:
            if not self.waiting:
                return []
            first = self.waiting[0]
            most = first.stylizer.at_once(*first.photo.shape[:2])
            batch = [one for one in self.waiting if one.is_like(first)][:most]
            self.waiting = [one for one in self.waiting if one not in batch]
            return batch
