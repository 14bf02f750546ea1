"""Stylize a picture of any size in strips, with the whole picture's statistics, so that no seam shows.

Instance norm needs the mean and variance of the whole picture, so the graph is run in phases: each takes the strips of the
picture from one norm to the next, adding up the moments, and what lies between is kept at the innermost resolution, in
memory or in a file. A strip is as wide as the picture; the rows that its own edges spoil are read twice and taken away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from onestroke.arrays import Array
from onestroke.inference.devices import session_options
from onestroke.inference.margin import Source
from onestroke.inference.session import Model, as_input, levels
from onestroke.inference.tiling.store import Kept

if TYPE_CHECKING:
    from onestroke.inference.tiling.graph import Phase

MB = 10**6
STRIP = 256 * MB  # enough for the halos of a picture 14,000 pixels wide to be a seventh of the work
Scale = tuple[NDArray[np.float32], NDArray[np.float32]]
SAMPLE = 4  # positions that tell a mean well enough to subtract it before rounding
END = 1 << 40


@dataclass
class Moments:
    """Mean and variance per channel, added up over strips (Chan 1979). All values are less `center`, a guess of the mean."""

    center: NDArray[np.float32]
    count: int = 0
    mean: NDArray[np.float64] | float = 0.0
    square: NDArray[np.float64] | float = 0.0

    def add(self, count: int, mean: NDArray[np.float32], square: NDArray[np.float32]) -> None:
        """`count` values with this mean and this sum of squares, [C] each."""
        total = self.count + count
        shift = mean.astype(np.float64) - self.mean
        deviation = square - count * mean.astype(np.float64) ** 2
        self.square = self.square + deviation + shift**2 * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    def scale(self, gain: NDArray[np.float64], bias: NDArray[np.float64], epsilon: float, less: bool) -> Scale:
        """The factor and offset [C] by which instance norm maps a value, or (`less`) a value less the center."""
        factor = gain / np.sqrt(self.square / self.count + epsilon)
        mean = self.mean if less else self.mean + self.center
        return factor.astype(np.float32), (bias - mean * factor).astype(np.float32)


@dataclass(frozen=True)
class Strip:
    """In positions: rows `start` to `stop` are the strip's own, `top` to `bottom` those that it is run on."""

    start: int
    stop: int
    top: int
    bottom: int

    def own(self, last: bool) -> dict[str, NDArray[Any]]:
        """Which positions of its result are its own; the last strip of a picture owns also what lies beyond them."""
        first, end = self.start - self.top, END if last else self.stop - self.top
        return {"first": np.array([first]), "last": np.array([end])}


def strips(positions: int, step: int, halo: int) -> list[Strip]:
    """The positions of a picture cut into strips of `step` (and a last one that may be up to a halo longer)."""
    edges = [*range(0, max(1, positions - halo), step), positions]
    return [Strip(a, b, max(0, a - halo), min(positions, b + halo)) for a, b in pairwise(edges)]


class Tiler:
    """A model cut into phases at one strength. Raises ModelError for a graph that cannot be cut."""

    def __init__(self, model: Model, path: Path, strength: float, styles: NDArray[np.float32] | None = None) -> None:
        from onestroke.inference.tiling.graph import Graph

        self.model = model
        self.graph = Graph(path, model.card.multiple, 1 if model.card.io == "uint8" else 2, strength, styles)

    @property
    def bytes_per_pixel(self) -> float:
        """What running the model on a whole picture takes, about."""
        return self.graph.bytes_per_pixel(self.graph.all_rows)

    def paint(self, photo: Source, memory: float) -> Iterator[tuple[int, Array]]:
        """Stylize `photo`: strips of the result, uint8 [h, W, 3], in turn, each with its first row.

        memory: bytes to keep within, as far as a picture so wide allows. Raises ImageError where the disk is full.
        """
        multiple, largest = self.model.card.multiple, min(STRIP, 0.4 * memory)
        positions = -(-photo.shape[0] // multiple)
        affine, scales = self.graph.affine(), list[Scale]()
        with ExitStack() as stack:
            kept = Kept(photo.shape[0], multiple, memory / 2, stack)
            for phase in self.graph.phases:
                at_once = int(largest / (phase.bytes_per_pixel * photo.shape[1] * multiple))
                cut = strips(positions, max(1, phase.halo, at_once - 2 * phase.halo), phase.halo)
                session = self._open(phase, scales)
                if phase.measured:
                    moments = self._measure(session, phase, cut, photo, kept)
                    scales.append(moments.scale(*affine[len(scales)], less=bool(phase.keep)))
                    del session  # with what it has allocated, before the next one is opened
                    continue
                for strip in cut:
                    result = session.run(None, self._feed(session, phase, strip, strip is cut[-1], photo, kept))
                    yield strip.start * multiple, levels(result[0], self.model.card)[0]

    def _open(self, phase: Phase, scales: list[Scale]) -> Any:
        options = session_options()
        options.enable_mem_pattern = False  # one block for all tensors of a run: larger, and no faster here
        return onnxruntime.InferenceSession(
            self.graph.part(phase, scales), options, providers=self.model.session.get_providers()
        )

    def _measure(self, session: Any, phase: Phase, cut: list[Strip], photo: Source, kept: Kept) -> Moments:
        """The statistics of what the phase measures; what it keeps is put away."""
        # A few rows in the middle of the picture guess the mean.
        sample = strips(cut[-1].stop, max(SAMPLE, phase.halo), phase.halo)
        middle = sample[len(sample) // 2]
        feed = self._feed(session, phase, middle, middle is sample[-1], photo, kept)
        moments = Moments(session.run(["mean"], feed | {"center": np.zeros((1, 1, 1, 1), np.float32)})[0])
        center, waiting = {"center": moments.center[None, :, None, None]}, None
        for strip in cut:
            feed = self._feed(session, phase, strip, strip is cut[-1], photo, kept)
            if waiting:  # only now, as the strip just read needs rows that this overwrites
                kept.write(*waiting)
            count, mean, square, *tensors = session.run(None, feed | center)
            moments.add(int(count) // len(mean), mean, square)
            rates = [self.graph.all_rows[name].rate for name in phase.keep]
            waiting = (strip.start, rates, tensors) if phase.keep else None
        if waiting:
            kept.write(*waiting)
            kept.turn()
        return moments

    def _feed(self, session: Any, phase: Phase, strip: Strip, last: bool, photo: Source, kept: Kept) -> dict[str, NDArray[Any]]:
        """The rows of the photo, and of what was kept, that the phase's part of the graph takes for a strip."""
        multiple, feed = self.model.card.multiple, strip.own(last)
        bottom = min(strip.bottom * multiple, photo.shape[0])
        if "image" in {value.name for value in session.get_inputs()}:
            feed["image"] = as_input(photo.rows(strip.top * multiple, bottom)[None], self.model.card)
        if phase.sources:
            for name, rows in zip(phase.sources, kept.read(strip.top, strip.bottom), strict=True):
                feed[f"{name}:in"] = rows
        return feed
