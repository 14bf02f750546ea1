"""Perceptual losses (Gatys 2015, Johnson 2016), each divided by what it would cost to do nothing useful.

So every term is about 1 for any style, size, layer and VGG, and weights carry over. Each loss is a small module that holds
its target and its unit; PerceptualLoss composes them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from onestroke.perception.gram import outer_sum
from onestroke.perception.vgg import VGGFeatures


def _full(x: Tensor) -> Tensor:
    """At least fp32: sums of squares overflow or drown in half precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def gram(features: Tensor) -> Tensor:
    """Gram matrix [N, C, C] of features [N, C, H, W], divided by H*W so that it does not depend on size; in fp32 or more."""
    return outer_sum(features) / (features.shape[2] * features.shape[3])


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Frobenius distance per picture: [N]; differentiable where it is zero."""
    return (a - b).square().flatten(1).sum(1).add(1e-12).sqrt()


class StyleLoss(nn.Module):
    """Distance of Gram matrices at one layer, 1.0 = what unstylised photos cost on average.

    The distance, not its square: squared Grams grow with the fourth power of the activations, so a few bright photos
    would rule the mean (docs/experiments.md measures both).
    """

    target: Tensor
    unit: Tensor

    def __init__(self, painting: Tensor, photos: Tensor) -> None:
        """Features of the painting [1, C, H, W] and of a sample of photos [N, C, h, w]."""
        super().__init__()
        self.register_buffer("target", gram(painting))
        self.register_buffer("unit", _distance(gram(photos), self.target).mean())

    def forward(self, features: Tensor) -> Tensor:
        """Features of stylised pictures [N, C, H, W] to a scalar."""
        return (_distance(gram(features), self.target) / self.unit).mean()


class ContentLoss(nn.Module):
    """Squared distance of activations at one layer; 1.0 = what photos with scrambled positions cost on average.

    Two independent positions of a channel differ by twice its spatial variance: that is the unit.
    """

    unit: Tensor

    def __init__(self, photos: Tensor) -> None:
        """Features of a sample of photos [N, C, H, W]."""
        super().__init__()
        self.register_buffer("unit", 2 * _full(photos).var((2, 3), unbiased=False).mean())

    def forward(self, features: Tensor, wanted: Tensor) -> Tensor:
        """Features of stylised pictures and of their photos, both [N, C, H, W], to a scalar."""
        return (_full(features) - _full(wanted)).square().mean() / self.unit


def total_variation(x: Tensor) -> Tensor:
    """Mean absolute difference of neighbours, of pictures [N, 3, H, W] in [0, 1] (anisotropic, L1), to a scalar."""
    x = _full(x)
    return (x[..., 1:, :] - x[..., :-1, :]).abs().mean() + (x[..., 1:] - x[..., :-1]).abs().mean()


class TotalVariationLoss(nn.Module):
    """Total variation; 1.0 = that of unstylised photos."""

    unit: Tensor

    def __init__(self, photos: Tensor) -> None:
        """A sample of photos [N, 3, H, W] in [0, 1]."""
        super().__init__()
        self.register_buffer("unit", total_variation(photos))

    def forward(self, x: Tensor) -> Tensor:
        """Stylised pictures [N, 3, H, W] in [0, 1] to a scalar."""
        return total_variation(x) / self.unit


class PerceptualLoss(nn.Module):
    """All terms of one style: a dict of dimensionless scalars, and their weighted sum.

    painting: [1, 3, H, W]; photos: a fixed sample [N, 3, h, w] from which the units are measured once; both in [0, 1].
    """

    def __init__(
        self,
        vgg: VGGFeatures,
        painting: Tensor,
        photos: Tensor,
        *,
        style_layers: Sequence[str],
        content_layers: Sequence[str],
        style_weight: float = 1.0,
        content_weight: float = 0.25,
        tv_weight: float = 0.05,
    ) -> None:
        super().__init__()
        self.vgg = vgg
        self.weights = {"style": style_weight, "content": content_weight, "tv": tv_weight}
        layers = {*style_layers, *content_layers}
        with torch.no_grad():
            wanted = vgg(painting, style_layers)
            # One photo at a time: the sample is larger than a batch, and VGG's early activations are big.
            parts = [vgg(photo, layers) for photo in torch.split(photos, 1)]
            sample = {layer: torch.cat([part[layer] for part in parts]) for layer in layers}
            self.style = nn.ModuleDict({layer: StyleLoss(wanted[layer], sample[layer]) for layer in style_layers})
            self.content = nn.ModuleDict({layer: ContentLoss(sample[layer]) for layer in content_layers})
            self.tv = TotalVariationLoss(photos)
            self.steady = ContentLoss(photos)  # of pixels, between two paintings that should be one

    def wanted(self, photos: Tensor) -> dict[str, Tensor]:
        """The photos' content features, for callers that need them more than once."""
        with torch.no_grad():
            return self.vgg(photos, self.content)  # type: ignore[no-any-return]

    def forward(
        self, stylised: Tensor, photos: Tensor, wanted: dict[str, Tensor] | None = None, strength: float = 1.0
    ) -> dict[str, Tensor]:
        """Terms "style", "content", "tv" (means over layers) and "total" (their weighted sum), scalars.

        stylised, photos: [N, 3, H, W] in [0, 1]; wanted: of these photos, if known; strength: its cube scales the weight
        of style. Gradients flow to `stylised` alone.
        """
        wanted = wanted or self.wanted(photos)
        features = self.vgg(stylised, {*self.style, *self.content})
        terms = {
            "style": torch.stack([loss(features[layer]) for layer, loss in self.style.items()]).mean(),
            "content": torch.stack([loss(features[n], wanted[n]) for n, loss in self.content.items()]).mean(),
            "tv": self.tv(stylised),
        }
        weights = self.weights | {"style": self.weights["style"] * strength**3}
        terms["total"] = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return terms


class PairLoss(nn.Module):
    """Distance of stylised photos to finished targets: L1 of pixels, and ContentLoss of activations at `layers`.

    photos, targets: a fixed sample of pairs [N, 3, H, W] in [0, 1]. For pixels 1.0 is what photos cost that stay as they are.
    """

    unit: Tensor

    def __init__(self, vgg: VGGFeatures, photos: Tensor, targets: Tensor, layers: Sequence[str]) -> None:
        super().__init__()
        self.vgg = vgg
        with torch.no_grad():
            parts = [vgg(target, layers) for target in torch.split(targets, 1)]
            self.features = nn.ModuleDict({layer: ContentLoss(torch.cat([p[layer] for p in parts])) for layer in layers})
        self.register_buffer("unit", (photos - targets).abs().mean().clamp_min(1e-3))

    def forward(self, stylised: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Terms "pixel", "feature" and their mean "total", scalars; both [N, 3, H, W] in [0, 1]."""
        with torch.no_grad():
            wanted = self.vgg(targets, self.features)
        found = self.vgg(stylised, self.features)
        terms = {
            "pixel": (_full(stylised) - targets).abs().mean() / self.unit,
            "feature": torch.stack([loss(found[layer], wanted[layer]) for layer, loss in self.features.items()]).mean(),
        }
        terms["total"] = (terms["pixel"] + terms["feature"]) / 2
        return terms
