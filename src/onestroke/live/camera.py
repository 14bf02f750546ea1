"""A live camera, painted: shown in a window where OpenCV is installed, on a page of a browser otherwise."""

from __future__ import annotations

import importlib
import io
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import av
import numpy as np
from av.error import FFmpegError
from PIL import Image

from onestroke.arrays import Array, resize
from onestroke.errors import VideoError, because
from onestroke.inference.brush import for_frames
from onestroke.inference.stylizer import Stylizer
from onestroke.inference.temporal import Steady
from onestroke.jobs.settings import Settings

_PAGE = b"<!doctype html><title>onestroke</title><body style='margin:0;background:#111'><img src=/live style='width:100%'>"


class Screen(Protocol):
    """Where painted frames are shown."""

    def show(self, rgb: Array) -> bool:
        """Show [H, W, 3]; False once the user has closed it."""

    def close(self) -> None:
        """Take it away."""


class Window:
    """An OpenCV window; q, escape or closing it ends."""

    place = "a window; q closes it"

    def __init__(self) -> None:
        cv2: Any = importlib.import_module("cv2")
        self._cv2 = cv2
        cv2.namedWindow("onestroke", cv2.WINDOW_NORMAL)  # raises where OpenCV was built without windows

    def show(self, rgb: Array) -> bool:
        """Show [H, W, 3]; False once the user has closed it."""
        self._cv2.imshow("onestroke", np.ascontiguousarray(rgb[..., ::-1]))
        pressed = self._cv2.waitKey(1) & 0xFF
        return pressed not in (ord("q"), 27) and self._cv2.getWindowProperty("onestroke", self._cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Close the window."""
        self._cv2.destroyAllWindows()


class Page:
    """A page with moving JPEGs, for this machine only. `place` is its address."""

    def __init__(self, port: int = 8765) -> None:
        self._fresh = threading.Condition()
        self._jpeg, self._number, self._open = b"", 0, True
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        except OSError:  # taken; any free one will do
            self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.place = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                if self.path != "/live":
                    self.send_header("Content-Type", "text/html")
                    self.end_headers()
                    self.wfile.write(_PAGE)
                    return
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                with suppress(OSError):  # the browser left
                    for jpeg in page.jpegs():
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                        self.wfile.write(head.encode() + jpeg + b"\r\n")

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler

    def jpegs(self) -> Iterator[bytes]:
        """Each new picture as a JPEG; those that come faster than they are taken are left out."""
        seen = 0
        while True:
            with self._fresh:
                self._fresh.wait_for(lambda: self._number != seen or not self._open)  # noqa: B023  # called at once
                if not self._open:
                    return
                jpeg, seen = self._jpeg, self._number
            yield jpeg

    def show(self, rgb: Array) -> bool:
        """Show [H, W, 3]."""
        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, "JPEG", quality=90)
        with self._fresh:
            self._jpeg, self._number = buffer.getvalue(), self._number + 1
            self._fresh.notify_all()
        return True

    def close(self) -> None:
        """Stop serving."""
        with self._fresh:
            self._open = False
            self._fresh.notify_all()
        self._server.shutdown()
        self._server.server_close()


def open_screen() -> Window | Page:
    """A window where OpenCV can make one, else a page."""
    try:
        return Window()
    except Exception:  # not installed, built without windows, or no display; cv2.error has no public base
        return Page()


def open_camera(name: str) -> av.container.InputContainer:
    """The camera of "webcam", "webcam:1", "webcam:NAME" or "webcam:/dev/..". Raises VideoError where it cannot be opened."""
    which = name.partition(":")[2] or "0"
    system = {"darwin": "avfoundation", "win32": "dshow"}.get(sys.platform, "v4l2")
    device = {"avfoundation": which, "dshow": _windows_name(which)}.get(system, _linux_name(which))
    options = {"framerate": "30"} if system == "avfoundation" else {}
    try:
        return av.open(device, format=system, options=options)
    except (FFmpegError, ValueError) as error:
        raise VideoError(f"{name}: no camera there ({device}: {because(error)}); connect one, or try webcam:1") from None


def _linux_name(which: str) -> str:
    return f"/dev/video{which}" if which.isdigit() else which


def _windows_name(which: str) -> str:
    """DirectShow knows cameras by name, not by number."""
    if sys.platform != "win32":
        return which
    from av.device import enumerate_input_devices

    cameras = [device.name for device in enumerate_input_devices("dshow") if "video" in device.media_types]
    return f"video={cameras[int(which)] if which.isdigit() and int(which) < len(cameras) else which}"


def paint_camera(
    stylizer: Stylizer, camera: av.container.InputContainer, screen: Screen, settings: Settings, watch: Callable[[int], bool]
) -> int:
    """Paint what the camera sees until it ends, the screen is closed or `watch`, called with the frames so far, says stop.

    Only the newest picture is painted, so that the screen does not fall behind. Closes the camera. Returns the number of
    painted frames.
    """
    newest: list[Array] = []
    fresh, ended = threading.Event(), threading.Event()

    def see() -> None:
        with suppress(FFmpegError):  # unplugged
            for frame in camera.decode(video=0):
                newest[:] = [frame.to_ndarray(format="rgb24")]  # type: ignore[list-item]  # rgb24 is uint8
                fresh.set()
                if ended.is_set():
                    return
        ended.set()
        fresh.set()

    steady = Steady() if settings.steady else None
    thread = threading.Thread(target=see, daemon=True)
    thread.start()
    done = 0
    while not ended.is_set():
        if not fresh.wait(0.2):  # a camera that shows nothing
            if watch(done):
                break
            continue
        fresh.clear()
        if newest:
            photo = newest[0] if settings.size is None else resize(newest[0], longer=settings.size)
            painted = stylizer(photo, settings.strength, settings.keep_colors, for_frames(settings.brush))
            shown = screen.show(steady(photo, painted) if steady else painted)
            done += 1
            if not shown or watch(done):
                break
    ended.set()
    thread.join(1)
    if not thread.is_alive():  # else it waits for the camera, and closing that would crash
        camera.close()
    return done
