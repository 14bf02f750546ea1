"""What a service allows, and the answers it gives beyond that."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """megabytes: of a request. megapixels: of the picture in it, and of what it becomes. workers: pictures painted at once, on
    a GPU batches of them.

    queue: pictures that may wait beside those. seconds: until a request's bytes must be here, and again until its picture
    must be painted.
    """

    megabytes: float = 20.0
    megapixels: float = 50.0
    workers: int = 1
    queue: int = 16
    seconds: float = 60.0


class Refused(Exception):
    """A request that gets no picture: the status of HTTP, a line that says why, and seconds until it may be tried again."""

    def __init__(self, status: int, reason: str, retry: int = 0) -> None:
        super().__init__(reason)
        self.status, self.reason, self.retry = status, reason, retry
