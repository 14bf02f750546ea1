"""The page in Firefox and in a browser of WebKit, Safari's engine (Debian's firefox-esr and webkit2gtk-driver).

xvfb-run uv run --group browsers pytest -m slow tests/page/test_other_browsers.py
"""

import gc
import os
import shutil
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest
from browsing import KEPT, SLIDE, WAIT, picture
from clips import copied, make_clip
from PIL import Image

from onestroke.inference.stylizer import Stylizer
from onestroke.page import folder, server

# What Marionette and Selenium leave open is theirs.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

READY = "return document.documentElement.dataset.ready !== undefined"
TAKEN = "return document.getElementById('choose').textContent === 'Another photo'"
QUIET = "return document.getElementById('progress').hidden"
ANSWERED = """
const done = arguments[arguments.length - 1];
fetch("./icon.svg").then((answer) => done(answer.ok), () => done(false));
setTimeout(() => done(false), 10000);
"""
FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
WEBKIT = next(Path("/usr/lib").glob("*/webkit2gtk-4.1/MiniBrowser"), None)


class Firefox:
    """By Mozilla's own protocol, for which no driver has to be found."""

    def __init__(self, downloads):
        marionette = pytest.importorskip("marionette_driver.marionette")
        if not FIREFOX:
            pytest.skip("needs firefox")
        keep = {"browser.download.folderList": 2, "browser.download.dir": str(downloads)}
        self.at = marionette.Marionette(bin=FIREFOX, headless=True, prefs=keep, gecko_log=str(downloads / "gecko.log"))
        self.at.start_session({"strictFileInteractability": False})
        self.at.timeout.script = WAIT / 1000

    def open(self, address):
        self.at.navigate(address)

    def run(self, script, *values):
        return self.at.execute_script(script, values, sandbox=None)

    def wait_for(self, script):
        return self.at.execute_async_script(script, sandbox=None)

    def give(self, path):
        self.run("document.getElementById('file').hidden = false")
        self.at.find_element("id", "file").send_keys(str(path))

    def close(self):
        self.at.quit()
        self.at.cleanup()


class WebKit:
    def __init__(self, downloads):
        selenium = pytest.importorskip("selenium")
        from selenium.webdriver.webkitgtk import options, service

        if not WEBKIT or not shutil.which("WebKitWebDriver") or not os.environ.get("DISPLAY"):
            pytest.skip("needs webkit2gtk-driver and a display")
        wanted = options.Options()
        wanted.binary_location = str(WEBKIT)
        wanted.add_argument("--automation")
        runs = service.Service(shutil.which("WebKitWebDriver"), env=os.environ | {"HOME": str(downloads)})
        self.at = selenium.webdriver.WebKitGTK(options=wanted, service=runs)
        self.at.set_script_timeout(WAIT / 1000)

    def open(self, address):
        self.at.get(address)

    def run(self, script, *values):
        return self.at.execute_script(script, *values)

    def wait_for(self, script):
        return self.at.execute_async_script(script)

    def give(self, path):
        self.at.find_element("id", "file").send_keys(str(path))

    def close(self):
        self.at.quit()


def until(true, what):
    end = time.monotonic() + WAIT / 1000
    while not (found := true()):
        assert time.monotonic() < end, what
        time.sleep(0.1)
    return found


def saved(browser, downloads, name):
    """What a click on "Save" writes."""
    until(lambda: browser.run(QUIET), "it is busy")
    browser.run("document.getElementById('png').click()")
    path = downloads / name
    until(lambda: path.is_file() and path.stat().st_size and not list(downloads.glob("*.part")), f"no {name}")
    return path


@pytest.fixture(params=[Firefox, WebKit])
def browser(request, tmp_path):
    one = request.param(tmp_path)
    yield one
    one.close()
    del one.at
    gc.collect()


@pytest.fixture
def page(browser, address):
    browser.open(f"{address}?device=wasm")
    until(lambda: browser.run(READY), "the page does not start")
    return browser


def test_a_photo_is_painted_as_by_python_at_each_strength(page, tmp_path):
    path = picture(tmp_path / "hill.png")
    photo, paint = np.asarray(Image.open(path)), Stylizer("mosaic", "cpu")
    page.give(path)
    until(lambda: page.run(TAKEN), "the photo is not taken")
    for value in (0.3, 1.0, 1.3):
        page.run(f"({SLIDE})(arguments)", "strength", str(value))
        made = saved(page, tmp_path, "hill-mosaic.png")
        with Image.open(made) as image:
            assert np.abs(np.asarray(image.convert("RGB")).astype(int) - paint(photo, value)).max() <= 2, value
        made.unlink()


def test_a_film_keeps_its_frames_and_its_sound(page, tmp_path):
    clip = tmp_path / "clip.mp4"
    make_clip(clip, [512 * i for i in range(12)], size=(160, 120), sound=True)
    page.give(clip)
    until(lambda: page.run(TAKEN), "the film is not taken")
    made = saved(page, tmp_path, "clip-mosaic.mp4")
    with av.open(str(made)) as painted:
        assert sum(1 for _ in painted.decode(video=0)) == 12
    assert [sound for _, sound in copied(made, "audio")] == [sound for _, sound in copied(clip, "audio")]


def test_it_starts_each_time_answers_and_works_without_a_network(browser, tmp_path):
    folder.write(tmp_path / "site", ["mosaic"])
    with server.open_server(tmp_path / "site") as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        for visit in range(4):
            browser.open(server.address(running))
            until(lambda: browser.run(READY), f"visit {visit}")
            until(lambda: browser.wait_for(f"({KEPT})().then(arguments[arguments.length - 1])"), "nothing is kept")
            assert browser.wait_for(ANSWERED), f"visit {visit}"
        running.shutdown()
    browser.open(server.address(running))
    until(lambda: browser.run(READY), "without a network")
