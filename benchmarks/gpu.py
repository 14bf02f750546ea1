"""Trains many styles side by side on one GPU, by the clock: a process for each, photos in the GPU's memory.

    uv run benchmarks/gpu.py configs/styles/*.yaml --paintings PAINTINGS --content PHOTOS --val UNSEEN --minutes 7 --batch 8

One network of this size leaves a large GPU idle for most of a step, a dozen together do not (start NVIDIA's MPS before, and
their kernels overlap too). A STYLE is a style image, or a recipe that
names one or whose name one in PAINTINGS has. The recipe is that of
`onestroke train`: the same losses, network, optimizer and schedule, whose end is the deadline. What comes out are run
folders for `onestroke export`, and gpu.json: steps, crops a second, objectives. `--device cpu --batch 2` tries it anywhere.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import statistics
import subprocess
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from onestroke.config import schema
from onestroke.config.schema import add_flags, merge
from onestroke.config.training import TrainConfig, load, style_names
from onestroke.losses.pixels import to_float
from onestroke.training.checkpoint import CHECKPOINT, CONFIG, OBJECTIVE
from onestroke.training.initialize import initial_weights
from onestroke.training.module import StyleModule
from onestroke.training.photos import Photos, load_folder
from onestroke.training.schedule import Rate
from onestroke.training.setup import Parts, new_module, prepare, with_crops

# The schedule's unit where time rules: a thousandth of the run.
THOUSAND = 1000
CHECK_EVERY = 200  # steps between looks at the loss, each of which waits for the GPU
AT_ONCE = 4  # how many measure their units and record their first step at a time, which takes the most memory


class Crops:
    """Random crops as training/data.py draws them, cut and scaled on the device: uint8 [B, size, size, 3]."""

    def __init__(self, photos: Photos, config: TrainConfig, device: torch.device) -> None:
        self.pixels = torch.from_numpy(np.array(photos.pixels)).to(device)
        self.index, self.config = photos.index, config

    def at(self, step: int) -> Tensor:
        """The batch of one step."""
        size = self.config.size
        rng = np.random.default_rng((self.config.seed, 1, step))
        crops = []
        for which in rng.integers(0, len(self.index), self.config.batch):
            offset, height, width = self.index[which]
            photo = self.pixels[offset : offset + height * width * 3].view(height, width, 3)
            side = int(rng.integers(size, min(height, width) + 1))
            top, left = (int(rng.integers(extent - side + 1)) for extent in (height, width))
            square = photo[top : top + side, left : left + side].permute(2, 0, 1)[None].float()
            small = F.interpolate(square, (size, size), mode="bicubic", antialias=True) if side > size else square
            crops.append(small.flip(3) if rng.random() < 0.5 else small)
        return torch.cat(crops).clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def rate_by_time(rate: Rate, begun: float, deadline: float, step: int) -> float:
    """The rate over the time from `begun` to `deadline`; the warm-up counts steps."""
    if step < rate.warmup:
        return replace(rate, steps=None).at(step)
    done = (time.monotonic() - begun) / (deadline - begun)
    return Rate(rate.peak, steps=THOUSAND).at(int(min(done, 1.0) * THOUSAND))


def record(module: StyleModule, parts: Parts, crops: Crops) -> None:
    """The losses of one batch, for the graphs that a module's first step records."""
    with torch.autocast(parts.device.type, torch.bfloat16, enabled=parts.bf16):
        module.step.terms(module.net, crops.at(0), 0)


def fit(module: StyleModule, parts: Parts, crops: Crops, config: TrainConfig, deadline: float) -> int:
    """Train until the deadline; the number of steps. Raises FloatingPointError where the loss is no number any more."""
    device, begun, step = parts.device, time.monotonic(), 0
    optimizer = module.configure_optimizers()
    averages, weights = [[p.detach() for p in net.parameters()] for net in (module.ema.module, module.net)]
    while time.monotonic() < deadline:
        for group in optimizer.param_groups:
            group["lr"] = rate_by_time(module.rate, begun, deadline, step)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=parts.bf16):
            total = module.step.terms(module.net, crops.at(step), step)["total"]
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(module.net.parameters(), config.clip)
        optimizer.step()
        step += 1
        module.average(averages, weights, step - 1)  # told the count, which module.ema would ask the GPU for
        if step % CHECK_EVERY == 0:
            loss = float(total.detach())
            print(f"{style_names(config.style_image)[0]} {step} {time.monotonic() - begun:.0f} s {loss:.3f}", flush=True)
            if not math.isfinite(loss):
                raise FloatingPointError(f"{config.style_image}: the loss is {loss} at step {step}")
    return step


