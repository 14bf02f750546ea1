"""The model card: what a model needs and how it was made, carried inside the .onnx file as metadata."""

from __future__ import annotations

import json
import math
import typing
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from onestroke.errors import ModelError, shown

# What the numbers of a card may be: every network here is far within.
_RANGES = {
    "minimum": (1, 4096), "multiple": (1, 4096), "halo": (0, 65_536), "parameters": (0, 10**12), "train_size": (0, 65_536),
    "solid": (1e-6, 10.0), "strongest": (0.0, 10.0), "steps": (0, 10**12), "grain": (0, 64),
}  # fmt: skip
PRECISIONS = ("fp32", "fp16", "w8", "int8")
_CHOICES = {"tiling": ("exact", "global-statistics"), "io": ("uint8", "float"), "precision": PRECISIONS}
_LONGEST = 1000  # letters of a name


@dataclass(frozen=True)
class ModelCard:
    """Data about one exported model.

    Sizes are in pixels. `minimum` is the smallest height or width the graph accepts, `multiple` the stride of its
    innermost features, `halo` how far (one side) a pixel sees through its convolutions, and `tiling` what a tile needs
    to know of the whole picture: "exact" (nothing) or "global-statistics" (instance norm's means and variances).
    Strengths go up to `strongest`: above 1 only where they were trained. From `solid` on the network itself paints more or
    less; below it (everywhere, where that is 1) the painting is blended with the photo.
    `styles` names the styles of a file that holds several. `style_levels` says whether a dull style image was prepared for
    training ("auto") or taken as it is; `grain`, in levels, what the network learned to follow in smooth parts (grain.py).
    `precision` is "fp32", "fp16" (convolution weights stored as float16), "w8" (large ones as int8; like fp16, computed in
    float32 everywhere) or "int8" (most convolutions computed in 8 bits). `objective` holds the held-out losses (1.0 = what
    doing nothing costs), `parity` the measured difference of this file in ONNX Runtime from the fp32 network in torch:
    `most` and `mean` in levels of 255, `psnr` in decibels.
    """

    name: str
    painting: str
    license: str
    network: str
    parameters: int
    minimum: int
    multiple: int
    halo: int
    tiling: str
    solid: float = 1.0
    strongest: float = 1.0
    io: str = "uint8"
    precision: str = "fp32"
    vgg: str = "vgg16"
    steps: int = 0
    train_size: int = 0
    style_levels: str = "none"
    grain: float = 0.0
    styles: list[str] = field(default_factory=list)
    objective: dict[str, float] = field(default_factory=dict)
    parity: dict[str, float] = field(default_factory=dict)
    onestroke_version: str = ""

    def to_metadata(self) -> dict[str, str]:
        """One string per field, JSON-encoded, for ONNX metadata_props."""
        return {key: json.dumps(value) for key, value in asdict(self).items()}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], source: str) -> ModelCard:
        """Read the card back; fields that a later version added are ignored.

        Raises ModelError, naming `source`, where the file carries no card or a damaged one.
        """
        if "onestroke_version" not in metadata:
            raise ModelError(f"{source}: an ONNX file, but not a onestroke model; make one with `onestroke export`")
        try:
            if "licence" in metadata:  # as version 0.1 spelled it
                metadata = metadata | {"license": metadata["licence"]}
            values: dict[str, Any] = {f.name: json.loads(metadata[f.name]) for f in fields(cls) if f.name in metadata}
            for name, kind in typing.get_type_hints(cls).items():
                if name in values:
                    _check(name, values[name], kind)
            return cls(**values)
        except (ValueError, TypeError, RecursionError) as error:
            raise ModelError(f"{source}: its model card is damaged ({error}); export it again") from None


def _check(name: str, value: Any, kind: Any) -> None:
    """Raise ValueError for a value that the field of a card cannot have."""
    least, most = _RANGES.get(name, (-math.inf, math.inf))
    if kind is str:
        good = isinstance(value, str) and len(value) <= _LONGEST and value in _CHOICES.get(name, (value,))
    elif kind == list[str]:
        good = isinstance(value, list) and all(isinstance(entry, str) and len(entry) <= _LONGEST for entry in value)
    elif kind == dict[str, float]:
        good = isinstance(value, dict) and all(_is_number(entry, int | float) for entry in value.values())
    else:
        good = _is_number(value, int if kind is int else int | float) and least <= value <= most
    if not good:
        raise ValueError(f"{name} is {shown(value)}")


def _is_number(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)
