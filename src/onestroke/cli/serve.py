"""onestroke serve: pictures in, paintings out, over HTTP; and the page, which paints in the browser."""

from __future__ import annotations

import argparse
import errno
import math
import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from onestroke.cli.flags import Parser
from onestroke.config.devices import DEVICES
from onestroke.errors import ConfigError, because

if TYPE_CHECKING:
    from fastapi import FastAPI

    from onestroke.service.site import Site

EXAMPLES = """
  onestroke serve                                      # every bundled style: a page at http://127.0.0.1:8000, the API at /docs
  onestroke serve great_wave my.onnx --port 9000
  curl --data-binary @photo.jpg "http://127.0.0.1:8000/stylize?style=great_wave" -o painted.jpg
"""


def main(arguments: Sequence[str]) -> int:
    """Parse, open the styles, serve until SIGINT or SIGTERM; what is being painted then is finished and sent."""
    parser = Parser("serve", __doc__, EXAMPLES)
    parser.add_argument("styles", nargs="*", metavar="style", help="bundled styles or .onnx files; default: all bundled")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; default: this machine alone")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--device", default="auto", choices=DEVICES)
    parser.add_argument("--megabytes", type=float, default=20, help="largest request; default: 20")
    parser.add_argument("--megapixels", type=float, default=50, help="largest picture; default: 50")
    parser.add_argument(
        "--workers", type=int, default=1, help="painted at once: pictures, on a GPU batches; default: 1, all cores"
    )
    parser.add_argument("--queue", type=int, default=16, help="pictures that may wait; default: 16")
    parser.add_argument("--seconds", type=float, default=60, help="longest time for a picture; default: 60")
    flags = parser.read(arguments)

    for name in ("megabytes", "megapixels", "workers", "seconds"):
        if not 0 < getattr(flags, name) < math.inf:
            raise ConfigError(f"{name}: {getattr(flags, name):g} is out of range; use a number above 0")
    if flags.queue < 0:
        raise ConfigError(f"queue: {flags.queue} is no length; use 0 or more")
    with _bound(flags.host, flags.port) as listener:  # before styles are opened, which takes a while
        _open(flags, listener)
    return 0


def _open(flags: argparse.Namespace, listener: socket.socket) -> None:
    """Open the styles, and serve them."""
    from onestroke import bundled
    from onestroke.inference.stylizer import Stylizer
    from onestroke.service.app import create_app
    from onestroke.service.limits import Limits

    limits = Limits(**{field.name: getattr(flags, field.name) for field in fields(Limits)})
    files = bundled.named(flags.styles or bundled.names())
    stylizers = {name: Stylizer(file, flags.device) for name, file in files.items()}
    token = os.environ.get("ONESTROKE_TOKEN", "")
    if flags.host not in ("127.0.0.1", "localhost", "::1") and not token:
        print("everyone who reaches this address may use it: set ONESTROKE_TOKEN to ask for a token", flush=True)
    _serve(listener, flags.seconds, list(files.values()), lambda site: create_app(stylizers, limits, token, site))


def _serve(listener: socket.socket, seconds: float, files: Sequence[Path], app: Callable[[Site], FastAPI]) -> None:
    """The service, with the page of the same styles beside it, until a signal ends it."""
    import uvicorn

    from onestroke.page import folder, server
    from onestroke.service.site import Site

    with tempfile.TemporaryDirectory(prefix="onestroke-page-") as place:
        folder.write(Path(place), files)
        site = Site(Path(place), server.HEADERS, server.Files.extensions_map)
        config = uvicorn.Config(app(site), log_level="warning", server_header=False, timeout_graceful_shutdown=int(seconds) + 1)
        listener.listen()
        host, port = listener.getsockname()[:2]
        print(f"http://{f'[{host}]' if ':' in host else host}:{port}/  (Ctrl-C ends)", flush=True)
        with suppress(KeyboardInterrupt):  # the signal again, after what it asked for was done
            uvicorn.Server(config).run(sockets=[listener])


def _bound(host: str, port: int) -> socket.socket:
    """A socket with this address. Raises ConfigError where it cannot be had."""
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except (OSError, OverflowError) as error:
        made.close()
        elsewhere = isinstance(error, socket.gaierror) or getattr(error, "errno", 0) == errno.EADDRNOTAVAIL
        name, use = ("host", "an address of this machine") if elsewhere else ("port", "another --port")
        raise ConfigError(f"{name}: {host}:{port} cannot be listened on ({because(error)}); use {use}") from None
    return made
