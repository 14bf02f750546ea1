"""Files that the service shows beside its own answers: the page, which the command line hands in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope


class Site(StaticFiles):
    """The files of one folder, its index.html at "/"; no listings, no links out of it.

    headers: sent with each of them. types: media types by extension, before those that the system knows.
    """

    def __init__(self, folder: Path, headers: Mapping[str, str], types: Mapping[str, str]) -> None:
        super().__init__(directory=folder, html=True)
        self._headers, self._types = headers, types

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file, or HTTPException where there is none."""
        response = await super().get_response(path, scope)
        kind = self._types.get(PurePosixPath(path).suffix.lower())
        if kind and path != ".":
            response.headers["Content-Type"] = kind
        response.headers.update(self._headers)
        return response
