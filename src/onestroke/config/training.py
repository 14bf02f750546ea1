"""What a training run is told: its settings, their defaults and their help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from onestroke.config.devices import TORCH_DEVICES
from onestroke.config.schema import merge, option, read_yaml

# The sample painting (samples/painting.py).
SAMPLE_PAINTING = "brushwork"


def style_names(paintings: Sequence[str]) -> list[str]:
    """What styles are called: their paintings' file names without extension; SAMPLE_PAINTING where none was given."""
    return [Path(painting).stem for painting in paintings] or [SAMPLE_PAINTING]


def style_name(paintings: Sequence[str]) -> str:
    """What a model of these styles is called."""
    first, *others = style_names(paintings)
    return f"{first}_and_{len(others)}_more" if others else first


@dataclass(frozen=True)
class Scale:
    """What the losses compare at one scale (losses/terms.py).

    Pictures are reduced by `reduction`, and `windows` squares of `window` pixels, placed at random, are looked at. `style`,
    `content` and `gray` name VGG layers: those whose Gram matrices count, those whose activations count, with weights,
    and those whose activations count for luminance alone, which hold large light and dark in place and leave colors free.
    `sliced` of the style term compares the layers' whole distributions (Heitz 2021), the rest their Gram matrices.
    The style image is reduced like the pictures, unless `style_size` is its shorter side here.
    """

    reduction: int = option(1, "1: full size, 2: half, 4: a quarter", least=1, most=16)
    window: int = option(0, "side of the squares looked at; 0: the whole picture", least=0, most=16_384)
    windows: int = option(1, "how many squares", least=1, most=1024)
    style: list[str] = option([], "layers of the style term", empty=True)
    content: dict[str, float] = option({}, "layers of the content term, with weights", least=0.0, empty=True)
    gray: dict[str, float] = option(
        {}, "layers of the content term that see luminance alone, with weights", least=0.0, empty=True
    )
    style_size: int = option(0, "shorter side of the style image; 0: reduced like the pictures", least=0, most=16_384)
    pooled: bool = option(True, "compare each two photos as one, so that each may take its share of the palette")
    sliced: float = option(
        0.0, "share of sliced Wasserstein distances in the style term, beside those of Gram matrices", least=0.0, most=1.0
    )

    @property
    def layers(self) -> list[str]:
        """All layers that are looked at."""
        return [*self.style, *self.content, *self.gray]


# What networks learn from by default: strokes at full size, motifs at half, areas of color at a quarter of it; content at all
# three, at the quarter in luminance only (docs/experiments.md says what else was tried).
_LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
_SLICED = 0.35
SCALES = [
    Scale(1, style=_LAYERS, content={"relu4_2": 0.35}, sliced=_SLICED),
    Scale(2, style=_LAYERS, content={"relu3_3": 0.2}, sliced=_SLICED),
    Scale(4, style=_LAYERS[:4], gray={"relu2_2": 0.45}, sliced=_SLICED),
]


