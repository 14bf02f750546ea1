"""DeepDream (Mordvintsev, Olah & Tyka 2015): what a network sees in a picture, raised until everyone sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from onestroke.arrays import Array, resize, resize_to
from onestroke.errors import ConfigError
from onestroke.losses import vgg, weights
from onestroke.losses.architecture import WIDTHS, stride
from onestroke.losses.pixels import tensor, to_uint8
from onestroke.losses.vgg import VGGFeatures
from onestroke.optimization.deepdream.presets import Dream, channels
from onestroke.optimization.gatys.synthesis import Progress
from onestroke.optimization.pixels import PixelOptimizer, Step, Updates

GUIDE_SIDE = 256  # longer side of a guide: every position of a picture is compared with every one of the guide
REACH = 1.6  # of the blurs of a gradient, in their final sigmas: the 9 pixels of gordicaleksa/pytorch-deepdream at sigma 2.5


class DreamObjective:
    """What a dream raises in one octave, with the gradient that its steps follow; an optimize.Objective.

    guide: per layer the vectors [C, Q] that the picture's are drawn to; None raises whatever there is. Each call is one
    step: the jitter is a function of the recipe's seed, the octave and the number of calls before.
    """

    def __init__(self, net: VGGFeatures, recipe: Dream, octave: int = 0, guide: Mapping[str, Tensor] | None = None) -> None:
        self.net, self.recipe, self.octave, self.guide = net, recipe, octave, guide
        self.step = 0

    def __call__(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Pictures [N, 3, H, W] in [0, 1] to "dream" (what is raised) and "total" (minus it, plus regularizers), each [N].

        The gradient of the total, [N, 3, H, W], is that of the shifted picture shifted back, smoothed, and scaled so that
        its mean magnitude (or deviation) is 1 in the recipe's units. It is zero where nothing can be raised.
        """
        down, right = shift(self.recipe, self.octave, self.step)
        leaf = x.detach().requires_grad_()
        features = self.net(surrounded(leaf, self.recipe.margin).roll((down, right), (2, 3)), self.recipe.layers)
        dream = torch.stack([weight * self._raised(name, features[name]) for name, weight in self.recipe.layers.items()]).sum(0)
        total = self._regularizers(leaf) - dream
        (gradient,) = torch.autograd.grad(total.sum(), leaf)
        if self.recipe.smooth:
            sigma = self.recipe.smooth * (0.2 + 0.8 * (self.step + 1) / self.recipe.steps)
            gradient = cascade(gradient, sigma, max(1, round(REACH * self.recipe.smooth)))
        self.step += 1
        return {"dream": dream.detach(), "total": total.detach()}, self._normalized(gradient)

    def _raised(self, name: str, features: Tensor) -> Tensor:
        """[N]: the mean square of what counts of a layer, or its mean product with the guide's nearest vectors."""
        border = self.recipe.border
        found = pick(self.recipe, features)[..., border : features.shape[2] - border, border : features.shape[3] - border]
        if self.guide is None:
            return found.square().mean((1, 2, 3))
        positions = found.flatten(2)
        with torch.no_grad():  # the product's own gradient at the best match is the match
            best = torch.einsum("ncp,cq->npq", positions, self.guide[name]).argmax(2)
        return (positions * self.guide[name][:, best].transpose(0, 1)).mean((1, 2))

    def _regularizers(self, x: Tensor) -> Tensor:
        """[N]: total variation to the power 1.25 and squared distance to VGG's mean, per value, of an older Keras example."""
        total = x.new_zeros(len(x))
        if self.recipe.continuity and min(x.shape[2:]) > 1:
            corner = x[..., :-1, :-1]
            energy = ((x[..., 1:, :-1] - corner).square() + (x[..., :-1, 1:] - corner).square()) * self.recipe.unit**2
            total = total + self.recipe.continuity * (energy**1.25).sum((1, 2, 3)) / x[0].numel()
        if self.recipe.l2:
            total = total + self.recipe.l2 * ((x - self.net.mean) * self.recipe.unit).square().mean((1, 2, 3))
        return total

    def _normalized(self, gradient: Tensor) -> Tensor:
        if self.recipe.normalize == "none":
            return gradient
        if self.recipe.normalize == "std":
            gradient = gradient - gradient.mean((1, 2, 3), keepdim=True)
            size = gradient.square().mean((1, 2, 3), keepdim=True).sqrt()
        else:
            size = gradient.abs().mean((1, 2, 3), keepdim=True)
        return gradient / size.clamp_min(1e-12) * self.recipe.unit


