"""The Gatys objective with its gradient: on a whole picture, or exactly on tiles within bounded memory.

Style is a function of sums over positions (statistics.Moments), so it needs two passes over tiles: the first adds up the
whole picture's sums, the second propagates the loss's gradient with respect to these sums into each tile. Content and
total variation add up by themselves. With one tile both passes are one, and the photo's features are kept.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from onestroke.losses.architecture import stride
from onestroke.losses.statistics import Moments, gram_distance, wasserstein
from onestroke.losses.vgg import VGGFeatures
from onestroke.optimization.gatys.presets import Recipe
from onestroke.optimization.gatys.targets import Regions, Targets, accumulate, layer_weights, moments_at
from onestroke.optimization.gatys.tiles import Tile, layout

# Published forms, as factors on sum (G - T)^2 where G and T are divided by their areas. C channels, M positions, P pixels.
STYLE_FACTORS: dict[str, Callable[[int, int, int], float]] = {
    "gatys2015": lambda c, m, p: 1 / (4 * c**2),  # sum dG^2 / (4 C^2 M^2), the paper's E
    "mse": lambda c, m, p: 1 / c**2,  # MSE(G / M)
    "neural-style": lambda c, m, p: 1 / c**4,  # MSE(G / (C M))
    "keras": lambda c, m, p: (m / p) ** 2 / 36,  # sum dG^2 / (4 * 3^2 P^2), with P pixels at every layer
    "leonardo": lambda c, m, p: m / c**3,  # mean dG^2 / (C M)
}
# The same for content, on sum (F - P)^2.
CONTENT_FACTORS: dict[str, Callable[[int, int], float]] = {
    "mse": lambda c, m: 1 / (c * m),
    "half-sum": lambda c, m: 1 / 2,
    "sum": lambda c, m: 1.0,
    "bhonge": lambda c, m: 1 / (4 * c * m),
}


class GatysObjective:
    """Maps pictures to their terms and gradient; see `__call__`.

    photos: [N, 3, H, W] in [0, 1], whose content is kept. regions: of the photos, in the order of the targets'.
    side: of tiles, 0 for none (optimization/gatys/tiles.py).
    """

    def __init__(
        self, vgg: VGGFeatures, recipe: Recipe, targets: Targets, photos: Tensor, regions: Regions = (None,), side: int = 0
    ) -> None:
        self.vgg, self.recipe, self.targets, self.photos = vgg, recipe, targets, photos
        self.names, self.contents = list(recipe.style_layers), list(recipe.content_layers)
        self.layers = {*self.names, *self.contents}
        self.first = recipe.style_statistic == "wasserstein"
        self.tiles = layout(photos.shape[2], photos.shape[3], side, vgg.variant, self.layers)
        self.weights = [layer_weights(region, self.names) for region in regions]
        self.wanted: dict[str, Tensor] = {}
        with torch.no_grad():
            self.style_units = self._style_units()
            self.content_factors = self._content_factors()

    def _style_units(self) -> dict[str, list[Tensor]]:
        """What the photos themselves cost: the `relative` form's 1.0."""
        if self.recipe.style_form != "relative":
            return {}
        found = accumulate(self.vgg, self.photos, self.names, self.weights, self.tiles, self.first)
        units: dict[str, list[Tensor]] = {}
        for name in self.names:
            pairs = zip(found[name], self.targets.moments[name], strict=True)
            # A photo that is the painting costs nothing: a small unit then, but not none.
            units[name] = [torch.maximum(self._distance(m, t), 1e-3 * t.gram.norm()) for m, t in pairs]
        return units

    def _content_factors(self) -> dict[str, Tensor]:
        """Per content layer the factor on the sum of squared differences [N]; keeps the photo's features if untiled."""
        sums: dict[str, list[Tensor]] = {}
        for tile in self.tiles:
            features = self.vgg(self.photos[..., *tile.slices], self.contents)
            if len(self.tiles) == 1:
                self.wanted = features
            for name, f in features.items():
                core = f[..., *tile.inner(stride(name))].double()
                found = [torch.full((1,), float(core[0, 0].numel()), dtype=torch.double, device=f.device),
                         core.sum((2, 3)), core.square().sum((2, 3))]  # fmt: skip
                sums[name] = [a + b for a, b in zip(sums[name], found, strict=True)] if name in sums else found
        factors: dict[str, Tensor] = {}
        for name, (positions, first, second) in sums.items():
            channels, count = first.shape[1], int(positions)
            if self.recipe.content_form == "relative":  # 1.0: positions scrambled, twice the spatial variance
                energy = (second / count).mean(1)
                variance = (second / count - (first / count).square()).mean(1)
                factor = 1 / ((2 * variance + 1e-6 * energy + 1e-12) * channels * count)
            else:
                factor = torch.full_like(first[:, 0], CONTENT_FACTORS[self.recipe.content_form](channels, count))
            factors[name] = (factor * self.recipe.content_layers[name]).to(self.photos.dtype)
        return factors

    def __call__(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Pictures [N, 3, H, W] in [0, 1] to their weighted terms and "total", each [N], and the gradient of the total."""
        gradient = torch.zeros_like(x)
        slopes = self._slopes(x) if len(self.tiles) > 1 else None
        terms: dict[str, Tensor] = {"style": slopes[0]} if slopes else {}
        for tile in self.tiles:
            part = x[..., *tile.slices].detach().requires_grad_()
            features = self.vgg(part, self.layers)
            found = moments_at(features, self.names, self.weights, tile, self.first)
            if slopes is None:
                style = terms["style"] = self._style(found)
            else:
                style = torch.stack([_product(f, s) for n in self.names
                                     for f, s in zip(found[n], slopes[1][n], strict=True)]).sum()  # fmt: skip
            content, smooth = self._content(features, tile), self._tv(part, tile)
            (style.sum() + content.sum() + smooth.sum()).backward()  # type: ignore[no-untyped-call]
            assert part.grad is not None
            gradient[..., *tile.slices] += part.grad
            for name, value in (("content", content), ("tv", smooth)):
                terms[name] = terms.get(name, 0) + value.detach()
        terms["style"] = terms["style"].detach()
        terms["total"] = terms["style"] + terms["content"] + terms["tv"]
        return terms, gradient

    def _slopes(self, x: Tensor) -> tuple[Tensor, dict[str, list[Moments]]]:
        """Pass one: the style term [N], and its gradient with respect to the whole picture's moments."""
        total = accumulate(self.vgg, x, self.names, self.weights, self.tiles, self.first)
        leaves = [t.requires_grad_() for n in self.names for m in total[n] for t in (m.second, m.first) if t is not None]
        style = self._style(total)
        given = iter(torch.autograd.grad(style.sum(), leaves, materialize_grads=True))
        slopes = {n: [Moments(next(given), next(given) if self.first else None, m.area) for m in total[n]] for n in self.names}
        return style.detach(), slopes

    def _distance(self, found: Moments, target: Moments) -> Tensor:
        return wasserstein(found, target) if self.first else gram_distance(found, target)

    def _style(self, found: dict[str, list[Moments]]) -> Tensor:
        """The weighted style term [N]; regions count by their share of the picture."""
        height, width = self.photos.shape[2:]
        total = torch.zeros(len(self.photos), device=self.photos.device)
        for name, weight in self.recipe.style_layers.items():
            positions = (height // stride(name)) * (width // stride(name))
            area = sum(m.area for m in found[name])
            for region, (m, target) in enumerate(zip(found[name], self.targets.moments[name], strict=True)):
                if m.area <= 0:
                    continue
                if self.recipe.style_form == "relative":
                    cost = self._distance(m, target) / self.style_units[name][region]
                else:
                    factor = STYLE_FACTORS[self.recipe.style_form](m.second.shape[1], positions, height * width)
                    cost = factor * (m.gram - target.gram).square().sum((1, 2))
                total = total + weight * m.area / area * cost
        return self.recipe.style_weight * total

    def _content(self, features: dict[str, Tensor], tile: Tile) -> Tensor:
        wanted = self.wanted
        if not wanted:
            with torch.no_grad():
                wanted = self.vgg(self.photos[..., *tile.slices], self.contents)
        total = torch.zeros(len(self.photos), device=self.photos.device)
        for name in self.contents:
            inner = (..., *tile.inner(stride(name)))
            difference = _full(features[name][inner]) - wanted[name][inner]
            total = total + self.content_factors[name] * difference.square().sum((1, 2, 3))
        return self.recipe.content_weight * total

    def _tv(self, x: Tensor, tile: Tile) -> Tensor:
        """Weighted total variation [N]: each pixel's differences to its right and lower neighbors, belonging to that pixel."""
        if not self.recipe.tv_weight or min(x.shape[2:]) < 2:
            return x.new_zeros(len(x))
        x = x * self.recipe.unit
        corner = x[..., :-1, :-1]
        energy = (x[..., :-1, 1:] - corner).square() + (x[..., 1:, :-1] - corner).square()
        if self.recipe.tv_points == 9:  # weights of the isotropic nine-point Laplacian
            diagonals = (x[..., 1:, 1:] - corner).square() + (x[..., 1:, :-1] - x[..., :-1, 1:]).square()
            energy = energy * (2 / 3) + diagonals / 6
        if self.recipe.tv_power != 2:
            smallest = 1e-8 * self.recipe.unit**2 if self.recipe.tv_power < 2 else 0.0
            energy = (energy + smallest) ** (self.recipe.tv_power / 2)
        total = energy[..., *tile.inner(1)].sum((1, 2, 3))
        if self.recipe.tv_reduction == "mean":
            total = total / self.photos[0].numel()
        return self.recipe.tv_weight * total


def _full(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _product(found: Moments, slope: Moments) -> Tensor:
    """<found, slope>, summed over the batch."""
    total = (found.second * slope.second).sum()
    return total if found.first is None or slope.first is None else total + (found.first * slope.first).sum()
