"""VGG16 and VGG19 (Simonyan & Zisserman 2014) as frozen feature networks, cut at the deepest layer asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from onestroke.config.devices import TORCH_DEVICES
from onestroke.errors import ConfigError
from onestroke.losses.architecture import layer_names
from onestroke.losses.weights import VGGWeights

Border = Literal["zeros", "replicate"]


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
    """ "auto", "cpu" or "cuda" to a device; ConfigError for another, or a GPU that is not there."""
    if name not in TORCH_DEVICES:
        raise ConfigError(f"device: unknown {name!r}; choose from {', '.join(TORCH_DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device: cuda asked for, but torch sees no GPU; use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