class Dreamer:
    """A network and perhaps a guide (uint8 [h, w, 3]), ready to dream any number of pictures.

    Raises ConfigError for layers or channels that the network lacks, and for a guide too small for them; WeightsError
    where there are no weights.
    """

    def __init__(self, recipe: Dream, guide: Array | None = None, device: torch.device | None = None) -> None:
        self.recipe, self.guide = recipe, None
        self.device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
        found = weights.resolve(recipe.vgg, recipe.vgg_weights or None).as_lineage(recipe.lineage)
        self.net = vgg.build(found, list(recipe.layers), recipe.pooling, self.device)
        for layer in recipe.layers:
            if any(channel >= (width := WIDTHS[int(layer[4]) - 1]) for channel in channels(recipe)):
                raise ConfigError(f"units: {recipe.units!r} go beyond {layer}, whose channels are 0 to {width - 1}")
        if guide is not None:
            guide = resize(guide, longer=min(GUIDE_SIDE, max(guide.shape[:2])))
            (h, w), deepest = guide.shape[:2], max(recipe.layers, key=stride)
            if min(h, w) < stride(deepest):
                raise ConfigError(f"guide: at {w}x{h} pixels too small for {deepest}, which needs {stride(deepest)}")
            with torch.no_grad():
                features = self.net(tensor(guide).to(self.device), recipe.layers)
            self.guide = {name: pick(recipe, f)[0].flatten(1) for name, f in features.items()}

    def dream(self, photo: Array, callback: Callable[[Progress], bool | None] | None = None, seed: int | None = None) -> Array:
        """A picture uint8 [H, W, 3] dreamed, octave by octave, uint8 [h, w, 3]; `seed` takes the place of the recipe's.

        Where the callback returns True, the picture so far is the result, at its full size. Raises ConfigError for a
        picture too small.
        """
        recipe = self.recipe if seed is None else replace(self.recipe, seed=seed)
        sizes = octave_sizes(recipe, photo.shape[0], photo.shape[1])
        # A flat loss is no stall: the next jitter may find more, or there is nothing to be found.
        updates = Updates("sgd", recipe.rate, clamp=recipe.clamp, unit=recipe.unit, stalls=False)
        base = pixels = tensor(resize_to(photo, *sizes[0])).to(self.device)
        stopped = False

        def watch(step: Step) -> bool:
            nonlocal stopped
            stopped = bool(callback and callback(Progress(octave, len(sizes), sizes[octave], step)))
            return stopped or bool(recipe.most and step.terms["dream"] > recipe.most)

        for octave, size in enumerate(sizes):
            smaller, base = base, tensor(resize_to(photo, *size)).to(self.device)
            pixels = enlarged(pixels, smaller, base, recipe.detail)
            if not stopped:
                optimizer = PixelOptimizer(pixels, DreamObjective(self.net, recipe, octave, self.guide), updates, recipe.steps)
                optimizer.run(watch)
                # The last iterate: with another jitter at each step, the lowest loss is luck.
                pixels = optimizer.pixels / recipe.unit
        result: Array = to_uint8(pixels)[0]
        return result

    def zoom(self, photo: Array, done: int = 0, callback: Callable[[Progress], bool | None] | None = None) -> Iterator[Array]:
        """Frames of a flight into the dream, uint8 [h, w, 3]: each starts from the one before, scaled by `zoom`.

        To go on after `done` frames, give the last of them as the photo.
        """
        frame = photo
        for number in range(done, self.recipe.frames):
            start = zoomed(frame, self.recipe.zoom) if number else frame
            frame = self.dream(start, callback, self.recipe.seed + number)
            yield frame


