"""What networks learn from: terms at several scales (PerceptualLoss), or distances to finished targets (PairLoss)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onestroke.config.training import Scale
from onestroke.losses.terms import ContentLoss, SlicedLoss, StyleLoss, TotalVariationLoss, _full
from onestroke.losses.vgg import VGGFeatures

# So many photos of a batch are compared as one: of more, a single picture need not look like the painting.
POOLED_PHOTOS = 2
# Windows lie on this grid, so that all of VGG's poolings fall as they do on the whole picture.
WINDOW_STEP = 16


def reduced(x: Tensor, reduction: int) -> Tensor:
    """[N, 3, H, W] to [N, 3, H // reduction, W // reduction], by means of squares."""
    return x if reduction == 1 else F.avg_pool2d(x, reduction)


def places(scale: Scale, height: int, width: int, draw: int) -> list[tuple[int, int]]:
    """Top and left of a scale's windows on a reduced picture, a pure function of the arguments; none for the whole picture."""
    if not scale.window or scale.window > min(height, width):
        return []
    rng = np.random.default_rng((5, draw, scale.reduction))
    spans = [(extent - scale.window) // WINDOW_STEP + 1 for extent in (height, width)]
    return [(int(y) * WINDOW_STEP, int(x) * WINDOW_STEP) for y, x in rng.integers(0, spans, (scale.windows, 2))]


def windows(x: Tensor, corners: Sequence[tuple[int, int]], side: int) -> Tensor:
    """The windows [N * K, 3, side, side] of pictures [N, 3, H, W], a picture's together; without any, the pictures."""
    if not corners:
        return x
    return torch.stack([x[..., top : top + side, left : left + side] for top, left in corners], 1).flatten(0, 1)


def luminance(x: Tensor) -> Tensor:
    """[N, 3, H, W] to the same shape in gray (BT.601)."""
    red, green, blue = torch.split(x, 1, 1)
    return (0.299 * red + 0.587 * green + 0.114 * blue).expand(-1, 3, -1, -1)


class ScaleLoss(nn.Module):
    """Style and content at one scale. `paintings`: [1, 3, H, W] each, at its own size; `photos`: a sample [N, 3, h, w]."""

    def __init__(self, vgg: VGGFeatures, scale: Scale, paintings: Sequence[Tensor], photos: Tensor) -> None:
        super().__init__()
        self.vgg, self.scale = vgg, scale
        small = reduced(photos, scale.reduction)
        sample = self._sampled(self._seen(small, draw=0), {*scale.style, *scale.content})
        gray = self._sampled(luminance(small), scale.gray)
        wanted = [vgg(painting, scale.style) for painting in paintings]
        windowed = 0 < scale.window <= min(small.shape[2:])
        pool = POOLED_PHOTOS * (scale.windows if windowed else 1) if scale.pooled else 1
        self.style, self.sliced = (
            nn.ModuleDict({name: kind([w[name] for w in wanted], sample[name], pool) for name in scale.style if share > 0})
            for kind, share in ((StyleLoss, 1 - scale.sliced), (SlicedLoss, scale.sliced))
        )
        self.content = nn.ModuleDict({name: ContentLoss(sample[name]) for name in scale.content})
        self.gray = nn.ModuleDict({name: ContentLoss(gray[name]) for name in scale.gray})

    def _seen(self, small: Tensor, draw: int) -> Tensor:
        height, width = small.shape[2:]
        return windows(small, places(self.scale, height, width, draw), self.scale.window)

    def _sampled(self, photos: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """One photo at a time: the sample is larger than a batch, and VGG's early activations are big."""
        parts = [self.vgg(photo, layers) for photo in torch.split(photos, 1)]
        return {layer: torch.cat([part[layer] for part in parts]) for layer in layers}

    def forward(self, stylized: Tensor, photos: Tensor, style: int | Tensor, draw: int) -> tuple[list[Tensor], list[Tensor]]:
        """(terms of style, terms of content times their weights), scalars; pictures [N, 3, H, W] at full size."""
        small, due = reduced(stylized, self.scale.reduction), reduced(photos, self.scale.reduction)
        found = self.vgg(self._seen(small, draw), {*self.scale.style, *self.content})
        gray = self.vgg(luminance(small), self.gray)
        with torch.no_grad():
            wanted = self.vgg(self._seen(due, draw), self.content)
            wanted_gray = self.vgg(luminance(due), self.gray)
        styles = [self._style(name, found[name], style) for name in self.scale.style]
        contents = [self.scale.content[name] * loss(found[name], wanted[name]) for name, loss in self.content.items()]
        contents += [self.scale.gray[name] * loss(gray[name], wanted_gray[name]) for name, loss in self.gray.items()]
        return styles, contents

    def _style(self, layer: str, found: Tensor, style: int | Tensor) -> Tensor:
        share = self.scale.sliced
        kinds = ((1 - share, self.style), (share, self.sliced))
        return torch.stack([weight * losses[layer](found, style) for weight, losses in kinds if weight > 0]).sum()


class PerceptualLoss(nn.Module):
    """All terms: a dict of dimensionless scalars, and their weighted sum.

    paintings: the style images of S styles, for each scale one of [1, 3, H, W]; photos: a fixed sample [N, 3, h, w] from
    which the units are measured once; all in [0, 1]. weights: of each term by its name (TrainConfig.weights). "style" is the
    mean over all layers of all scales, "content" the mean of all content layers by their weights.
    """

    def __init__(
        self,
        vgg: VGGFeatures,
        paintings: Sequence[Sequence[Tensor]],
        photos: Tensor,
        scales: Sequence[Scale],
        weights: Mapping[str, float],
    ) -> None:
        super().__init__()
        self.vgg = vgg
        self.weights = weights
        self.content_sum = sum(sum(scale.content.values()) + sum(scale.gray.values()) for scale in scales)
        with torch.no_grad():
            self.scales = nn.ModuleList(
                ScaleLoss(vgg, scale, [sizes[i] for sizes in paintings], photos) for i, scale in enumerate(scales)
            )
        self.tv = TotalVariationLoss(photos)
        self.steady = ContentLoss(photos)  # of pixels, between two paintings that should be one

    def forward(
        self, stylized: Tensor, photos: Tensor, *, strength: float | Tensor = 1.0, style: int | Tensor = 0, draw: int = 0
    ) -> dict[str, Tensor]:
        """Terms "style", "content", "tv" and "total" (their weighted sum), scalars.

        stylized, photos: [N, 3, H, W] in [0, 1]; strength: its cube scales the weight of style; style: which of the
        styles, or the weights [S] of all; draw: places the windows (a training step's number). Gradients flow to
        `stylized` alone.
        """
        styles: list[Tensor] = []
        contents: list[Tensor] = []
        for scale in self.scales:
            of_style, of_content = scale(stylized, photos, style, draw)
            styles += of_style
            contents += of_content
        terms = {
            "style": torch.stack(styles).mean(),
            "content": torch.stack(contents).sum() / self.content_sum if contents else stylized.new_zeros(()),
            "tv": self.tv(stylized),
        }
        weights = {**self.weights, "style": self.weights["style"] * strength**3}
        terms["total"] = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return terms


class PairLoss(nn.Module):
    """Distance of stylized photos to finished targets: L1 of pixels, and ContentLoss of activations at `layers`.

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

    def forward(self, stylized: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Terms "pixel", "feature" and their mean "total", scalars; both [N, 3, H, W] in [0, 1]."""
        with torch.no_grad():
            wanted = self.vgg(targets, self.features)
        found = self.vgg(stylized, self.features)
        terms = {
            "pixel": (_full(stylized) - targets).abs().mean() / self.unit,
            "feature": torch.stack([loss(found[layer], wanted[layer]) for layer, loss in self.features.items()]).mean(),
        }
        terms["total"] = (terms["pixel"] + terms["feature"]) / 2
        return terms
