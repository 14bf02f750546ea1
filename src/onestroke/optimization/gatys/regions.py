"""Region maps: pictures of flat colors that say which part of the photo takes its style from which part of a painting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onestroke.arrays import Array
from onestroke.errors import ConfigError

MOST_REGIONS = 16
Weights = NDArray[np.float32]


def colors(region_map: Array, name: str) -> NDArray[np.uint32]:
    """The distinct colors of a map [H, W, 3], as 0xRRGGBB. Raises ConfigError, with `name`, for more than a map has."""
    found = np.unique(_codes(region_map))
    if len(found) > MOST_REGIONS:
        flat = f"a region map has one flat color a region, at most {MOST_REGIONS}"
        raise ConfigError(f"{name}: has {len(found)} colors; {flat}: save it as PNG, without smoothing")
    return found


def _codes(region_map: Array) -> NDArray[np.uint32]:
    red, green, blue = (region_map[..., i].astype(np.uint32) for i in range(3))
    return np.asarray(red * 65536 + green * 256 + blue, np.uint32)


def match(photo: tuple[str, Array], paintings: Sequence[tuple[str, Array]]) -> tuple[list[Weights], list[list[Weights]]]:
    """Maps as (name, picture) to weights [H, W] in {0, 1}: one a region of the photo, and the same of each painting.

    Raises ConfigError for a region of the photo that no painting has.
    """
    name, photo_map = photo
    wanted = colors(photo_map, name)
    codes = [_codes(region_map) for _, region_map in paintings]
    known = {int(color) for title, region_map in paintings for color in colors(region_map, title)}
    for color in wanted:
        if int(color) not in known:
            listed = ", ".join(f"#{c:06x}" for c in sorted(known))
            raise ConfigError(f"{name}: region #{int(color):06x} is in no painting's map; they have {listed}")
    return [_mask(_codes(photo_map), c) for c in wanted], [[_mask(code, c) for c in wanted] for code in codes]


def _mask(codes: NDArray[np.uint32], color: np.uint32) -> Weights:
    return np.asarray(codes == color, np.float32)
