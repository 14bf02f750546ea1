"""Everything this library raises on purpose.

    OnestrokeError
    ├── ConfigError      a flag, a YAML key, or values that do not fit together
    ├── ImageError       a picture that cannot be read or written
    ├── VideoError       a video or animation that cannot be read, or whose writing had to stop
    ├── DataError        a photo folder without usable photos
    ├── WeightsError     VGG weights that are missing, damaged or of another network
    ├── ModelError       a file that is not a onestroke model, or an export that failed its own check
    └── TrainingError    a run that cannot be continued
        └── Diverged     the loss exploded or became NaN

Each message is one line that names the offending value and the way out. The command line prints it and exits with
code 2; nothing below the command line prints or exits.
"""

from __future__ import annotations

import re
from typing import Any

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SHOWN = 80  # letters of a value in a message


class OnestrokeError(Exception):
    """Root of the tree; catch this to catch all of them."""

    def __str__(self) -> str:
        """On one line, whatever the names in it: control characters, which also steer terminals, are escaped."""
        return _CONTROL.sub(lambda match: repr(match[0])[1:-1], super().__str__())


class ConfigError(OnestrokeError):
    """A flag, a YAML key, or a combination of values is wrong."""


class ImageError(OnestrokeError):
    """A picture cannot be read or written."""


class VideoError(OnestrokeError):
    """A video or animation cannot be read, or its writing had to stop."""


class DataError(OnestrokeError):
    """A folder holds no usable photos."""


class WeightsError(OnestrokeError):
    """VGG weights are missing, damaged, or belong to another network."""


class ModelError(OnestrokeError):
    """A file is not a onestroke model, or an exported graph differs from the network it came from."""


class TrainingError(OnestrokeError):
    """A training run cannot be continued."""


class Diverged(TrainingError):
    """The loss exploded or became NaN; raised inside the training step, answered by going back."""


def shown(value: Any) -> str:
    """A value as a message quotes it: the beginning says enough, and the whole may be a million digits."""
    try:
        text = repr(value)
    except ValueError:  # Python does not print whole numbers of more than 4300 digits
        return "a number of thousands of digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def because(error: BaseException) -> str:
    """What somebody else's exception says, on one line: the system's own words where it has any."""
    return str(getattr(error, "strerror", None) or " ".join(str(error).split()))
