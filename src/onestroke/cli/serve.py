"""onestroke serve: pictures in, paintings out, over HTTP; and the page, which paints in the browser."""

from __future__ import annotations

import argparse
import os
import socket
import tempfile
from collections.abc import Callable, Sequence
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

    _check_free(flags.host, flags.port)

    from onestroke import bundled
    from onestroke.inference.stylizer import Stylizer
    from onestroke.service.app import create_app
    from onestroke.service.limits import Limits

    for name in ("megabytes", "megapixels", "workers", "seconds"):
        if not getattr(flags, name) > 0:
            raise ConfigError(f"{name}: {getattr(flags, name):g} is too little; use more than 0")
    if flags.queue < 0:
        raise ConfigError(f"queue: {flags.queue} is no length; use 0 or more")
    limits = Limits(**{field.name: getattr(flags, field.name) for field in fields(Limits)})
    files = bundled.named(flags.styles or bundled.names())
    stylizers = {name: Stylizer(file, flags.device) for name, file in files.items()}
    token = os.environ.get("ONESTROKE_TOKEN", "")
    if flags.host not in ("127.0.0.1", "localhost", "::1") and not token:
        print("everyone who reaches this address may use it: set ONESTROKE_TOKEN to ask for a token", flush=True)
    _serve(flags, list(files.values()), lambda site: create_app(stylizers, limits, token, site))
    return 0


def _serve(flags: argparse.Namespace, files: Sequence[Path], app: Callable[[Site], FastAPI]) -> None:
    """The service, with the page of the same styles beside it, until a signal ends it."""
    import uvicorn

    from onestroke.page import folder, server
    from onestroke.service.site import Site

    with tempfile.TemporaryDirectory(prefix="onestroke-page-") as place:
        folder.write(Path(place), files)
        site = Site(Path(place), server.HEADERS, server.Files.extensions_map)
        uvicorn.run(
            app(site), host=flags.host, port=flags.port, log_level="warning", server_header=False,
            timeout_graceful_shutdown=int(flags.seconds) + 1,
        )  # fmt: skip


def _check_free(host: str, port: int) -> None:
    """Raise ConfigError for an address that cannot be listened on, before styles are opened."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        raise ConfigError(f"port: {host}:{port} cannot be listened on ({because(error)}); use another --port") from None
