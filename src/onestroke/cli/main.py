"""The `onestroke` command: finds the verb, runs it, turns our exceptions into one line and exit code 2."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from collections.abc import Sequence

from PIL import Image

from onestroke.cli.output import Output
from onestroke.errors import OnestrokeError, because

# Pillow warns from here on, and refuses at twice as many. Its own alarm rings at 89 megapixels: panoramas are larger.
MOST_PIXELS = 500_000_000

# verb -> what it does; each lives in the module of its name, imported only when called, so that --help stays instant.
VERBS = {
    "stylize": "paint photos and videos with a trained style",
    "page": "serve a page that paints in the browser, or write it to a folder",
    "styles": "list the bundled styles, or paint a sheet of them",
    "train": "train a network on a painting",
    "export": "write a run's network as .onnx",
    "gatys": "paint one photo by optimizing its pixels",
    "pairs": "make (photo, target) pairs to train on",
    "dream": "raise what a network sees in a picture (DeepDream)",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code (0 done, 1 some files failed, 2 wrong input, 130 Ctrl-C)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given and given[0] in VERBS:
        return run(given[0], given[1:])
    with Output():
        return _about(given)


def _about(given: Sequence[str]) -> int:
    lines = "\n".join(f"  {verb:9} {text}" for verb, text in VERBS.items())
    usage = f"usage: onestroke VERB ...\n\n{lines}\n\n`onestroke VERB --help` tells more."
    if not given or given[0] in ("-h", "--help", "help"):
        print(usage)
        return 0
    if given[0] == "--version":
        from importlib.metadata import version

        print(version("onestroke"))
        return 0
    print(f"onestroke: unknown verb {given[0]!r}; use {', '.join(VERBS)}", file=sys.stderr)
    return 2


def run(verb: str, arguments: Sequence[str]) -> int:
    """Run `verb` with its arguments; returns the exit code."""
    _set_up()
    with Output() as output:
        code = _run(verb, arguments)
    if output.error:
        print(f"onestroke {verb}: standard output cannot be written ({because(output.error)})", file=sys.stderr)
    return code


def _set_up() -> None:
    """What the program may set and a library may not: other packages' alarms and chatter, for the whole process."""
    warnings.filterwarnings("ignore", message="Corrupt EXIF", module="PIL")  # what it costs is said where it matters
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder would write a page to the terminal
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS


def _run(verb: str, arguments: Sequence[str]) -> int:
    try:
        return int(importlib.import_module(f"onestroke.cli.{verb}").main(arguments))
    except OnestrokeError as error:
        print(f"onestroke {verb}: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f'onestroke {verb}: needs the package {error.name!r}; pip install "onestroke[train]"', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nonestroke {verb}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
