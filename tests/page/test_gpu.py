"""The page on WebGPU, by an imitated graphics processor (SwiftShader, which chromium brings)."""

import threading

import numpy as np
import pytest
from browsing import picture, ready, saved, shown, slide

from onestroke.page import folder, server

SWIFTSHADER = ("--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan")

pytestmark = pytest.mark.slow


def test_webgpu_paints_what_webassembly_paints(launch, tiny, tmp_path):
    folder.write(tmp_path / "site", [tiny])
    path = picture(tmp_path / "hill.png", 96, 64)
    page = launch(*SWIFTSHADER).new_context(accept_downloads=True).new_page()
    with server.open_server(tmp_path / "site") as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        painted = {device: by_device(page, f"{server.address(running)}?device={device}", path) for device in ("wasm", "webgpu")}
        running.shutdown()
    assert painted["wasm"][0].startswith("WASM") and painted["webgpu"][0].startswith("WebGPU")
    assert np.abs(painted["wasm"][1] - painted["webgpu"][1]).max() <= 2
    assert painted["wasm"][1].std() > 5


def by_device(page, address, path):
    """What the page says of where it painted, and the picture at two strengths."""
    page.goto(address)
    ready(page)
    shown(page, path)
    pictures = []
    for strength in (0.3, 1):
        slide(page, "strength", strength)
        pictures.append(np.asarray(saved(page)[0].convert("RGB")).astype(int))
    return page.inner_text("#status"), np.stack(pictures)
