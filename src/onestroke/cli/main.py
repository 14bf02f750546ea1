"""The `onestroke` command: finds the verb, runs it, turns our exceptions into one line and exit code 2."""

from __future__ import annotations

import importlib
import os
import re
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from onestroke.cli.output import Output
from onestroke.errors import ConfigError, OnestrokeError, because, shown
from onestroke.images import MOST_PIXELS
from onestroke.interrupt import Terminated, terminable

# verb -> what it does; each lives in the module of its name, imported only when called, so that --help stays instant.
VERBS = {
    "stylize": "paint photos and videos with a trained style",
    "page": "serve a page that paints in the browser, or write it to a folder",
    "styles": "list the bundled styles, or paint a sheet of them",
    "serve": "paint over HTTP",
    "train": "train a network on a painting",
    "export": "write a run's network as .onnx",
    "gatys": "paint one photo by optimizing its pixels",
    "pairs": "make (photo, target) pairs to train on",
    "doctor": "say what is installed, and test every device",
    "dream": "raise what a network sees in a picture (DeepDream)",
}

# The extra that a verb needs, but for those of the runtime and of training.
EXTRAS = {"serve": "serve"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code (0 done, 1 some files failed, 2 wrong input, 130 Ctrl-C, 143 SIGTERM)."""
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
    with Output() as output, terminable():
        code = _run(verb, arguments)
    if output.error:
        print(f"onestroke {verb}: standard output cannot be written ({because(output.error)})", file=sys.stderr)
    return code


def _set_up() -> None:
    """What the program may set and a library may not: other packages' alarms and chatter, for the whole process."""
    warnings.filterwarnings("ignore", module="PIL")  # of damaged metadata: what it costs is said where it matters
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # images.check_size is the rule here
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder would write a page to the terminal
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2  # Pillow refuses at twice as many; 89 megapixels, its own, a panorama exceeds


def _run(verb: str, arguments: Sequence[str]) -> int:
    try:
        _check(arguments)
        return int(importlib.import_module(f"onestroke.cli.{verb}").main(arguments))
    except OnestrokeError as error:
        print(f"onestroke {verb}: {error}", file=sys.stderr)
        return 2
    except OSError as error:  # a name too long, a folder that may not be looked into, a full disk, wherever it was met
        print(f"onestroke {verb}: {_told(error)}", file=sys.stderr)
        return 2
    except (MemoryError, RuntimeError) as error:
        if not _is_about_memory(error):
            raise
        print(f"onestroke {verb}: too little memory; use a smaller --size or --batch, or smaller pictures", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        known = {"onnxruntime": "onnxruntime-gpu", "ray": '"onestroke[ray]"'}
        package = known.get(error.name or "", f'"onestroke[{EXTRAS.get(verb, "train")}]"')
        print(f"onestroke {verb}: needs the package {error.name!r}; pip install {package}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as error:
        print(f"\nonestroke {verb}: interrupted", file=sys.stderr)
        return 143 if isinstance(error, Terminated) else 130


def _check(arguments: Sequence[str]) -> None:
    """Raise ConfigError for what no verb can mean."""
    for text in arguments:
        if "\0" in text:
            raise ConfigError(f"{shown(text)}: holds a NUL character, which no name may")
        if re.fullmatch(r"--[a-z0-9-]+=--", text):  # argparse takes the -- away and passes on an empty list
            raise ConfigError(f"{text}: -- is no value; write one after the =")
    try:
        Path.cwd()
    except FileNotFoundError:
        raise ConfigError("the folder that you are in was deleted; change to another one") from None


def _told(error: OSError) -> OnestrokeError:
    """What the system says, with the name it says it of."""
    return OnestrokeError(f"{error.filename}: {because(error)}" if error.filename else because(error))


def _is_about_memory(error: Exception) -> bool:
    """torch has no exception of its own for what does not fit the memory of a CPU."""
    return isinstance(error, MemoryError) or any(
        word in str(error) for word in ("allocate", "out of memory", "not enough memory")
    )


if __name__ == "__main__":
    sys.exit(main())