def shift(recipe: Dream, octave: int, step: int) -> tuple[int, int]:
    """Pixels down and right by which a step's picture is rolled, each within +-jitter."""
    down, right = np.random.default_rng((recipe.seed, octave, step)).integers(-recipe.jitter, recipe.jitter + 1, 2)
    return int(down), int(right)


def surrounded(x: Tensor, margin: int) -> Tensor:
    """Pictures [N, 3, H, W] within `margin` pixels of their mirror image (fewer in a small picture), which has no gradient."""
    height, width = x.shape[2:]
    margin = min(margin, height - 1, width - 1)
    canvas = F.pad(x.detach(), (margin, margin, margin, margin), mode="reflect")
    canvas[..., margin : margin + height, margin : margin + width] = x
    return canvas


def pick(recipe: Dream, features: Tensor) -> Tensor:
    """The channels of activations [N, C, h, w] that count."""
    return features[:, channels(recipe)] if recipe.units else features


def cascade(gradient: Tensor, sigma: float, reach: int) -> Tensor:
    """A gradient [N, 3, H, W] as the mean of its Gaussian blurs of half, once and twice `sigma` pixels (A. Gordić 2020).

    The kernels end after `reach` pixels: the widest are nearly boxes, which leaves more of the small patterns.
    """
    blurs = []
    for deviation in (sigma / 2, sigma, 2 * sigma):
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=gradient.device) / deviation).square())
        kernel = (kernel / kernel.sum()).expand(gradient.shape[1], 1, 1, -1)
        padded = F.pad(gradient, (reach, reach, reach, reach), mode="replicate")
        across = F.conv2d(padded, kernel, groups=len(kernel))
        blurs.append(F.conv2d(across, kernel.transpose(2, 3), groups=len(kernel)))
    return torch.stack(blurs).mean(0)


def octave_sizes(recipe: Dream, height: int, width: int) -> list[tuple[int, int]]:
    """(height, width) of the octaves of a picture, from small to large; those too small for the layers are left out.

    Raises ConfigError where even the last is.
    """
    end = min(recipe.size, max(height, width))
    scale = end / max(height, width)
    found = [(round(height * scale / recipe.octave_scale**n), round(width * scale / recipe.octave_scale**n))
             for n in reversed(range(recipe.octaves))]  # fmt: skip
    deepest = max(recipe.layers, key=stride)
    least = stride(deepest) * (2 * recipe.border + 1)
    h, w = found[-1]
    if min(h, w) < least:
        fix = "use a larger --size" if scale < 1 else "use a larger one, or --layers that lie less deep"
        raise ConfigError(f"size: the picture, at {w}x{h} pixels, is too small for {deepest}, which needs {least}; {fix}")
    return [size for size in found if min(size) >= least]


def enlarged(pixels: Tensor, smaller: Tensor, base: Tensor, detail: bool) -> Tensor:
    """Pixels [1, 3, h, w] at the size of the next octave, whose photo is `base` [1, 3, H, W].

    With `detail`, what the photo lost between its sizes (`smaller` is that of the pixels) is added.
    """
    grown = F.interpolate(pixels, base.shape[2:], mode="bicubic")
    return grown + base - F.interpolate(smaller, base.shape[2:], mode="bicubic") if detail else grown


def zoomed(frame: Array, factor: float) -> Array:
    """The middle of a picture uint8 [H, W, 3], scaled by `factor` to the picture's size, exact to fractions of a pixel."""
    height, width = frame.shape[:2]
    x, y = (width - width / factor) / 2, (height - height / factor) / 2
    box = (x, y, width - x, height - y)
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC, box))
