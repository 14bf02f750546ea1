"""The page in a real browser (Debian's chromium), by WebAssembly: what it paints, says, asks for and keeps."""

import io
import shutil
import threading
from urllib.parse import urlsplit

import av
import numpy as np
import pytest
from clips import copied, make_clip
from PIL import Image

from onestroke.inference.stylizer import Stylizer
from onestroke.page import folder, server
from onestroke.samples import scenes

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM, reason="needs chromium")]
FAKE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
WAIT = 120_000


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *FAKE])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    place = tmp_path_factory.mktemp("page") / "site"
    folder.write(place, ["mosaic", "great_wave"])
    with server.open_server(place) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield server.address(running)
        running.shutdown()


@pytest.fixture
def page(browser, address):
    """The page, ready; afterwards: it asked nobody else for anything, and nothing went wrong in it."""
    context = browser.new_context(accept_downloads=True)
    opened, asked, wrong = context.new_page(), [], []
    context.on("request", lambda request: asked.append(request.url))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.goto(f"{address}?device=wasm")
    ready(opened)
    yield opened
    context.close()
    home = urlsplit(address).netloc
    strangers = [url for url in asked if urlsplit(url).scheme in ("http", "https", "ws") and urlsplit(url).netloc != home]
    assert not strangers and not wrong


def ready(page):
    page.wait_for_selector("html[data-ready]", timeout=WAIT)


def give(page, path):
    page.set_input_files("#file", path)


def picture(path, width=400, height=300):
    Image.fromarray(np.ascontiguousarray(scenes.draw(4, max(width, height))[:height, :width])).save(path)
    return path


def saved(page, button="#png"):
    """The picture that the page hands out, and its name."""
    page.wait_for_selector("#progress", state="hidden")
    with page.expect_download(timeout=WAIT) as download:
        page.click(button)
    return Image.open(io.BytesIO(download.value.path().read_bytes())), download.value.suggested_filename


def strength(page, value):
    script = (
        "(value) => { const s = document.getElementById('strength'); s.value = value; s.dispatchEvent(new Event('input')); }"
    )
    page.evaluate(script, value)


def shown(page, path):
    """Give a photo and wait until the page has taken it."""
    give(page, path)
    page.wait_for_function("() => document.getElementById('choose').textContent === 'Another photo'", timeout=WAIT)


def test_a_photo_is_painted_as_by_python_at_each_strength(page, tmp_path):
    path = picture(tmp_path / "hill.png")
    photo = np.asarray(Image.open(path))
    shown(page, path)
    paint, results = Stylizer("mosaic", "cpu"), []
    for value in (0.3, 1.0, 1.3):
        strength(page, str(value))
        image, name = saved(page)
        assert name == "hill-mosaic.png" and image.size == (400, 300)
        results.append(np.asarray(image.convert("RGB")).astype(int))
        assert np.abs(results[-1] - paint(photo, value)).max() <= 2, value
    assert np.abs(results[0] - results[2]).mean() > 5


def test_a_large_photo_keeps_its_size_and_shows_no_seam(page, tmp_path):
    shown(page, picture(tmp_path / "large.png", 2500, 1400))
    image, name = saved(page, "#jpeg")
    assert name == "large-mosaic.jpg" and image.size == (2500, 1400)
    gray = np.asarray(image.convert("L")).astype(float)
    steps = np.abs(np.diff(gray, axis=1)).mean(0)
    for edge in (1024, 2048):  # of the tiles
        around = np.r_[steps[edge - 40 : edge - 4], steps[edge + 4 : edge + 40]]
        assert steps[edge - 1] < around.mean() + 4 * around.std()


def test_a_full_painting_can_be_stopped(page, tmp_path):
    shown(page, picture(tmp_path / "large.png", 2500, 1400))
    page.wait_for_timeout(500)
    page.click("#png")
    page.wait_for_selector("#stop", state="visible")
    page.click("#stop")
    page.wait_for_selector("#progress", state="hidden", timeout=WAIT)
    assert page.is_enabled("#png") and page.is_hidden("#message")


def test_an_ordinary_model_is_taken_in(page, tiny, tmp_path):
    path = picture(tmp_path / "hill.png")
    shown(page, path)
    give(page, tiny)
    page.wait_for_function("() => document.getElementById('title').textContent === 'Dots'", timeout=WAIT)
    image, _ = saved(page)
    wanted = Stylizer(tiny, "cpu")(np.asarray(Image.open(path)))
    assert np.abs(np.asarray(image.convert("RGB")).astype(int) - wanted).max() <= 2


@pytest.mark.parametrize(("name", "said"), [("broken.onnx", "not an ONNX model"), ("broken.jpg", "not a picture")])
def test_a_broken_file_is_one_readable_line(page, tmp_path, name, said):
    (tmp_path / name).write_bytes(b"\xff\xd8\xff nothing that anybody reads")
    give(page, tmp_path / name)
    page.wait_for_selector("#message", state="visible")
    text = page.inner_text("#message")
    assert said in text and name in text and "\n" not in text


def test_it_works_without_a_network_after_the_first_visit(page, tmp_path):
    page.wait_for_function("() => navigator.serviceWorker.controller !== null", timeout=WAIT)
    page.wait_for_function(
        "async () => { for (const n of await caches.keys()) { const c = await caches.open(n);"
        " if (await c.match('./ort/ort.wasm.gz') && (await c.keys()).length > 8) return true; } return false; }",
        timeout=WAIT,
    )
    page.wait_for_timeout(1500)
    page.context.set_offline(True)
    page.reload()
    ready(page)
    shown(page, picture(tmp_path / "hill.png"))
    assert saved(page)[0].size == (400, 300)


def test_the_keyboard_reaches_everything(page):
    page.focus("#handle")
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    assert page.get_attribute("#handle", "aria-valuenow") == "40"
    page.focus(".style[aria-checked=true]")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.getElementById('title').textContent === 'Great wave'")
    assert page.get_attribute(".style:nth-child(2)", "aria-checked") == "true"


def test_the_camera_is_painted_live_and_recorded(page):
    page.click("#camera")
    page.wait_for_function("() => document.getElementById('status').textContent.includes('frames a second')", timeout=WAIT)
    page.click("#record")
    page.wait_for_timeout(2500)
    with page.expect_download(timeout=WAIT) as film:
        page.click("#record")
    assert film.value.suggested_filename.startswith("camera-mosaic.")
    assert film.value.path().stat().st_size > 1000
    page.click("#leave")
    page.wait_for_selector("#live", state="hidden")


def test_a_film_keeps_its_frames_and_its_sound(page, tmp_path):
    clip = tmp_path / "clip.mp4"
    make_clip(clip, [512 * i for i in range(12)], size=(160, 120), sound=True)
    shown(page, clip)
    page.wait_for_selector("#progress", state="hidden")
    with page.expect_download(timeout=WAIT) as film:
        page.click("#png")
    assert film.value.suggested_filename == "clip-mosaic.mp4"
    with av.open(str(film.value.path())) as painted:
        frames = [frame.to_ndarray(format="rgb24") for frame in painted.decode(video=0)]
    assert len(frames) == 12 and frames[0].shape == (120, 160, 3)
    assert [sound for _, sound in copied(film.value.path(), "audio")] == [sound for _, sound in copied(clip, "audio")]
