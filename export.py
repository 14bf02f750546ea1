"""Export a trained run: `python export.py RUN -o NAME.onnx`; the same as `onestroke export`."""

import sys

from onestroke.cli.main import run

if __name__ == "__main__":
    sys.exit(run("export", sys.argv[1:]))
