"""A part of the work for one of several machines."""

from __future__ import annotations

import re
from dataclasses import dataclass

from onestroke.errors import ConfigError


@dataclass(frozen=True)
class Shard:
    """Part `index` (from 0) of `count`; by default all of it."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From "i/n", i from 1 to n. Raises ConfigError."""
        index, slash, count = text.partition("/")
        numbers = all(re.fullmatch("[0-9]{1,9}", part) for part in (index, count))
        if not (slash and numbers and 1 <= int(index) <= int(count)):
            raise ConfigError(f"shard: {text!r} is no part i/n with i from 1 to n; write 1/4, 2/4, 3/4, 4/4")
        return cls(int(index) - 1, int(count))


WHOLE = Shard()
