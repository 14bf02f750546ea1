"""VGG16 and VGG19 as numbers: blocks, widths, layer names, strides, how far an activation sees."""

from __future__ import annotations

# Convolutions per block; every block ends in a pooling. The widths are the same for both.
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


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
