"""onestroke export RUN: write the network that a run has reached as one .onnx file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from onestroke.card import PRECISIONS
from onestroke.cli.flags import Parser


def main(arguments: Sequence[str]) -> int:
    """Parse, export, say how well it agrees with torch; with --check, what each form costs."""
    parser = Parser("export", __doc__)
    parser.add_argument("run", help="run folder of `onestroke train`")
    parser.add_argument("-o", "--out", metavar="NAME.onnx", help="file to write; default: RUN/<painting>[_fp16][_web].onnx")
    parser.add_argument(
        "--precision", default="fp32", choices=PRECISIONS,
        help="fp16 stores weights in half the space, w8 in 0.3 of it, int8 computes most convolutions in 8 bits",
    )  # fmt: skip
    parser.add_argument(
        "--io", default="uint8", choices=("uint8", "float"), help="uint8 [N,H,W,3], or float [N,3,H,W] in [0,1]"
    )
    parser.add_argument(
        "--target", default="onnxruntime", choices=("onnxruntime", "web"), help="web: the form that browsers run fastest"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is not the run's own")
    parser.add_argument(
        "--check", action="store_true", help="what each form (fp32, fp16, web) costs: size, time, pictures, OpenCV"
    )
    flags = parser.read(arguments)

    from onestroke.exporting.onnx import export_run
    from onestroke.inference.session import open_model

    out = Path(flags.out) if flags.out else None
    target = export_run(Path(flags.run), out, flags.io, flags.precision, overwrite=flags.overwrite, web=flags.target == "web")
    card = open_model(target, device="cpu").card
    print(f"{target}: {card.parameters} parameters, {target.stat().st_size / 1e6:.2f} MB, at most {card.parity['most']:g} of "
          f"255 levels from torch (mean {card.parity['mean']:g}, {card.parity['psnr']:g} dB)")  # fmt: skip
    if flags.check:
        _check(Path(flags.run), target)
    return 0


def _check(run: Path, target: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from onestroke.exporting.compare import SIDE, check

    forms = check(run, target)
    table = Table(
        "form", "file", "time", "off by", "OpenCV DNN", title=f"against fp32, {SIDE}x{SIDE} in ONNX Runtime on the CPU"
    )
    for form in forms:
        off = "" if form is forms[0] else f"mean {form.mean:.3f}, most {form.most} of 255"
        time = f"{1000 * form.seconds:.0f} ms, {form.times:.2f} times"
        table.add_row(form.name, f"{form.size / 1000:.0f} kB", time, off, form.opencv)
    Console().print(table)
