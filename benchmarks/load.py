"""Load on `onestroke serve` for Locust, which counts requests a second and percentiles:

onestroke serve great_wave --queue 64 &
uvx locust -f benchmarks/load.py --headless -u 16 -r 16 -t 60s -H http://127.0.0.1:8000
"""

import io

import numpy as np
from locust import HttpUser, task  # type: ignore[import-not-found]
from PIL import Image

SIDE = 512
_file = io.BytesIO()
y, x = np.mgrid[0:SIDE, 0:SIDE]
_pixels = np.stack([x // 2, y // 2, 128 + 100 * np.sin(x / 9 + y / 31)], -1) + np.random.default_rng(0).integers(
    0, 9, (SIDE, SIDE, 3)
)
Image.fromarray(_pixels.clip(0, 255).astype(np.uint8)).save(_file, "JPEG", quality=90)


class Painter(HttpUser):  # type: ignore[misc]
    """Sends one photo again and again."""

    @task  # type: ignore[untyped-decorator]
    def paint(self) -> None:
        """A 429 is a right answer too, but counts as a failure here."""
        self.client.post("/stylize?style=great_wave", data=_file.getvalue(), headers={"Content-Type": "image/jpeg"})
