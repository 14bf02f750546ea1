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
    if ((await kept.match("./ort/plain.wasm.gz")) && (await kept.keys()).length > 8) return true;
  }
  return false;
}"""
# What says that a photo was taken in, as it was before that, and no message.
UNSAID = "() => { document.getElementById('choose').textContent = ''; document.getElementById('message').hidden = true; }"
SLIDE = "([id, value]) => { const s = document.getElementById(id); s.value = value; s.dispatchEvent(new Event('input')); }"


def ready(page):
    page.wait_for_selector("html[data-ready]", timeout=WAIT)


def as_at_first(page):
    """The first style, painted as it is, and nothing said."""
    chosen(page, "Mosaic")
    for slider, value in (("strength", 1), ("brush", 0)):
        slide(page, slider, value)
    page.evaluate(UNSAID)


def chosen(page, title):
    """Choose a style, and wait until it is open."""
    page.click(f".style:has-text('{title}')")
    titled(page, title)


def titled(page, title):
    page.wait_for_function(f"() => document.getElementById('title').textContent === '{title}'", timeout=WAIT)


def give(page, path):
    page.set_input_files("#file", path)


def shown(page, path):
    """Give a photo and wait until the page has taken it."""
    page.evaluate(UNSAID)
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
