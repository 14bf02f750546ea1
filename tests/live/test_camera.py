import io
import threading
import urllib.request

import av
import numpy as np
from clips import make_clip, picture
from PIL import Image

from onestroke.cli.main import main as cli
from onestroke.jobs.settings import Settings
from onestroke.live.camera import Page, paint_camera


class Screen:
    def __init__(self):
        self.seen = []

    def show(self, rgb):
        self.seen.append(rgb)
        return len(self.seen) < 3

    def close(self):
        pass


def test_the_newest_picture_is_painted_until_the_screen_is_closed(painter, tmp_path):
    clip = make_clip(tmp_path / "camera.mp4", [512 * i for i in range(2000)])
    screen = Screen()
    assert paint_camera(painter, av.open(str(clip)), screen, Settings(size=24), lambda done: False) == 3
    assert [rgb.shape for rgb in screen.seen] == [(16, 24, 3)] * 3


def test_a_camera_that_shows_nothing_can_be_left(painter):
    class Camera:
        closed = False

        def decode(self, video):
            wait.wait()
            yield from ()

        def close(self):
            self.closed = True

    wait, camera, asked = threading.Event(), Camera(), []
    assert paint_camera(painter, camera, Screen(), Settings(), lambda done: bool(asked.append(done)) or len(asked) > 1) == 0
    assert not camera.closed  # its thread is still in there
    wait.set()


def test_a_page_shows_moving_jpegs():
    page = Page(port=0)
    try:
        with urllib.request.urlopen(page.place, timeout=10) as answer:
            assert b"/live" in answer.read()
        stop = threading.Event()

        def keep_showing():
            while not stop.wait(0.02):
                page.show(picture(0))

        threading.Thread(target=keep_showing, daemon=True).start()
        with urllib.request.urlopen(page.place + "live", timeout=10) as answer:
            for _ in range(2):
                while b"Content-Length" not in (line := answer.readline()):
                    pass
                answer.readline()
                jpeg = answer.read(int(line.split()[1]))
                assert np.abs(np.asarray(Image.open(io.BytesIO(jpeg))).astype(int) - picture(0)).mean() < 12
        stop.set()
    finally:
        page.close()


def test_no_camera_is_one_line(tiny, capfd):
    assert cli(["stylize", str(tiny), "webcam:97"]) == 2
    error = capfd.readouterr().err
    assert "webcam:97: no camera there" in error and "Traceback" not in error
