"""The parser of a verb's flags, whose refusals are one line as all others are, and not a page of usage with a line below."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import NoReturn

from onestroke.errors import ConfigError, shown


class Parser(argparse.ArgumentParser):
    """argparse's, for `onestroke VERB`."""

    def __init__(self, verb: str, description: str | None, epilog: str = "") -> None:
        super().__init__(
            prog=f"onestroke {verb}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def read(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The flags in `arguments`. Raises ConfigError for missing, malformed and unknown ones (with the nearest known)."""
        flags, unknown = self.parse_known_args(arguments)
        if unknown:
            near = difflib.get_close_matches(unknown[0].split("=")[0], self._option_string_actions, n=1)
            raise ConfigError(f"unknown argument {shown(unknown[0])}; {f'did you mean {near[0]}?' if near else self._help()}")
        return flags

    def error(self, message: str) -> NoReturn:
        """What argparse calls where it would exit."""
        raise ConfigError(f"{message}; {self._help()}")

    def _help(self) -> str:
        return f"`{self.prog} --help` tells more"
