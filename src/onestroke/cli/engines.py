"""The flags that say where work is done, of every verb that a Ray cluster can do."""

from __future__ import annotations

from argparse import ArgumentParser, _ArgumentGroup


def add_flags(parser: ArgumentParser | _ArgumentGroup, what: str) -> None:
    """--engine and --address. what: what Ray does here, for the help."""
    parser.add_argument("--engine", default="local", choices=("local", "ray"), help=f"ray: {what}")
    parser.add_argument(
        "--address", default="", help="of the cluster; auto: this machine's; default: RAY_ADDRESS, or a new one here"
    )
