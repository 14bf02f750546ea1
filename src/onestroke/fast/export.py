"""Network to .onnx: one file, uint8 NHWC in and out, any N, H and W, a strength, and a card with its measured parity."""

from __future__ import annotations

import importlib.metadata
import logging
import warnings
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from onestroke import config as configs
from onestroke.card import ModelCard
from onestroke.config import SAMPLE_PAINTING, TrainConfig, style_name
from onestroke.errors import ConfigError, ModelError
from onestroke.fast.module import CHECKPOINT, CONFIG, load_checkpoint, trained_network
from onestroke.fast.networks import NETWORKS, Framed
from onestroke.images import Array
from onestroke.runtime.session import open_model

OPSET = 18
# Batch, height, width at which ONNX Runtime must agree with torch: small, odd, video, panorama, batch.
PARITY_SIZES = ((1, 64, 64), (1, 257, 391), (1, 1080, 1920), (1, 97, 1024), (3, 65, 66))
# Levels of 255: rounding may fall to either side, nothing more.
PARITY_MOST, PARITY_MEAN = 1, 0.05


class FloatIO(nn.Module):
    """float [N, 3, H, W] in [0, 1] in and out; `strength` blends from the photo (0) to the style (1)."""

    def __init__(self, net: Framed) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, strength: Tensor) -> Tensor:
        """See the class."""
        stylised: Tensor = self.net(image)
        return image + strength * (stylised - image)


class UInt8IO(FloatIO):
    """The same for uint8 [N, H, W, 3], in and out."""

    def forward(self, image: Tensor, strength: Tensor) -> Tensor:
        """See the class."""
        mixed = super().forward(image.permute(0, 3, 1, 2).float() / 255, strength)
        return (mixed * 255 + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


WRAPPERS: dict[str, type[FloatIO]] = {"uint8": UInt8IO, "float": FloatIO}


def export_run(folder: Path, target: Path | None = None, io: str = "uint8", objective: dict[str, float] | None = None) -> Path:
    """Export what the run in `folder` has reached, to `target` or RUN/<painting>.onnx; returns the file.

    Raises ConfigError where there is no run or for an unknown `io`, and ModelError as `export` does.
    """
    if not (folder / CHECKPOINT).is_file() or not (folder / CONFIG).is_file():
        raise ConfigError(f"{folder}: not a run folder ({CHECKPOINT} and {CONFIG} expected); train.py makes them")
    config = configs.merge(TrainConfig(), configs.read_yaml(folder / CONFIG), str(folder / CONFIG))
    target = target or folder / f"{style_name(config.painting)}.onnx"
    if target.suffix != ".onnx":
        raise ConfigError(f"out: {target} does not end in .onnx")
    checkpoint = load_checkpoint(folder / CHECKPOINT)
    net = trained_network(checkpoint, config.network)
    card = make_card(
        target.stem,
        config.network,
        net,
        painting=Path(config.painting).name or SAMPLE_PAINTING,
        licence="" if config.painting else "Apache-2.0",
        io=io,
        vgg=config.vgg,
        steps=checkpoint["global_step"],
        train_size=config.size,
        objective=objective or {},
    )
    export(net, card, target)
    return target


def make_card(name: str, network: str, net: Framed, **known: Any) -> ModelCard:
    """The card of a network, from its entry in NETWORKS and what the caller knows of its training."""
    spec = NETWORKS[network]
    return ModelCard(
        name=name,
        network=network,
        parameters=sum(p.numel() for p in net.parameters()),
        minimum=spec.minimum,
        multiple=spec.multiple,
        halo=spec.halo,
        tiling=spec.tiling,
        onestroke_version=importlib.metadata.version("onestroke"),
        **known,
    )


def export(net: Framed, card: ModelCard, path: Path) -> ModelCard:
    """Write `path`, after checking it through the runtime; returns the card with its parity.

    Raises ModelError, and leaves `path` as it was, where onnx.checker objects, where ONNX Runtime and torch differ by more
    than PARITY_MOST levels anywhere or PARITY_MEAN on average, or where the place cannot be written.
    """
    wrapper = WRAPPERS[card.io](net).eval()
    model = _trace(wrapper, card)
    temporary = path.with_name(f".{path.name}.part")
    try:
        _save(model, card, temporary)
        card = replace(card, parity=parity(wrapper, card, temporary))
        if not (card.parity["most"] <= PARITY_MOST and card.parity["mean"] <= PARITY_MEAN):
            raise ModelError(f"{path}: not written: ONNX Runtime differs from torch by {card.parity['most']:g} levels of 255")
        _save(model, card, temporary)
        temporary.replace(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({error.strerror or error})") from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    return card


def _trace(wrapper: FloatIO, card: ModelCard) -> onnx.ModelProto:
    """The ONNX graph with dynamic N, H, W, and strength as an input with a default."""
    n, h, w = torch.export.Dim("N", min=1), torch.export.Dim("H", min=card.minimum), torch.export.Dim("W", min=card.minimum)
    if card.io == "uint8":
        image, dims = torch.randint(0, 256, (2, 72, 88, 3), dtype=torch.uint8), {0: n, 1: h, 2: w}
    else:
        image, dims = torch.rand(2, 3, 72, 88), {0: n, 2: h, 3: w}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            wrapper,
            (image, torch.tensor(1.0)),
            dynamo=True,
            input_names=["image", "strength"],
            output_names=["stylized"],
            dynamic_shapes=(dims, None),
            opset_version=OPSET,
            verbose=False,
        )
    model: onnx.ModelProto = program.model_proto  # type: ignore[union-attr]
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(1.0, np.float32), "strength"))
    return model


def _save(model: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    onnx.helper.set_model_props(model, card.to_metadata())
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{path}: not a valid ONNX graph ({' '.join(str(error).split())})") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def parity(wrapper: FloatIO, card: ModelCard, path: Path) -> dict[str, float]:
    """Largest and mean difference, in levels of 255, of ONNX Runtime against torch over PARITY_SIZES."""
    model = open_model(path, device="cpu")
    rng = np.random.default_rng(0)
    most, total, count = 0.0, 0.0, 0
    for batch, height, width in PARITY_SIZES:
        images = _scene(rng, batch, height, width)
        with torch.no_grad():
            if card.io == "uint8":
                wanted = wrapper(torch.from_numpy(images), torch.tensor(1.0)).numpy()
            else:
                planes = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
                wanted = (wrapper(planes, torch.tensor(1.0)) * 255 + 0.5).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        difference = np.abs(model.run(images).astype(np.int16) - wanted)
        most, total, count = max(most, float(difference.max())), total + float(difference.sum()), count + difference.size
    return {"most": most, "mean": round(total / count, 6)}


def _scene(rng: np.random.Generator, batch: int, height: int, width: int) -> Array:
    """A test picture with flat, smooth and busy parts: gradients under noise that grows to the right."""
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([255 * x / width, 255 * y / height, 127 * (1 + np.sin(x / 17.0 + y / 29.0))], -1)
    noise = rng.normal(0, 40, (batch, height, width, 3)) * (x / width)[..., None]
    scene: Array = np.clip(smooth + noise, 0, 255).astype(np.uint8)
    return scene
