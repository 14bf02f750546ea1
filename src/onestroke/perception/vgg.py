"""VGG16 and VGG19 (Simonyan & Zisserman 2014) as frozen feature networks, cut at the deepest layer asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onestroke.errors import ConfigError
from onestroke.perception.weights import VGGWeights

# Convolutions per block; every block ends in a pooling. The widths are the same for both.
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
Border = Literal["zeros", "replicate"]
WIDTHS = (64, 128, 256, 512, 512)


def _l2_pool(x: Tensor, size: int) -> Tensor:
    """Root mean square of each window; differentiable where it is zero."""
    return F.avg_pool2d(x.square(), size).add(1e-8).sqrt()


# name -> (pooling, factor that keeps the activations at max pooling's scale, so that deeper layers see what they
# were trained on; factors from k. crowson's style-transfer-pytorch). The older systems do not rescale: plain-average.
POOLINGS: dict[str, tuple[Callable[[Tensor, int], Tensor], float]] = {
    "max": (F.max_pool2d, 1.0),
    "average": (F.avg_pool2d, 2.0),
    "plain-average": (F.avg_pool2d, 1.0),
    "l2": (_l2_pool, 0.78),
}


def layer_names(variant: str) -> list[str]:
    """All layer names of a variant in order: relu1_1, relu1_2, relu2_1, ..."""
    return [f"relu{b}_{c}" for b, depth in enumerate(BLOCKS[variant], 1) for c in range(1, depth + 1)]


def stride(layer: str) -> int:
    """Pixels per position of a layer's activations, which is also the smallest picture side that reaches it."""
    return 1 << int(layer[4]) - 1


def radius(variant: str, layer: str) -> int:
    """How far, in pixels, an activation of a layer sees to either side: one position per 3x3 convolution and per pooling."""
    names = layer_names(variant)
    steps = [stride(name) for name in names[: names.index(layer) + 1]]
    return sum(steps) + sum(1 << b for b in range(int(layer[4]) - 1))


class VGGFeatures(nn.Module):
    """Maps pictures to the activations of named layers.

    `weights` come from `weights.resolve`; channel order and scale are folded into the first kernel. The mean stays a
    subtraction: zero padding follows it, so folding it into the bias too would paint a black frame around each picture.
    `border` is what conv1_1 sees beyond the picture: "zeros" (the mean color), or "replicate" (its outermost pixels).
    Raises ConfigError for a layer that the variant, or the weights at hand, lack.
    """

    mean: Tensor

    def __init__(self, weights: VGGWeights, layers: Sequence[str], pooling: str = "max", border: Border = "zeros") -> None:
        super().__init__()
        names = layer_names(weights.variant)
        for layer in layers:
            if layer not in names:
                raise ConfigError(f"layer {layer!r}: {weights.variant} has {', '.join(names)}")
            if layer.replace("relu", "conv") not in weights.convolutions:
                raise ConfigError(f"layer {layer!r}: the weights from {weights.source} end before it")
        self.variant, self.pooling = weights.variant, pooling
        self.names = names[: 1 + max(names.index(layer) for layer in layers)]
        self.convs = nn.ModuleDict()
        for name in self.names:
            kernel, bias = weights.convolutions[name.replace("relu", "conv")]
            around: Border = border if name == "relu1_1" else "zeros"
            conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1, padding_mode=around)
            conv.weight.data, conv.bias.data = kernel.clone(), bias.clone()  # type: ignore[union-attr]
            self.convs[name] = conv
        self.register_buffer("mean", weights.mean.view(1, 3, 1, 1).clone())
        self.requires_grad_(False).eval()

    def forward(self, x: Tensor, layers: Iterable[str]) -> dict[str, Tensor]:
        """Activations of `layers` for x [N, 3, H, W] in [0, 1], computed no deeper than needed.

        Layer relu{b}_{c} is [N, WIDTHS[b-1], H // 2**(b-1), W // 2**(b-1)].
        """
        wanted, found = set(layers), dict[str, Tensor]()
        if not wanted:
            return found
        pool, factor = POOLINGS[self.pooling]
        x = x - self.mean
        for i, name in enumerate(self.names):
            if i and name.endswith("_1"):
                x = pool(x, 2) * factor if factor != 1.0 else pool(x, 2)
            x = F.relu(self.convs[name](x), inplace=True)
            if name in wanted:
                found[name] = x
                if len(found) == len(wanted):
                    break
        return found


def build(
    weights: VGGWeights, layers: Sequence[str], pooling: str, device: torch.device, border: Border = "zeros"
) -> VGGFeatures:
    """The network on its device, in channels_last, which convolutions are fastest in on CPUs and GPUs alike."""
    net = VGGFeatures(weights, layers, pooling, border)
    return net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def choose_device(name: str) -> torch.device:
    """ "auto", "cpu" or "cuda" to a device; ConfigError for a GPU that is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda asked for, but torch sees no GPU; use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
