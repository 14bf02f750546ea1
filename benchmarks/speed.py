"""How fast ONNX Runtime runs the exported networks, against `johnson`, on this machine.

    uv run benchmarks/speed.py
    uv run benchmarks/speed.py --network johnson onestroke --sizes 512x512 --repeats 15

Every network is exported with fresh weights (speed does not depend on them) and run in one process, interleaved, with the
same session options. Beside the times: multiply-adds, bytes that the operators read and write, how near that comes to what
this machine's arithmetic and memory can do (both measured on the spot), and the peak memory of one frame (Linux).
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from rich.console import Console
from rich.table import Table

from onestroke.exporting import onnx as export
from onestroke.exporting.compare import PAUSE
from onestroke.networks import registry as networks

# Names of a network's operators in the table of where the time goes: ONNX Runtime's own are many.
KINDS = {"Conv": "convolution", "ReorderInput": "layout", "ReorderOutput": "layout", "Transpose": "layout",
         "DepthToSpace": "layout", "Pad": "padding", "Gather": "padding", "InstanceNormalization": "norm",
         "Upsample": "upsampling", "Resize": "upsampling"}  # fmt: skip


def main() -> None:
    """Measure, print the tables, save JSON and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", nargs="+", default=list(networks.NETWORKS))
    parser.add_argument("--sizes", nargs="+", default=["256x256", "512x512", "1920x1080"], help="WIDTHxHEIGHT")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/speed"))
    flags = parser.parse_args()
    names = ["johnson", *(name for name in flags.network if name != "johnson")]
    with tempfile.TemporaryDirectory() as folder:
        models = {name: _export(name, Path(folder)) for name in names}
        floors = {"gflops": arithmetic(flags.threads), "gbytes": bandwidth(flags.threads)}
        rows = [row for size in flags.sizes for row in _measure(models, size, flags, floors)]
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    result = {"threads": flags.threads, "floors": floors, "rows": rows}
    flags.out.with_suffix(".json").write_text(json.dumps(result, indent=1))
    _print(result)
    _plot(rows, flags.out.with_suffix(".png"))


def _export(name: str, folder: Path) -> Path:
    torch.manual_seed(0)
    net, path = networks.build(name).eval(), folder / f"{name}.onnx"
    export.export(net, export.make_card(name, name, net, painting="", license=""), path)
    return path


def session(model: Path | bytes, threads: int, profile: Path | None = None) -> onnxruntime.InferenceSession:
    """The one set of options that everything here runs with."""
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _best_seconds(nodes: list[onnx.NodeProto], weights: dict[str, Any], shape: tuple[int, ...], threads: int) -> float:
    """The fastest of ten runs of a small graph from x to y."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xy"]
    initial = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "floor", values[:1], values[1:], initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    run, x, seconds = session(model.SerializeToString(), threads), np.ones(shape, np.float32), []
    for _ in range(10):
        began = time.perf_counter()
        run.run(None, {"x": x})
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def arithmetic(threads: int) -> float:
    """GFLOP/s of a stack of 3x3 convolutions 64 to 64 that fits the caches: what a network can hope for."""
    depth, side, names = 12, 96, ["x", *(f"h{i}" for i in range(11)), "y"]
    nodes = [helper.make_node("Conv", [names[i], "w"], [names[i + 1]], pads=[1, 1, 1, 1]) for i in range(depth)]
    weights = {"w": np.full((64, 64, 3, 3), 1e-3, np.float32)}
    return 2 * depth * 64 * 64 * 9 * side**2 / _best_seconds(nodes, weights, (1, 64, side, side), threads) / 1e9


def bandwidth(threads: int) -> float:
    """GB/s, read and written, of Abs over 100 MB."""
    count = 25_000_000
    return 8 * count / _best_seconds([helper.make_node("Abs", ["x"], ["y"])], {}, (count,), threads) / 1e9


def _measure(models: dict[str, Path], size: str, flags: argparse.Namespace, floors: dict[str, float]) -> list[dict[str, Any]]:
    width, height = (int(side) for side in size.split("x"))
    photo = np.random.default_rng(0).integers(0, 256, (1, height, width, 3)).astype(np.uint8)
    open_models = {name: session(path, flags.threads) for name, path in models.items()}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for repeat in range(flags.repeats + 1):
        for name, model in open_models.items():
            time.sleep(PAUSE)
            model.run(None, {"image": photo})
            began = time.perf_counter()
            model.run(None, {"image": photo})
            if repeat:
                seconds[name].append(time.perf_counter() - began)
    del open_models
    rows = []
    for name, path in models.items():
        middle, work = statistics.median(seconds[name]), _profile(path, photo, flags.threads)
        rows.append({
            "network": name, "size": size, "seconds": middle,
            "ratio": statistics.median(a / b for a, b in zip(seconds["johnson"], seconds[name], strict=True)),
            "multiply_adds_per_pixel": work["macs"] / (width * height), "bytes_per_pixel": work["bytes"] / (width * height),
            "share_of_arithmetic": 2 * work["macs"] / floors["gflops"] / 1e9 / middle,
            "share_of_memory": work["bytes"] / floors["gbytes"] / 1e9 / middle,
            "operators": work["operators"], "peak_mb": _peak_memory(path, photo.shape, flags.threads),
        })  # fmt: skip
    return rows


def _profile(path: Path, photo: np.ndarray, threads: int) -> dict[str, Any]:
    """Multiply-adds, bytes, and the share of the time by kind of operator, from ONNX Runtime's own profile of five runs."""
    with tempfile.TemporaryDirectory() as folder:
        run, repeats = session(path, threads, Path(folder) / "profile"), 5
        for _ in range(repeats):
            run.run(None, {"image": photo})
        events = json.loads(Path(run.end_profiling()).read_text())
    macs = moved = 0.0
    micros: dict[str, float] = collections.defaultdict(float)
    for event in events:
        if event.get("cat") != "Node" or not event["name"].endswith("kernel_time"):
            continue
        about = event["args"]
        if about["op_name"] == "Conv":
            kernel, out = (next(iter(about[key][i].values())) for key, i in (("input_type_shape", 1), ("output_type_shape", 0)))
            macs += math.prod(kernel[1:]) * math.prod(out) / repeats  # the kernel's own outputs are padded to a multiple of 16
        moved += sum(float(about[key]) for key in ("activation_size", "parameter_size", "output_size")) / repeats
        micros[KINDS.get(about["op_name"], "elementwise")] += event["dur"]
    total = sum(micros.values())
    shares = {kind: us / total for kind, us in sorted(micros.items(), key=lambda pair: -pair[1])}
    return {"macs": macs, "bytes": moved, "operators": shares}


