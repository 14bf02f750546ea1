"""onestroke export RUN: write the network that a run has reached as one .onnx file."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str]) -> int:
    """Parse, export, say how well it agrees with torch."""
    parser = argparse.ArgumentParser(prog="export.py", description=__doc__)
    parser.add_argument("run", help="run folder of train.py")
    parser.add_argument("-o", "--out", metavar="NAME.onnx", help="file to write; default: RUN/<painting>.onnx")
    parser.add_argument(
        "--io", default="uint8", choices=("uint8", "float"), help="uint8 [N,H,W,3], or float [N,3,H,W] in [0,1]"
    )
    flags = parser.parse_args(arguments)

    from onestroke.fast.export import export_run
    from onestroke.runtime.session import open_model

    target = export_run(Path(flags.run), Path(flags.out) if flags.out else None, flags.io)
    card = open_model(target, device="cpu").card
    print(f"{target}: {card.parameters} parameters, {target.stat().st_size / 1e6:.2f} MB, at most "
          f"{card.parity['most']:g} of 255 levels from torch (mean {card.parity['mean']:g})")  # fmt: skip
    return 0
