"""Debian's chromium with the page in it."""

import contextlib
import shutil
import threading
from urllib.parse import urlsplit

import pytest
from browsing import as_at_first, ready

from onestroke import bundled
from onestroke.page import folder, server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FAKE = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="module")
def launch():
    """Opens chromium with further arguments; closes what it opened, and its event loop, which others' tests cannot bear."""
    playwright, opened = pytest.importorskip("playwright.sync_api"), []
    if not CHROMIUM:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as started:

        def one(*arguments):
            opened.append(started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *arguments]))
            return opened[-1]

        yield one
        for browser in opened:
            browser.close()


@pytest.fixture(scope="module")
def browser(launch):
    return launch(*FAKE)


@pytest.fixture(scope="session")
def address(tmp_path_factory):
    place = tmp_path_factory.mktemp("page") / "site"
    folder.write(place, ["mosaic", "great_wave"])
    with server.open_server(place) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield server.address(running)
        running.shutdown()


@contextlib.contextmanager
def visited(browser, address):
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


@pytest.fixture
def new_page(browser, address):
    """The page as a first visit shows it."""
    with visited(browser, address) as opened:
        yield opened


@pytest.fixture(scope="module")
def one_page(browser, address):
    with visited(browser, address) as opened:
        yield opened


@pytest.fixture
def page(one_page):
    """A page that tests share, since opening one takes ten seconds: as at first, but for its photo and its further styles."""
    as_at_first(one_page)
    return one_page


@pytest.fixture
def waves(tmp_path):
    """Two models that are both called wave.onnx, the second in a folder that an address has to escape."""
    paths = [tmp_path / "a" / "wave.onnx", tmp_path / "50% #b" / "wave.onnx"]
    for path, style in zip(paths, ("mosaic", "great_wave"), strict=True):
        path.parent.mkdir()
        shutil.copy(bundled.path(style), path)
    return paths
