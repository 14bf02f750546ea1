"""What the tests of the page do in it."""

import io

import numpy as np
from PIL import Image

from onestroke.samples import scenes

WAIT = 120_000
# For the page itself: whether the service worker has kept it, and how a slider moves.
KEPT = """async () => {
  for (const name of await caches.keys()) {
    const kept = await caches.open(name);
    if ((await kept.match("./ort/ort.wasm.gz")) && (await kept.keys()).length > 8) return true;
  }
  return false;
}"""
SLIDE = "([id, value]) => { const s = document.getElementById(id); s.value = value; s.dispatchEvent(new Event('input')); }"


def ready(page):
    page.wait_for_selector("html[data-ready]", timeout=WAIT)


def give(page, path):
    page.set_input_files("#file", path)


def shown(page, path):
    """Give a photo and wait until the page has taken it."""
    give(page, path)
    page.wait_for_function("() => document.getElementById('choose').textContent === 'Another photo'", timeout=WAIT)


def picture(path, width=400, height=300):
    Image.fromarray(np.ascontiguousarray(scenes.draw(4, max(width, height))[:height, :width])).save(path)
    return path


def saved(page, button="#png"):
    """The picture that the page hands out, and its name."""
    page.wait_for_selector("#progress", state="hidden")
    with page.expect_download(timeout=WAIT) as download:
        page.click(button)
    return Image.open(io.BytesIO(download.value.path().read_bytes())), download.value.suggested_filename


def slide(page, slider, value):
    page.evaluate(SLIDE, [slider, str(value)])
