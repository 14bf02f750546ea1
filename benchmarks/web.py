"""The page beside Python on this machine, both on the CPU: one painting of a picture, and a whole photo to a JPEG.

    uv run benchmarks/web.py                                     # needs chromium; Debian: apt-get install chromium
    uv run benchmarks/web.py wave.onnx --sizes 512 2000 6000

Pictures are 3:2, sizes their longer sides. Up to PREVIEW pixels the page's own milliseconds of a painting are taken beside
those of Stylizer; beyond, the seconds from a click to the finished file beside painting and encoding. They take turns.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.table import Table

from onestroke.arrays import Array
from onestroke.inference.stylizer import Stylizer
from onestroke.page import folder, server
from onestroke.samples import scenes
from onestroke.saving import encode_image

PREVIEW = 960  # of the page, at rest
WAIT = 600_000  # milliseconds


def main() -> None:
    """Measure, print the table, save JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="great_wave", help=".onnx file or bundled style")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 2000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks/web.json"))
    flags = parser.parse_args()
    with open_page(flags.model) as page:
        rows = [_measure(page, Stylizer(flags.model, "cpu"), size, flags.repeats) for size in flags.sizes]
        runs_on = page.inner_text("#status").partition(" · ")[0]
    flags.out.parent.mkdir(parents=True, exist_ok=True)
    flags.out.write_text(json.dumps({"model": flags.model, "page": runs_on, "rows": rows}, indent=1))
    table = Table("picture", "work", f"page ({runs_on})", "Python", "page / Python", title=flags.model)
    for row in rows:
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else value for value in row.values()))
    Console().print(table)


@contextmanager
def open_page(model: str) -> Iterator[Page]:
    """The page with one style, in chromium without window, by WebAssembly, ready."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        sys.exit("chromium: not found; install it (Debian: apt-get install chromium)")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as started:
        folder.write(Path(place), [model])
        with server.open_server(Path(place)) as running:
            threading.Thread(target=running.serve_forever, daemon=True).start()
            page = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
            page.goto(f"{server.address(running)}?device=wasm")
            page.wait_for_selector("html[data-ready]", timeout=WAIT)
            yield page
            page.context.browser.close()  # type: ignore[union-attr]
            running.shutdown()


def show(page: Page, photo: Array) -> None:
    """Give the page a photo, uint8 [H, W, 3], and wait until it has it, and the strip's pictures of it."""
    with tempfile.TemporaryDirectory() as place:
        Image.fromarray(photo).save(Path(place) / "photo.png")
        page.set_input_files("#file", Path(place) / "photo.png")
        size = f"{photo.shape[1]} × {photo.shape[0]}"  # noqa: RUF001
        page.wait_for_function(f"() => document.getElementById('size').textContent.startsWith('{size}')", timeout=WAIT)
        time.sleep(1)


def milliseconds(page: Page, photo: Array) -> float:
    """What the page says that its shown photo, PREVIEW pixels at most, took to paint just now."""
    size = f"{photo.shape[1]} × {photo.shape[0]}"  # noqa: RUF001
    page.evaluate("""() => {
        document.getElementById('status').textContent = '';
        document.getElementById('strength').dispatchEvent(new Event('input'));
    }""")
    page.wait_for_function(f"() => document.getElementById('status').textContent.endsWith('{size}')", timeout=WAIT)
    return float(re.findall(r"(\d+)\sms", page.inner_text("#status"))[0])


def _measure(page: Page, paint: Stylizer, size: int, repeats: int) -> dict[str, str | float]:
    """One row of the table, its times in seconds."""
    photo = np.asarray(Image.fromarray(scenes.draw(4, 600)[:400]).resize((size, size * 2 // 3)))
    show(page, photo)
    small = size <= PREVIEW
    seconds = []
    for _ in range(repeats):
        if small:
            own = milliseconds(page, photo) / 1000
            began = time.perf_counter()
            paint(photo)
        else:
            own = _to_jpeg(page)
            began = time.perf_counter()
            encode_image(paint(photo), "JPEG")
        seconds.append((own, time.perf_counter() - began))
    ratio = statistics.median(own / python for own, python in seconds)
    page_time, python_time = (statistics.median(times) for times in zip(*seconds, strict=True))
    work = "painting" if small else "to JPEG"
    return {"picture": f"{size}x{size * 2 // 3}", "work": work, "page": page_time, "python": python_time, "ratio": ratio}


def _to_jpeg(page: Page) -> float:
    page.wait_for_selector("#progress", state="hidden")
    began = time.perf_counter()
    with page.expect_download(timeout=WAIT) as download:
        page.click("#jpeg")
    download.value.path()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
