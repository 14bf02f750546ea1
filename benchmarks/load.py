"""Load on `onestroke serve` for Locust, which counts requests a second and percentiles:

onestroke serve great_wave --queue 64 &
uv run --with locust locust -f benchmarks/load.py --headless -u 16 -r 16 -t 60s -H http://127.0.0.1:8000

With --server PID, that of `serve`, its memory is printed after 100, 1,000, 5,000 and 10,000 answers. Then, with the requests of
all other users accepted and not yet answered, it is sent SIGTERM, and must answer them: what is lost is counted as a failure.
"""

import time
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import requests
from locust import HttpUser, events, task  # type: ignore[import-not-found]
from locust.exception import StopUser  # type: ignore[import-not-found]
from PIL import Image

MARKS = (100, 1000, 5000, 10_000)


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_flags(parser: Any) -> None:
    """The flags of this file, beside Locust's own."""
    parser.add_argument("--side", type=int, default=512, help="of the picture, in pixels")
    parser.add_argument("--server", type=int, default=0, help="the process that is watched, and ended")


@cache
def photo(side: int) -> bytes:
    """A JPEG of ramps, waves and noise."""
    y, x = np.mgrid[0:side, 0:side] * (512 / side)
    pixels = np.stack([x // 2, y // 2, 128 + 100 * np.sin(x / 9 + y / 31)], -1)
    pixels += np.random.default_rng(0).integers(0, 9, pixels.shape)
    file = BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


class Painter(HttpUser):  # type: ignore[misc]
    """Sends one photo again and again."""

    sent = answered = 0  # of all users
    ending = False

    @task  # type: ignore[untyped-decorator]
    def paint(self) -> None:
        """A 429 is a right answer too, but counts as a failure here."""
        if Painter.ending:
            raise StopUser
        Painter.sent += 1
        body = photo(self.environment.parsed_options.side)
        self.client.post("/stylize?style=great_wave", data=body, headers={"Content-Type": "image/jpeg"})
        Painter.answered += 1
        if self.environment.parsed_options.server:
            self.watch(psutil.Process(self.environment.parsed_options.server))

    def watch(self, server: psutil.Process) -> None:
        """Print the server's memory at each mark; end it at the last one."""
        if Painter.answered in MARKS:
            print(f"{Painter.answered} answers: {server.memory_info().rss / 1e6:.0f} MB", flush=True)
        if Painter.answered == MARKS[-1]:
            Painter.ending = True
            while Painter.answered + requests.get(f"{self.host}/health", timeout=10).json()["waiting"] < Painter.sent:
                time.sleep(0.001)
            print(f"SIGTERM with {Painter.sent - Painter.answered} requests accepted and not answered", flush=True)
            server.terminate()
        if Painter.ending and Painter.answered == Painter.sent:
            self.environment.runner.quit()
