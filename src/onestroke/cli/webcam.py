"""onestroke stylize MODEL webcam: the camera, painted live."""

from __future__ import annotations

import time

from rich.console import Console

from onestroke.inference.stylizer import Stylizer
from onestroke.interrupt import Interrupt
from onestroke.jobs.settings import Settings
from onestroke.live.camera import open_camera, open_screen, paint_camera


def main(stylizer: Stylizer, name: str, settings: Settings, console: Console) -> int:
    """Show until Ctrl-C or until the window is closed; returns the exit code."""
    camera = open_camera(name)
    with Interrupt() as interrupt:
        screen = open_screen()
        console.print(f"painting into {screen.place}; Ctrl-C ends", markup=False)
        began = time.monotonic()
        try:
            done = paint_camera(stylizer, camera, screen, settings, lambda _: interrupt.asked)
        finally:
            screen.close()
    console.print(f"{done} frames, {done / max(time.monotonic() - began, 1e-6):.1f} a second", style="dim", markup=False)
    return 0
