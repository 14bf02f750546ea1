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


class OnestrokeError(Exception):
    """Root of the tree; catch this to catch all of them."""


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


def because(error: BaseException) -> str:
    """What somebody else's exception says, on one line: the system's own words where it has any."""
    return str(getattr(error, "strerror", None) or " ".join(str(error).split()))
