"""Where the service paints: one session a style, a few pictures at once, and a queue of fixed length before them.

On a GPU more threads read and write pictures, so that those of one size can be painted together (batches.py).
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from onestroke.errors import OnestrokeError, because
from onestroke.images import Picture, resized, to_picture
from onestroke.inference.stylizer import Stylizer
from onestroke.saving import encode_image
from onestroke.service.batches import Batches
from onestroke.service.limits import Limits, Refused

# What is decoded, by Pillow's names: the formats of browsers and cameras, and none that reads other files.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF")
KINDS = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP"}


@dataclass(frozen=True)
class Order:
    """What a request asks for. kind: of KINDS, or "" for JPEG from JPEG and PNG from anything else."""

    style: str
    strength: float = 1.0
    size: int | None = None
    keep_colors: bool = False
    kind: str = ""


class Studio:
    """Paints orders in threads. `waiting` counts those that are painted or wait to be."""

    def __init__(self, stylizers: Mapping[str, Stylizer], limits: Limits) -> None:
        self.stylizers, self.limits, self.waiting = stylizers, limits, 0
        self.batches = Batches(limits.workers)
        most = max(stylizer.at_once(1, 1) for stylizer in stylizers.values())
        self._threads = ThreadPoolExecutor(limits.workers * most, "serve")

    async def paint(self, body: bytes, order: Order) -> tuple[bytes, str]:
        """(the painted picture's bytes, their kind). Raises Refused."""
        if self.waiting >= self.limits.workers + self.limits.queue:
            raise Refused(429, f"{self.waiting} pictures are waiting already; try again in a moment", retry=2)
        self.waiting += 1
        job, loop = self._threads.submit(self._paint, body, order), asyncio.get_running_loop()
        job.add_done_callback(lambda _: loop.call_soon_threadsafe(self._left))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job), self.limits.seconds)
        except TimeoutError:  # one that waited is dropped; one that is being painted ends by itself, and counts until then
            why = "begun; try again in a moment" if job.cancelled() else "painted; send a smaller picture"
            within = f"within {self.limits.seconds:g} s"
            raise Refused(503, f"{within} it was not {why}", retry=5) from None

    def close(self) -> None:
        """Finish what is being painted, drop what waits."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.batches.close()

    def _left(self) -> None:
        self.waiting -= 1

    def _paint(self, body: bytes, order: Order) -> tuple[bytes, str]:
        if order.style not in self.stylizers:
            raise Refused(422, f"style: unknown {order.style[:60]!r}; choose from {', '.join(self.stylizers)}")
        picture, found = self._read(body)
        height, width = picture.rgb.shape[:2]
        if order.size:
            larger = (order.size / max(height, width)) ** 2 * height * width
            if larger > self.limits.megapixels * 1e6:
                raise Refused(
                    413, f"size: {order.size} makes {larger / 1e6:.0f} megapixels; at most {self.limits.megapixels:g}"
                )
            picture = resized(picture, order.size)
        try:
            painted = self.batches.paint(self.stylizers[order.style], picture.rgb, order.strength, order.keep_colors)
            kind = KINDS.get(order.kind) or ("JPEG" if found == "JPEG" else "PNG")
            return encode_image(painted, kind, picture), kind
        except OnestrokeError as error:
            raise Refused(422, str(error)) from None
        except MemoryError:
            raise Refused(503, "not enough memory at the moment; send a smaller picture", retry=5) from None

    def _read(self, body: bytes) -> tuple[Picture, str]:
        """The picture and its format; its size is looked at before it is decoded."""
        try:
            with Image.open(io.BytesIO(body), formats=FORMATS) as image:
                found, pixels = str(image.format), image.width * image.height
                if pixels > self.limits.megapixels * 1e6:
                    raise Refused(413, f"{pixels / 1e6:.0f} megapixels; at most {self.limits.megapixels:g}")
                return to_picture(image), found
        except UnidentifiedImageError:
            raise Refused(415, f"not a picture that can be read; send {', '.join(FORMATS)}") from None
        except Refused:
            raise
        except Exception as error:  # Pillow's decoders raise anything
            raise Refused(422, f"a damaged picture ({because(error)})") from None