MEMORY = """
import sys
import numpy, onnxruntime
def peak():  # what this program has touched at most; getrusage would begin with the peak of the program that started it
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
onnxruntime.set_default_logger_severity(3)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[2])
model = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
model.run(None, {"image": numpy.zeros((1, 64, 64, 3), numpy.uint8)})
before = peak()
model.run(None, {"image": numpy.zeros([int(n) for n in sys.argv[3:]], numpy.uint8)})
print((peak() - before) / 1024)
"""


def _peak_memory(path: Path, shape: tuple[int, ...], threads: int) -> float:
    """MB by which one frame raises the peak of a process of its own that has the model open."""
    command = [sys.executable, "-c", MEMORY, str(path), str(threads), *map(str, shape)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _print(result: dict[str, Any]) -> None:
    floors = result["floors"]
    table = Table(title=f"this machine: {floors['gflops']:.0f} GFLOP/s, {floors['gbytes']:.1f} GB/s")
    columns = (
        "size",
        "network",
        "ms",
        "times johnson",
        "k multiply-adds/px",
        "bytes/px",
        "of arithmetic",
        "of memory",
        "peak MB",
    )
    for column in (*columns, "where the time goes"):
        table.add_column(column)
    for row in result["rows"]:
        goes = ", ".join(f"{kind} {share:.0%}" for kind, share in list(row["operators"].items())[:4])
        table.add_row(
            row["size"], row["network"], f"{1000 * row['seconds']:.1f}", f"{row['ratio']:.1f}",
            f"{row['multiply_adds_per_pixel'] / 1000:.1f}", f"{row['bytes_per_pixel']:.0f}",
            f"{row['share_of_arithmetic']:.0%}", f"{row['share_of_memory']:.0%}", f"{row['peak_mb']:.0f}", goes,
        )  # fmt: skip
    Console(width=180).print(table)


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names, sizes = ([*dict.fromkeys(row[key] for row in rows)] for key in ("network", "size"))
    figure, axes = plt.subplots(figsize=(7, 0.6 + 0.22 * len(names) * len(sizes)), layout="constrained")
    for i, size in enumerate(sizes):
        found = [row for row in rows if row["size"] == size]
        places = [names.index(row["network"]) + 0.26 * (i - 1) for row in found]
        bars = axes.barh(places, [row["ratio"] for row in found], 0.24, label=size)
        axes.bar_label(bars, [f"{row['ratio']:.1f}x  {1000 * row['seconds']:.0f} ms" for row in found], padding=3, fontsize=7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_xlabel("times as fast as johnson (ONNX Runtime, CPU, uint8 in and out)")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
