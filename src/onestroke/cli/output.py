"""Standard output that may be closed, full, or unable to show every letter, without ending the work."""

from __future__ import annotations

import io
import os
import sys
from types import TracebackType
from typing import Any


class Output:
    """A context in which what cannot be printed is not an error: the work goes on, `error` says afterwards what was lost.

    A reader that left (`| head`) lost nothing that it wanted. Letters that the terminal's encoding lacks are escaped; names
    of files that are no valid UTF-8 go out as they came in.
    """

    def __init__(self) -> None:
        self.error: OSError | None = None
        self._stream: Any = None

    def __enter__(self) -> Output:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                known = stream.encoding.lower().replace("-", "") == "utf8"
                stream.reconfigure(errors="surrogateescape" if known else "backslashreplace")
        if isinstance(sys.stdout, io.TextIOWrapper):
            self._stream = sys.stdout
            sys.stdout = self
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.flush()
        if self._stream:
            sys.stdout = self._stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As a text stream does."""
        try:
            return int(self._stream.write(text))
        except OSError as error:
            self._give_up(error)
            return len(text)

    def flush(self) -> None:
        """As a text stream does."""
        try:
            if self._stream:
                self._stream.flush()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        """Let the rest go nowhere, Python's own flush at exit included."""
        if not isinstance(error, BrokenPipeError):
            self.error = error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
