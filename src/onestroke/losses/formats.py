"""Readers of VGG weight files: each returns the 3x3 convolutions in order, [out, in, 3, 3], meaning not yet applied."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onestroke.errors import WeightsError

_LARGEST = 10**8  # values of a kernel: far above VGG's, and far below what a file of a few bytes may announce

Convolution = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Raw:
    """Kernels and biases in layer order, and the (lineage, channel order) that files of this format usually have."""

    convolutions: list[Convolution]
    usual: tuple[str, str]


def read(path: Path) -> Raw:
    """Read by extension. Raises WeightsError for a missing, damaged or unknown file."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise WeightsError(f"{path}: unknown kind of weights file; use one of {' '.join(READERS)}")
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    try:
        return reader(path)
    except ImportError as error:
        raise WeightsError(f"{path}: reading {path.suffix} needs a package; run `pip install {error.name}`") from None
    except WeightsError:
        raise
    except Exception as error:  # each format's library has its own exceptions for a damaged file
        raise WeightsError(f"{path}: damaged or not a {path.suffix} weights file ({type(error).__name__})") from None


def _read_pth(path: Path) -> Raw:
    import torch

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(f"{path}: damaged, or holds code besides tensors; save its state_dict instead") from None
    return from_torchvision_keys(state, str(path))


def _read_safetensors(path: Path) -> Raw:
    from safetensors.numpy import load_file

    return from_torchvision_keys(load_file(path), str(path))


def from_torchvision_keys(state: Mapping[str, Any], source: str) -> Raw:
    """features.N.weight, as torchvision and jcjohnson's Caffe conversions name them; other keys are the classifier's."""
    numbers = sorted(int(m[1]) for key in state if (m := re.fullmatch(r"features\.(\d+)\.weight", key)))
    if not numbers:
        raise WeightsError(f"{source}: holds no features.N.weight tensors; expected torchvision's VGG key names")
    pairs = [(np.asarray(state[f"features.{n}.weight"]), np.asarray(state[f"features.{n}.bias"])) for n in numbers]
    return Raw(pairs, ("torchvision", "rgb"))


def _read_h5(path: Path) -> Raw:
    """Keras: kernels as TensorFlow writes them (3, 3, in, out) or as Theano does (out, in, 3, 3, turned by 180 degrees)."""
    import h5py

    found: dict[tuple[int, int], dict[int, NDArray[Any]]] = {}

    def visit(name: str, item: Any) -> None:
        match = re.search(r"block(\d)_conv(\d)", name)
        if match and isinstance(item, h5py.Dataset) and item.ndim in (1, 4):
            if item.size > _LARGEST:
                raise WeightsError(f"{path}: {name} announces {item.shape}, which no VGG has; use another copy of the file")
            found.setdefault((int(match[1]), int(match[2])), {})[item.ndim] = np.asarray(item)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    if not found:
        raise WeightsError(f"{path}: holds no block1_conv1 layers; expected Keras' VGG names")
    pairs = []
    for key in sorted(found):
        kernel, bias = found[key][4], found[key][1]
        tensorflow = kernel.shape[:2] == (3, 3)
        pairs.append((kernel.transpose(3, 2, 0, 1) if tensorflow else kernel[:, :, ::-1, ::-1].copy(), bias))
    return Raw(pairs, ("caffe", "bgr"))


def _read_mat(path: Path) -> Raw:
    """MatConvNet: layers with a name and either weights = {kernel, bias} or filters and biases; kernels (3, 3, in, out)."""
    from scipy.io import loadmat

    pairs = []
    for layer in loadmat(path, squeeze_me=True, struct_as_record=False)["layers"]:
        if not re.fullmatch(r"conv\d_\d", str(getattr(layer, "name", ""))):
            continue
        kernel, bias = layer.weights if hasattr(layer, "weights") else (layer.filters, layer.biases)
        pairs.append((np.asarray(kernel).transpose(3, 2, 0, 1), np.asarray(bias).reshape(-1)))
    return Raw(pairs, ("caffe", "rgb"))


def _read_onnx(path: Path) -> Raw:
    """The 3x3 Conv nodes in graph order, whatever the exporter called them."""
    import onnx

    graph = onnx.load(path).graph
    tensors = {t.name: t for t in graph.initializer}
    pairs = []
    for node in graph.node:
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[1] in tensors and node.input[2] in tensors:
            kernel, bias = (onnx.numpy_helper.to_array(tensors[name]) for name in node.input[1:])
            if kernel.shape[2:] == (3, 3):
                pairs.append((kernel, bias))
    return Raw(pairs, ("caffe", "bgr"))


READERS: dict[str, Callable[[Path], Raw]] = {
    ".pth": _read_pth,
    ".pt": _read_pth,
    ".safetensors": _read_safetensors,
    ".h5": _read_h5,
    ".mat": _read_mat,
    ".onnx": _read_onnx,
}
