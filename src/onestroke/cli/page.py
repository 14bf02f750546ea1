"""onestroke page [MODEL...]: paint in the browser. Serves the page on this computer alone, or writes it to a folder."""

from __future__ import annotations

import tempfile
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from onestroke.cli.flags import Parser
from onestroke.errors import ConfigError

MOST_PORT = 65535


def main(arguments: Sequence[str]) -> int:
    """Parse, then serve until Ctrl-C, or write the folder."""
    parser = Parser("page", __doc__)
    parser.add_argument("models", nargs="*", metavar="model", help=".onnx file or bundled style; default: all bundled styles")
    parser.add_argument("-o", "--out", metavar="DIR", help="write a static folder for any host of files, and end")
    parser.add_argument("--port", type=int, default=0, metavar="N", help="default: a free one")
    parser.add_argument("--no-open", action="store_true", help="do not open a browser")
    parser.add_argument("--overwrite", action="store_true", help="write into a folder that holds other files")
    flags = parser.read(arguments)
    if not 0 <= flags.port <= MOST_PORT:
        raise ConfigError(f"port: {flags.port} is none; use 0 to {MOST_PORT}")

    from onestroke.page.folder import write

    if flags.out:
        names = write(Path(flags.out), flags.models, overwrite=flags.overwrite)
        print(f"{flags.out}: the page with {len(names)} style{'s' * (len(names) > 1)}; any host of files can serve it")
        return 0
    with tempfile.TemporaryDirectory(prefix="onestroke-page-") as folder:
        write(Path(folder), flags.models)
        _serve(Path(folder), flags.port, opened=not flags.no_open)
    return 0


def _serve(folder: Path, port: int, *, opened: bool) -> None:
    from onestroke.page.server import address, open_server

    with open_server(folder, port) as server:
        print(f"{address(server)}  (Ctrl-C ends)", flush=True)
        if opened:
            webbrowser.open(address(server))
        server.serve_forever()
