"""Train a style: `python train.py PAINTING`; the same as `onestroke train`. `--help` lists every setting."""

import sys

from onestroke.cli.main import run

if __name__ == "__main__":
    sys.exit(run("train", sys.argv[1:]))