@dataclass(frozen=True)
class TrainConfig:
    """One training run. The defaults suit one GPU; QUICK below holds what changes on a CPU.

    Loss weights are dimensionless: 1.0 of each term is what doing nothing useful costs (losses/terms.py).
    """

    style_image: list[str] = option([], "files of the style images; none: the sample painting", empty=True)
    title: str = option("", "who painted what, for the model's card; empty: the file's name")
    license: str = option("", "license of the painting, for the model's card")
    content: str = option("", "folder of photos, searched recursively; empty: the sample photos")
    val: str = option("", "folder of held-out photos; empty: some are set aside from the content photos")
    out: str = option("", "run folder; empty: runs/<painting>")
    network: str = option("onestroke", "which network to train (networks/registry.py)")
    initialize_from: str = option(
        "auto",
        "weights to start from: auto (a network of eleven paintings), none (random), a bundled style, or a .onnx",
    )
    vgg: str = option("vgg16", "which VGG judges", choices=("vgg16", "vgg19"))
    vgg_weights: str = option("", "file with VGG weights (.pth .h5 .mat .onnx .safetensors); empty: found or downloaded")
    pooling: str = option("max", "pooling inside VGG", choices=("max", "average"))
    supervision: str = option(
        "perceptual", "what teaches: perceptual losses, finished pairs, or first pairs", choices=("perceptual", "pairs", "both")
    )
    pairs: str = option("", "folder of `onestroke pairs`, for supervision by pairs or both")
    pair_share: float = option(0.3, "share of the steps that `both` spends on pairs", least=0.0, most=1.0)
    pair_steps: int = option(0, "steps that `both` spends on pairs; 0: their share of all", least=0)
    scales: list[Scale] = option(
        SCALES, "what the losses compare at each scale; none: the layers below, in whole pictures", empty=True
    )
    style_layers: list[str] = option(["relu1_2", "relu2_2", "relu3_3", "relu4_3"], "without scales: layers of the style term")
    content_layers: list[str] = option(["relu2_2"], "without scales: layers of the content term; also those of pairs")
    style_levels: str = option(
        "auto", "auto: the style image's light over the full range, a little more color; or none", choices=("auto", "none")
    )
    style_weight: float = option(1.0, "weight of the style term", least=0.0)
    content_weight: float = option(0.4, "weight of the content term", least=0.0)
    tv_weight: float = option(0.03, "weight of total variation", least=0.0)
    steady_weight: float = option(0.5, "weight of steadiness under small shifts, warps, light and noise", least=0.0)
    grain: float = option(
        4.0,
        "grain under photos, as a deviation in levels of 255: what strokes follow where photos are smooth",
        least=0.0,
        most=64.0,
    )
    style_size: int = option(512, "shorter side of the painting in pixels; brush strokes scale with it", least=32, most=16_384)
    size: int = option(
        0, "side of the training crops in pixels; 0: 256 (a GPU: 384), or what three of four photos reach", least=0, most=16_384
    )
    batch: int = option(8, "photos per step", least=1, most=10_000)
    steps: int = option(10_000, "optimizer steps", least=1)
    minutes: float = option(
        0.0, "time budget; above 0 it replaces steps: two thirds of it settle how many", least=0.0, most=1e6
    )
    optimizer: str = option("muon", "what steps the network", choices=("muon", "adam"))
    rate: float = option(0.0, "peak learning rate; 0: what suits the optimizer and the network", least=0.0)
    warmup: int = option(50, "steps of linear warm-up (at most a quarter of all)", least=0)
    clip: float = option(5.0, "gradient norm limit", least=0.0)
    ema: float = option(0.995, "decay of the weight average that is validated and exported", least=0.0, most=0.999999)
    val_photos: int = option(16, "held-out photos in the objective", least=1, most=100_000)
    val_every: int = option(500, "steps between objectives on held-out photos", least=1)
    preview_every: int = option(500, "steps between preview pictures", least=1)
    save_every: int = option(100, "steps between checkpoints", least=1)
    precision: str = option("auto", "arithmetic; auto: bf16 where the processor has it", choices=("auto", "fp32", "bf16"))
    device: str = option("auto", "where to train", choices=TORCH_DEVICES)
    devices: int = option(1, "GPUs on each machine (on a CPU: processes), which share every batch", least=1, most=1024)
    nodes: int = option(1, "machines (docs/scale.md says how to start them)", least=1, most=10_000)
    workers: int = option(
        -1, "data-loading processes; -1: none on a CPU, up to 8 beside a GPU; as a flag with --engine ray: how many train at a"
        " time (default: one a GPU, else one a core)", least=-1, most=1024,
    )  # fmt: skip
    seed: int = option(0, "seed of weights and data", least=0, most=2**63 - 1)

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the terms of the losses by their names, from the fields NAME_weight; metrics.csv has a column for each."""
        return {f.name.removesuffix("_weight"): getattr(self, f.name) for f in fields(self) if f.name.endswith("_weight")}


# What a run in progress may change without ceasing to be the same run.
CHANGEABLE = ("out", "steps", "minutes", "pair_steps", "val_every", "preview_every", "save_every", "device", "devices",
              "nodes", "workers", "precision", "vgg_weights")  # fmt: skip
# What settings were called in version 0.1.
RENAMED = {"painting": "style_image", "start": "initialize_from", "licence": "license"}

# What a CPU run changes: it ends in minutes and still shows the style.
QUICK: dict[str, Any] = {
    "batch": 2,
    "steps": 500,
    "minutes": 4.0,
    "warmup": 40,
    "val_every": 100,
    "preview_every": 100,
    "save_every": 50,
    # Without half size, which takes a fifth of the time, and whose motifs show in longer trainings alone.
    "scales": [
        {"reduction": 1, "style": _LAYERS, "content": {"relu4_2": 0.55}},
        {"reduction": 4, "style": _LAYERS[:4], "gray": {"relu2_2": 0.45}},
    ],
}


def read_settings(path: str | Path) -> dict[str, Any]:
    """The settings that a YAML file names, under today's names. Raises ConfigError."""
    return {RENAMED.get(key, key): value for key, value in read_yaml(path).items()}


def load(path: str | Path) -> TrainConfig:
    """The training run that a YAML file describes, defaults where it is silent. Raises ConfigError."""
    values = read_settings(path)
    return merge(TrainConfig(), plain(values) | values, str(path))


def load_run(path: Path) -> TrainConfig:
    """The configuration that a run saved. Raises ConfigError."""
    config = load(path)
    return config if "grain" in read_yaml(path) else replace(config, grain=0.0)  # which earlier versions knew nothing of


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """What settings mean that name style layers and no scales, as those of version 0.1 do: whole pictures at one size."""
    return (
        {"scales": [], "style_levels": "none", "content_weight": 0.25, "tv_weight": 0.05, "grain": 0.0}
        if "style_layers" in values and "scales" not in values
        else {}
    )


def differing(one: TrainConfig, other: TrainConfig) -> list[str]:
    """The fields that make two runs of them: those that differ, but for what a run in progress may change."""
    values = asdict(other)
    return [name for name, value in asdict(one).items() if name not in CHANGEABLE and value != values[name]]
