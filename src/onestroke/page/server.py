"""Serves a folder to this computer alone."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from onestroke.errors import ConfigError, because

HOST = "127.0.0.1"
# The two Cross-Origin lines let the page use threads; frame-ancestors cannot be said in the page itself.
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Files(SimpleHTTPRequestHandler):
    """The files of one folder, and nothing else: no listings, no links out of it, no request for another host."""

    protocol_version = "HTTP/1.1"
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".webmanifest": "application/manifest+json",
        ".gz": "application/octet-stream",
        ".onnx": "application/octet-stream",
        "": "text/plain; charset=utf-8",
    }

    def send_head(self):  # type: ignore[no-untyped-def]  # noqa: ANN201, D102
        if not self._asked_here():
            self.send_error(HTTPStatus.FORBIDDEN)
            return None
        if not self._inside():
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def end_headers(self) -> None:
        """With the page's own lines."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of every file."""

    def _asked_here(self) -> bool:
        """Whether this computer was meant: a page elsewhere may point a name of its own at 127.0.0.1."""
        name = (self.headers.get("Host") or "").rpartition(":")[0]
        return name in (HOST, "localhost")

    def _inside(self) -> bool:
        """Whether a file of the folder was asked for."""
        root = Path(self.directory).resolve()
        asked = unquote(urlsplit(self.path).path)
        try:
            path = Path(self.translate_path(self.path)).resolve()
        except (OSError, ValueError):  # a null byte
            return False
        if ".." in asked.split("/") or not path.is_relative_to(root):
            return False
        return path.is_file() or (path == root and (root / "index.html").is_file())


def open_server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of `folder` on 127.0.0.1, bound and ready for `serve_forever`; `port` 0 takes a free one.

    Raises ConfigError for a port that is taken or not allowed.
    """
    try:
        return ThreadingHTTPServer((HOST, port), partial(Files, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise ConfigError(f"port: {port} cannot be used ({because(error)}); leave --port out to take a free one") from None


def address(server: ThreadingHTTPServer) -> str:
    """Where a browser finds it."""
    return f"http://{HOST}:{server.server_address[1]}/"
