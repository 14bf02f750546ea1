"""How good stylized pictures are, as numbers: how near to the style image, how near to the photos, how light and colorful.

Photos and style image have a shorter side of 512 px. Distances of VGG16's activations at relu1_1 .. relu5_1, at full, half
and quarter size, over what the photo itself costs: 1.0 is what doing nothing costs, lower is better. For `sw` and
`gram` the style image is first given the mean and spread of each color that the pictures have, so that a brighter
reproduction counts the same. Distances rank networks of one loss; between losses, light, color, areas and eyes decide.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from onestroke.losses import vgg, weights
from onestroke.losses.architecture import WIDTHS
from onestroke.losses.statistics import gram

Pixels = NDArray[np.uint8]
STYLE, CONTENT = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), ("relu3_3", "relu4_2")
SCALES, PROJECTIONS, EDGE = (1.0, 0.5, 0.25), 64, 8
# sw: sliced Wasserstein distance of activations (Heitz 2021); gram: of Gram matrices; plain: gram to the style image as it
# is; relu3_3, relu4_2: content, over what a scrambled photo costs; light: deviation of luminance, color: mean chroma,
# areas: share of chroma's variance that is left at 1/16 of the size, all over the style image's; frame: how much the
# outermost 8 px differ from the rest, over the same for the photos (1: no frame).
COLUMNS = ("sw", "gram", "plain", "relu3_3", "relu4_2", "light", "color", "areas", "frame")
Described = dict[tuple[float, str], tuple[Tensor, Tensor]]


class Judge:
    """Compares pictures of `photos` with a style image, all uint8 [H, W, 3] with sides that 4 divides."""

    def __init__(self, style_image: Pixels, photos: Sequence[Pixels]) -> None:
        found = weights.resolve("vgg16", None)
        self.vgg = vgg.build(found, [*STYLE, *CONTENT], "max", torch.device("cpu"))
        widths = {name: WIDTHS[int(name[4]) - 1] for name in STYLE}
        fixed = torch.Generator().manual_seed(0)
        drawn = {name: torch.randn(width, PROJECTIONS, generator=fixed) for name, width in widths.items()}
        self.directions = {name: F.normalize(along, dim=0) for name, along in drawn.items()}
        self.style_image, self.photos = style_image, photos
        self.own = [self._described(photo) for photo in photos]
        self.content = [self._seen(photo, CONTENT) for photo in photos]
        self.unit = {n: float(np.mean([2 * c[n].var((2, 3)).mean() for c in self.content])) for n in CONTENT}

    def __call__(self, pictures: Sequence[Pixels]) -> dict[str, float]:
        """The figures of COLUMNS, means over the pictures, which are in the order of the photos."""
        plain, same = self._described(self.style_image), self._described(recolored(self.style_image, pictures))
        rows = []
        for picture, photo, own, content in zip(pictures, self.photos, self.own, self.content, strict=True):
            found, seen = self._described(picture), self._seen(picture, CONTENT)
            kept = [float((seen[n] - content[n]).square().mean()) / self.unit[n] for n in CONTENT]
            styles = (_ratio(found, same, own, 1), _ratio(found, same, own, 0), _ratio(found, plain, own, 0))
            looks = np.array(_looks(picture)) / np.array(_looks(self.style_image))
            rows.append([*styles, *kept, *looks, _frame(picture) / _frame(photo)])
        return dict(zip(COLUMNS, np.mean(rows, 0).tolist(), strict=True))

    def _seen(self, picture: Pixels, layers: Sequence[str], scale: float = 1.0) -> dict[str, Tensor]:
        with torch.no_grad():
            return self.vgg(_tensor(picture, scale), layers)  # type: ignore[no-any-return]

    def _described(self, picture: Pixels) -> Described:
        """Of each scale and style layer: the Gram matrix, and quantiles of the activations along fixed directions."""
        found: Described = {}
        quantiles = (torch.arange(64) + 0.5) / 64
        for scale in SCALES:
            for name, features in self._seen(picture, STYLE, scale).items():
                along = (self.directions[name].T @ features[0].flatten(1)).sort(1).values
                places = (quantiles * (along.shape[1] - 1)).round().long()
                found[scale, name] = gram(features)[0], along[:, places]
        return found


def recolored(style_image: Pixels, pictures: Sequence[Pixels]) -> Pixels:
    """The style image with the mean and spread of each color that the pictures have."""
    pixels = np.concatenate([picture.reshape(-1, 3) for picture in pictures]).astype(np.float32)
    own = style_image.reshape(-1, 3).astype(np.float32)
    scaled = (style_image - own.mean(0)) / own.std(0) * pixels.std(0) + pixels.mean(0)
    return np.asarray(np.clip(scaled + 0.5, 0, 255), np.uint8)


def _tensor(picture: Pixels, scale: float = 1.0) -> Tensor:
    x = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
    return x if scale == 1 else F.interpolate(x, scale_factor=scale, mode="bicubic", antialias=True).clamp(0, 1)


def _ratio(found: Described, wanted: Described, photo: Described, kind: int) -> float:
    """Mean over scales and layers of a distance (0: of Gram matrices, 1: of distributions) over the photo's own."""

    def distance(one: Described, key: tuple[float, str]) -> float:
        away = one[key][kind] - wanted[key][kind]
        return float(away.abs().mean() if kind else away.norm())

    return float(np.mean([distance(found, key) / distance(photo, key) for key in wanted]))


def _looks(picture: Pixels) -> tuple[float, float, float]:
    """Deviation of luminance, mean chroma, and the share of chroma's variance that is left at 1/16 of the size."""
    red, green, blue = _tensor(picture)[0]
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = torch.stack([red - luminance, blue - luminance])
    small = F.avg_pool2d(chroma[None], 16)[0]
    areas = small.var((1, 2)).sum() / chroma.var((1, 2)).sum()
    return float(luminance.std()), float(chroma.square().mean().sqrt()), float(areas)


def _frame(picture: Pixels) -> float:
    """How far the mean colors of the four edges are from those of what lies just inside, in levels."""
    turned = [picture, picture[::-1], picture.transpose(1, 0, 2), picture.transpose(1, 0, 2)[::-1]]
    edges = [(p[:EDGE].mean((0, 1)), p[EDGE : 3 * EDGE].mean((0, 1))) for p in turned]
    return float(np.mean([np.abs(outer - inner).mean() for outer, inner in edges])) + 1
