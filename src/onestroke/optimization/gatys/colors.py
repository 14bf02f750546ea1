"""Two ways of keeping a photo's colors (Gatys et al. 2016, "Preserving Color in Neural Artistic Style Transfer")."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from onestroke.arrays import Array


def matched(painting: Array, photo: Array) -> Array:
    """The painting [h, w, 3] with the mean and covariance of the photo's colors: x -> P^1/2 Q^-1/2 (x - q) + p."""
    wanted, given = (pixels.reshape(-1, 3).astype(np.float64) / 255 for pixels in (photo, painting))
    transfer = _power(np.cov(wanted.T), 0.5) @ _power(np.cov(given.T), -0.5)
    moved = (given - given.mean(0)) @ transfer.T + wanted.mean(0)
    return _levels(moved).reshape(painting.shape)


def _power(covariance: NDArray[np.float64], exponent: float) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.maximum(values, 1e-5) ** exponent) @ vectors.T  # type: ignore[no-any-return]


def gray(rgb: Array) -> Array:
    """Luma (BT.601) in three equal channels."""
    return np.asarray(Image.fromarray(rgb).convert("L").convert("RGB"))


def gray_matched(painting: Array, photo: Array) -> Array:
    """The painting's luma, with the mean and deviation of the photo's."""
    given, wanted = (gray(pixels).astype(np.float64) / 255 for pixels in (painting, photo))
    return _levels((given - given.mean()) * (wanted.std() / max(given.std(), 1e-3)) + wanted.mean())


def _levels(values: NDArray[np.float64]) -> Array:
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
