"""The page in a real browser (Debian's chromium), by WebAssembly: what it paints, says, asks for and keeps."""

import threading

import av
import numpy as np
import pytest
from browsing import KEPT, WAIT, chosen, give, picture, ready, saved, shown, slide, titled
from clips import copied, make_clip
from PIL import Image

from onestroke.inference.brush import Brush
from onestroke.inference.stylizer import Stylizer
from onestroke.page import folder, server
from onestroke.samples import scenes

pytestmark = pytest.mark.slow

# For the page itself: count how often the painting's canvas gets another size.
COUNT_SIZES = """() => {
  window.sizes = 0;
  new MutationObserver(() => window.sizes++).observe(after, { attributes: true, attributeFilter: ["width", "height"] });
}"""


def test_a_photo_is_painted_as_by_python_at_each_strength(page, tmp_path):
    path = picture(tmp_path / "hill.png")
    photo = np.asarray(Image.open(path))
    shown(page, path)
    paint, results = Stylizer("mosaic", "cpu"), []
    for value in (0.3, 1.0, 1.3):
        slide(page, "strength", value)
        image, name = saved(page)
        assert name == "hill-mosaic.png" and image.size == (400, 300)
        results.append(np.asarray(image.convert("RGB")).astype(int))
        assert np.abs(results[-1] - paint(photo, value)).max() <= 2, value
    assert np.abs(results[0] - results[2]).mean() > 5


def test_the_brush_is_as_large_as_in_python(page, tmp_path):
    path = picture(tmp_path / "hill.png", 1500, 1000)
    photo, paint = np.asarray(Image.open(path)), Stylizer("mosaic", "cpu")
    by_python = {brush: paint(photo, brush=Brush.parse(brush)) for brush in ("480", "960", "native")}
    shown(page, path)
    for place, wanted in ((1, "480 px"), (-9, "native")):
        slide(page, "brush", place)
        assert page.inner_text("#breadth") == wanted
        painted = np.asarray(saved(page)[0].convert("RGB"))
        off = {brush: apart(painted, other) for brush, other in by_python.items()}
        assert off[wanted.removesuffix(" px")] < 0.6 * sorted(off.values())[1], off


def apart(one, other):
    """The mean difference of two pictures at an eighth of their size: the grain of large ones differs."""
    small = [np.asarray(Image.fromarray(each).reduce(8)).astype(int) for each in (one, other)]
    return np.abs(small[0] - small[1]).mean()


def test_each_style_of_a_file_is_there_to_choose(page, both, tmp_path):
    path = picture(tmp_path / "hill.png")
    shown(page, path)
    give(page, both)
    titled(page, "Wave")
    assert page.locator(".style").all_inner_texts()[:2] == ["Wave", "Scream"]
    photo = np.asarray(Image.open(path))
    for name in ("wave", "scream"):
        chosen(page, name.title())
        image, called = saved(page)
        assert called == f"hill-both-{name}.png"
        difference = np.abs(np.asarray(image.convert("RGB")).astype(int) - Stylizer(both, "cpu", style=name)(photo))
        assert difference.max() <= 2


def test_models_of_one_file_name_are_two_styles(browser, waves, tmp_path):
    folder.write(tmp_path / "site", waves)
    with server.open_server(tmp_path / "site") as running, browser.new_context(accept_downloads=True) as context:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        page = context.new_page()
        page.goto(f"{server.address(running)}?device=wasm")
        ready(page)
        assert page.locator(".style").all_inner_texts() == ["A-wave", "50% #b-wave"]
        path = picture(tmp_path / "hill.png")
        shown(page, path)
        for place, model in enumerate(waves):
            page.locator(".style").nth(place).click()
            image, _ = saved(page)
            wanted = Stylizer(model, "cpu")(np.asarray(Image.open(path)))
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - wanted).max() <= 2
        running.shutdown()


def test_a_large_photo_keeps_its_size_and_shows_no_seam(page, tmp_path):
    shown(page, picture(tmp_path / "large.png", 2500, 500))
    image, name = saved(page, "#jpeg")
    assert name == "large-mosaic.jpg" and image.size == (2500, 500)
    gray = np.asarray(image.convert("L")).astype(float)
    steps = np.abs(np.diff(gray, axis=1)).mean(0)
    for edge in (1024, 2048):  # of the tiles
        around = np.r_[steps[edge - 40 : edge - 4], steps[edge + 4 : edge + 40]]
        assert steps[edge - 1] < around.mean() + 4 * around.std()


def test_24_megapixels_are_painted(page, tiny, tmp_path):
    path = tmp_path / "huge.jpg"
    Image.fromarray(scenes.draw(4, 600)[:400]).resize((6000, 4000)).save(path)
    give(page, tiny)
    titled(page, "Dots")
    shown(page, path)
    image, name = saved(page, "#jpeg")
    assert name == "huge-dots.jpg" and image.size == (6000, 4000)
    with Image.open(path) as photo:
        whole = Stylizer(tiny, "cpu")(np.asarray(photo.resize((1500, 1000))))
    assert apart(np.asarray(image.resize((1500, 1000))), whole) < 12


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
    titled(page, "Dots")
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


def test_it_works_without_a_network_after_the_first_visit(new_page, tmp_path):
    page = new_page
    page.wait_for_function(KEPT, timeout=WAIT)
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
    titled(page, "Great wave")
    assert page.get_attribute(".style:has-text('Great wave')", "aria-checked") == "true"


def test_the_camera_is_painted_live_and_recorded(new_page, tmp_path):
    page = new_page
    shown(page, picture(tmp_path / "tall.png", 900, 1200))
    page.click("#camera")  # while the photo is still being painted more finely
    page.wait_for_function("() => document.getElementById('status').textContent.includes('frames a second')", timeout=WAIT)
    page.click("#record")
    page.evaluate(COUNT_SIZES)
    page.wait_for_timeout(2500)
    assert page.evaluate("sizes") == 0
    with page.expect_download(timeout=WAIT) as film:
        page.click("#record")
    assert film.value.suggested_filename.startswith("camera-mosaic.")
    assert film.value.path().stat().st_size > 1000
    page.click("#leave")
    page.wait_for_selector("#live", state="hidden")
    assert page.evaluate("[before.width, before.height]") == [900, 1200]
    page.wait_for_function("() => 4 * after.width === 3 * after.height", timeout=WAIT)


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
