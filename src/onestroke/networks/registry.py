"""All transformation networks by name.

A new one is a file beside this one and a line in NETWORKS: training, export and card follow from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from onestroke.errors import ConfigError
from onestroke.networks.johnson import johnson
from onestroke.networks.layers import Chain, Framed
from onestroke.networks.onestroke import onestroke


@dataclass(frozen=True)
class Network:
    """What a network needs, as data: the card is made from it."""

    body: Callable[..., Chain]  # of the number of styles
    cell: int  # side, in pixels, of what one position of the body's output holds
    multiple: int  # stride of the innermost features
    halo: int  # how far, on one side, a pixel sees through the convolutions
    rate: float = 0.04  # Muon's peak learning rate, the best of those tried
    minimum: int = 24  # smallest side of a picture
    solid: float = 0.5  # strength from which on the painting is not blended with the photo
    strongest: float = 1.5  # largest strength it is trained for
    tiling: str = "global-statistics"  # see ModelCard
    from_base: bool = False  # a new style begins with the weights of the base (training/initialize.py), not with random ones


# The same base begins all sizes of `onestroke`: networks/resize.py makes it narrower or wider.
NETWORKS = {
    "johnson": Network(johnson, cell=1, multiple=4, halo=57, rate=0.01, minimum=16, solid=1.0, strongest=1.0),
    "tiny": Network(
        partial(onestroke, half=16, quarter=24, inner=16, blocks=1, upper=8, eighth=48, deep_inner=32, deep_blocks=3),
        cell=2, multiple=8, halo=78, from_base=True,
    ),
    "onestroke": Network(
        partial(onestroke, half=16, quarter=32, inner=16, blocks=2, upper=16, eighth=80, deep_inner=48, deep_blocks=4),
        cell=2, multiple=8, halo=102, from_base=True,
    ),
    "large": Network(
        partial(onestroke, half=32, quarter=48, inner=32, blocks=3, upper=32, eighth=96, deep_inner=64, deep_blocks=5),
        cell=2, multiple=8, halo=126, from_base=True,
    ),
}  # fmt: skip
# The networks of version 0.1, so that its checkpoints and models still open. They had the same names.
_old = partial(onestroke, epsilon=1e-5)
OLD = {
    "tiny-0.1": Network(partial(_old, half=16, quarter=32, inner=16, blocks=3, upper=16), 2, 4, halo=34, minimum=16),
    "onestroke-0.1": Network(partial(_old, half=32, quarter=48, inner=32, blocks=4, upper=16), 2, 4, halo=42, minimum=16),
    "large-0.1": Network(partial(_old, half=32, quarter=64, inner=64, blocks=5, upper=48), 2, 4, halo=50, minimum=16),
}


def entry(name: str) -> Network:
    """What NETWORKS, or OLD, says of a network. Raises ConfigError for an unknown one."""
    known = NETWORKS | OLD
    if name not in known:
        raise ConfigError(f"network: unknown {name!r}; choose from {', '.join(NETWORKS)}")
    return known[name]


def build(name: str, styles: int = 1) -> Framed:
    """A fresh network by name, for a number of styles. Raises ConfigError for an unknown one."""
    spec = entry(name)
    return Framed(spec.body(styles=styles), spec.cell, spec.solid, styles)


def name_of(name: str, state: Mapping[str, Any]) -> str:
    """The network that a saved state is of: `name`, or its namesake of version 0.1, which had no branch at 1/8."""
    old = f"{name}-0.1"
    nested = any(key.count(".branch.") > 1 for key in state)
    return old if old in OLD and not nested else name