@torch.no_grad()
def judge(module: StyleModule, parts: Parts) -> dict[str, float]:
    """The objective on the held-out photos, as a run's own."""
    found = []
    for (batch,) in parts.photos.val_dataloader():
        photos = to_float(batch.to(parts.device))
        found.append(module.loss(module(photos), photos))
    return {name: round(float(torch.stack([terms[name] for terms in found]).mean()), 5) for name in found[0]}


def train(config: TrainConfig, folder: Path, deadline: float, turn: AbstractContextManager[bool]) -> None:
    """One style in this process: a run folder with its averaged weights, and row.json. `turn`: a semaphore."""
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("high")
    with turn:
        parts = prepare(config)
        weights = initial_weights(config.initialize_from, config.network, style_names(config.style_image))
        module = new_module(config, parts.step, weights, print).to(parts.device)
        crops = Crops(parts.photos.train, config, parts.device)
        record(module, parts, crops)
    begun = time.monotonic()
    steps = fit(module, parts, crops, config, deadline)
    seconds = time.monotonic() - begun
    config = replace(config, steps=steps)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.cpu() for name, value in module.state_dict().items() if name.startswith("ema.module.")}
    torch.save({"state_dict": state, "global_step": steps}, folder / CHECKPOINT)
    schema.write_yaml(config, folder / CONFIG)
    schema.write_mapping(judge(module, parts), folder / OBJECTIVE)
    row = {
        "style": folder.name,
        "steps": steps,
        "crops": steps * config.batch,
        "crops_per_second": steps * config.batch / seconds,
    }
    (folder / "row.json").write_text(json.dumps(row))


def utilization(done: threading.Event, samples: list[float]) -> None:
    """Sample, once a second, the share of the time that the GPU computes; nothing where there is none."""
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0"]
    while not done.wait(1):
        try:
            samples.append(float(subprocess.run(query, capture_output=True, text=True, check=True).stdout))
        except (OSError, ValueError, subprocess.CalledProcessError):
            return


def configs(args: argparse.Namespace, flags: dict[str, Any]) -> dict[str, TrainConfig]:
    """The runs by name."""
    found = {}
    for path in args.styles:
        recipe = load(path) if path.suffix in (".yaml", ".yml") else TrainConfig(style_image=[str(path)])
        config = merge(recipe, flags, "flags")
        if not config.style_image:
            painting = next((p for p in sorted(args.paintings.iterdir()) if p.stem == path.stem), None)
            if painting is None:
                raise SystemExit(f"{path}: names no style image, and {args.paintings} holds none of that name; use --paintings")
            config = replace(config, style_image=[str(painting)])
        found[path.stem] = with_crops(config)
    return found


def main() -> None:
    """Fill the photo cache once, train all, gather what they say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("styles", nargs="+", type=Path, metavar="STYLE")
    parser.add_argument("--paintings", type=Path, default=Path())
    parser.add_argument("--folder", type=Path, default=Path("runs/benchmarks/gpu"))
    parser.add_argument("--minutes", type=float, default=7.0)
    add_flags(parser, TrainConfig, skip=("style_image", "out", "minutes", "steps"))
    flags = vars(parser.parse_args())
    args = argparse.Namespace(**{name: flags.pop(name) for name in ("styles", "paintings", "folder", "minutes")})
    runs = configs(args, flags)
    for folder, size in {(name, run.size) for run in runs.values() for name in (run.content, run.val) if name}:
        load_folder(Path(folder), size)
    done, samples = threading.Event(), list[float]()
    threading.Thread(target=utilization, args=(done, samples), daemon=True).start()
    deadline = time.monotonic() + 60 * args.minutes
    context = multiprocessing.get_context("spawn")
    turn = context.Semaphore(AT_ONCE)
    processes = [context.Process(target=train, args=(run, args.folder / name, deadline, turn)) for name, run in runs.items()]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    done.set()
    rows = [json.loads(path.read_text()) for path in sorted(args.folder.glob("*/row.json"))]
    found = {"gpu_busy": statistics.mean(samples) if samples else None, "styles": rows}
    (args.folder / "gpu.json").write_text(json.dumps(found, indent=1))
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
