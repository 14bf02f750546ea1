"""The reference: the network of Johnson 2016 with instance norm."""

from __future__ import annotations

from torch import nn

from onestroke.errors import ConfigError
from onestroke.networks.layers import Chain, Residual


def _conv(inputs: int, outputs: int, side: int = 3, stride: int = 1) -> nn.Conv2d:
    """Reflection padding: with zeros a network learns where the border is, and draws it (docs/experiments.md)."""
    return nn.Conv2d(inputs, outputs, side, stride, padding=(side - 1) // 2, padding_mode="reflect")


def _instance_norm_relu(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.InstanceNorm2d(channels, affine=True), nn.ReLU(inplace=True))


def johnson(styles: int = 1) -> Chain:
    """Johnson 2016 with instance norm, as pytorch/examples writes it: 1,679,235 parameters.

    9x9 convolutions at full resolution, two stride-2 convolutions to 128 channels, five residual blocks, nearest-neighbor
    upsampling, reflection padding. Ours ends in a sigmoid (the paper's scaled tanh), so that values stay in [0, 1].
    Raises ConfigError for more than one style.
    """
    if styles > 1:
        raise ConfigError(f"network: johnson learns one style, not {styles}; use onestroke")

    def block() -> Residual:
        return Residual(_conv(128, 128), _instance_norm_relu(128), _conv(128, 128), nn.InstanceNorm2d(128, affine=True))

    return Chain(
        *(_conv(3, 32, 9), _instance_norm_relu(32)),
        *(_conv(32, 64, 3, 2), _instance_norm_relu(64)),
        *(_conv(64, 128, 3, 2), _instance_norm_relu(128)),
        *(block() for _ in range(5)),
        *(nn.Upsample(scale_factor=2, mode="nearest"), _conv(128, 64), _instance_norm_relu(64)),
        *(nn.Upsample(scale_factor=2, mode="nearest"), _conv(64, 32), _instance_norm_relu(32)),
        _conv(32, 3, 9),
    )
