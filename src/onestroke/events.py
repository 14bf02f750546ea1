"""What long work reports while it runs: the library calls one function with these, and the command line draws them.

def report(event: Event) -> bool | None:   # True: stop after the step at hand
    ...
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from onestroke.arrays import Array


@dataclass(frozen=True)
class Reading:
    """`done` of `total` files under `name` were read; `total` 0: this is the end of it."""

    name: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Note:
    """Something that the user should know, in one line; a warning where something was lost."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Stage:
    """Another part of the work begins: "training" is followed by "finishing", which is short and not resumed."""

    name: str


@dataclass(frozen=True)
class Step:
    """A training step: how many are done, of how many (`settled`: not an estimate), its terms, seconds since it began.

    `pace`: photos a second; `left`: seconds to the last step.
    """

    step: int
    steps: int
    settled: bool
    terms: Mapping[str, float]
    seconds: float
    pace: float
    left: float


@dataclass(frozen=True)
class Judged:
    """The terms on held-out photos at a step."""

    step: int
    terms: Mapping[str, float]


@dataclass(frozen=True)
class Preview:
    """A photo as the network paints it at a step: uint8 [H, W, 3]."""

    step: int
    picture: Array


Event = Reading | Note | Stage | Step | Judged | Preview
Report = Callable[[Event], bool | None]


def silent(event: Event) -> None:
    """A report that nobody reads."""
