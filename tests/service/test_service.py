"""The service: paints what the library paints, and refuses the rest with a status that fits, before it costs anything."""

import asyncio
import gc
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi")

import httpx2 as httpx
from fastapi.testclient import TestClient

from onestroke import bundled
from onestroke.cli.main import run
from onestroke.errors import ConfigError
from onestroke.inference.stylizer import Stylizer
from onestroke.page import folder, server
from onestroke.samples.scenes import draw
from onestroke.service.app import create_app
from onestroke.service.batches import Batches
from onestroke.service.limits import Limits, Refused
from onestroke.service.site import Site
from onestroke.service.studio import Order, Studio

STYLE = "great_wave"


def encoded(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(response):
    return np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB"))


@pytest.fixture(scope="module")
def stylizer():
    return Stylizer(STYLE, "cpu")


@pytest.fixture(scope="module")
def photo():
    return draw(3, 128)


@pytest.fixture
def client(stylizer):
    with TestClient(create_app({STYLE: stylizer}, Limits(megabytes=1, megapixels=1))) as client:
        yield client


def test_it_paints_what_the_library_paints(client, stylizer, photo):
    response = client.post(f"/stylize?style={STYLE}&strength=0.7", content=encoded(photo))
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert np.array_equal(decoded(response), stylizer(photo, 0.7))


def test_a_form_is_as_good_as_bytes(client, stylizer, photo):
    response = client.post(f"/stylize?style={STYLE}", files={"picture": ("../../etc/passwd", encoded(photo), "image/png")})
    assert np.array_equal(decoded(response), stylizer(photo))


def test_transparency_is_kept_at_another_size(client, photo):
    clear = np.dstack([photo, np.full(photo.shape[:2], 90, np.uint8)])
    response = client.post(f"/stylize?style={STYLE}&size=64", content=encoded(clear))
    alpha = np.asarray(Image.open(io.BytesIO(response.content)).getchannel("A"))
    assert max(alpha.shape) == 64 and (alpha == 90).all()


def test_size_and_format(client, photo):
    response = client.post(f"/stylize?style={STYLE}&size=64&format=webp", content=encoded(photo, "JPEG"))
    assert response.headers["content-type"] == "image/webp"
    assert max(decoded(response).shape) == 64


@pytest.mark.parametrize(
    ("query", "body", "status", "said"),
    [
        ("style=none", "photo", 422, "unknown 'none'"),
        (f"style={STYLE}&strength=9", "photo", 422, "strength"),
        (f"style={STYLE}&strength=nan", "photo", 422, ""),
        (f"style={STYLE}&size=0", "photo", 422, "size"),
        (f"style={STYLE}&size=90000", "photo", 413, "megapixels"),
        (f"style={STYLE}&format=exe", "photo", 422, "format"),
        ("", "photo", 422, "style"),
        (f"style={STYLE}", b"", 422, "no picture"),
        (f"style={STYLE}", b"#!/bin/sh\n", 415, "not a picture"),
        (f"style={STYLE}", "cut", 422, "damaged"),
        (f"style={STYLE}", "bomb", 413, "4 megapixels"),
        (f"style={STYLE}", bytes(1_000_001), 413, "MB"),
    ],
)
def test_what_cannot_be_painted_is_refused(client, photo, query, body, status, said):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    bodies = {"photo": encoded(photo), "cut": encoded(noise)[:3000], "bomb": encoded(np.zeros((2000, 2000, 3), np.uint8))}
    response = client.post(f"/stylize?{query}", content=bodies.get(body, body) if isinstance(body, str) else body)
    assert response.status_code == status
    assert said in response.text
    assert "Traceback" not in response.text


def test_it_never_opens_what_a_request_names(client, tmp_path, photo):
    (tmp_path / "secret.png").write_bytes(encoded(photo))
    for name in (str(tmp_path / "secret.png"), "file:///etc/passwd", "../great_wave.onnx"):
        assert client.post("/stylize", params={"style": name}, content=encoded(photo)).status_code == 422
        assert client.post("/stylize", params={"style": STYLE}, content=name.encode()).status_code == 415


def test_a_token_is_asked_for(stylizer, photo):
    with TestClient(create_app({STYLE: stylizer}, Limits(), token="s3cret")) as client:
        asked = {"url": f"/stylize?style={STYLE}", "content": encoded(photo)}
        assert client.post(**asked).status_code == 401
        assert client.post(**asked, headers={"Authorization": "Bearer s3crex"}).status_code == 401
        assert client.post(**asked, headers={"Authorization": "Bearer s3cret"}).status_code == 200
        assert client.get("/health").status_code == client.head("/health").status_code == 200


def test_styles_metrics_and_the_api_describe_themselves(client, photo):
    assert client.get("/styles").json()[0]["name"] == STYLE
    client.post(f"/stylize?style={STYLE}", content=encoded(photo))
    assert 'onestroke_answers_total{status="200"}' in client.get("/metrics").text
    assert "/stylize" in client.get("/openapi.json").json()["paths"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    place = tmp_path_factory.mktemp("page") / "site"
    folder.write(place, [STYLE])
    (place.parent / "secret.txt").write_text("not yours")
    return Site(place, server.HEADERS, server.Files.extensions_map)


def test_the_page_is_shown_as_onestroke_page_shows_it_and_asks_for_no_token(stylizer, site):
    with (
        TestClient(create_app({STYLE: stylizer}, Limits(), "s3cret", site)) as client,
        server.open_server(site.directory) as own,
    ):
        threading.Thread(target=own.serve_forever, daemon=True).start()
        paths = [
            "",
            "index.html",
            "sw.js",
            "ort/plain.mjs",
            "ort/plain.wasm.gz",
            "manifest.webmanifest",
            "icon.svg",
            "LICENSES",
        ]
        for path in [*paths, "styles/styles.json", f"styles/{STYLE}.onnx"]:
            shown, wanted = client.get(f"/{path}"), httpx.get(f"{server.address(own)}{path}")
            assert shown.status_code == 200 and shown.content == wanted.content, path
            for name in (*server.HEADERS, "Content-Type"):
                assert shown.headers[name].removesuffix("; charset=utf-8") == wanted.headers[name].removesuffix(
                    "; charset=utf-8"
                )
        own.shutdown()
        assert client.get("/styles").status_code == client.get("/metrics").status_code == 401


def test_nothing_beside_the_page_is_shown_and_the_service_stays_itself(stylizer, site, photo):
    with TestClient(create_app({STYLE: stylizer}, Limits(), site=site)) as client:
        for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/assets/", "/ort", "/none"):
            assert client.get(path).status_code == 404, path
        assert client.get("/styles").json()[0]["name"] == STYLE
        assert client.get("/docs").status_code == client.get("/health").status_code == 200
        assert client.post(f"/stylize?style={STYLE}", content=encoded(photo)).status_code == 200


class Slow:
    """A stylizer that paints nothing until it may."""

    def __init__(self):
        self.may = threading.Event()

    def at_once(self, height, width):
        return 1

    def __call__(self, photo, strength, keep_colors):
        self.may.wait(10)
        return photo


def test_a_full_queue_answers_at_once(photo):
    async def orders():
        slow = Slow()
        studio = Studio({STYLE: slow}, Limits(workers=1, queue=1))
        body = encoded(photo)
        first = [asyncio.create_task(studio.paint(body, Order(STYLE))) for _ in range(2)]
        await asyncio.sleep(0.1)
        with pytest.raises(Refused) as refused:
            await studio.paint(body, Order(STYLE))
        slow.may.set()
        done = await asyncio.gather(*first)
        await asyncio.sleep(0)
        return refused.value.status, len(done), studio.waiting

    assert asyncio.run(orders()) == (429, 2, 0)


def test_what_takes_too_long_is_given_up(photo):
    async def order():
        slow = Slow()
        studio = Studio({STYLE: slow}, Limits(seconds=0.2))
        with pytest.raises(Refused) as refused:
            await studio.paint(encoded(photo), Order(STYLE))
        counted = studio.waiting
        slow.may.set()
        await asyncio.to_thread(studio.close)
        await asyncio.sleep(0)
        return refused.value.status, refused.value.reason, counted, studio.waiting

    assert asyncio.run(order()) == (503, "within 0.2 s it was not painted; send a smaller picture", 1, 0)


def test_what_waits_too_long_behind_others_is_dropped(photo):
    async def orders():
        slow = Slow()
        studio = Studio({STYLE: slow}, Limits(seconds=0.2, workers=1))
        given = await asyncio.gather(*(studio.paint(encoded(photo), Order(STYLE)) for _ in range(2)), return_exceptions=True)
        counted = studio.waiting
        slow.may.set()
        await asyncio.to_thread(studio.close)
        return [error.reason for error in given], counted

    begun, waited = (
        f"within 0.2 s it was not {why}" for why in ("painted; send a smaller picture", "begun; try again in a moment")
    )
    assert asyncio.run(orders()) == ([begun, waited], 1)


class Noting(Stylizer):
    """A stylizer that paints nothing until it may, and notes what it was given."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.may, self.given = threading.Event(), []

    def __call__(self, photo, *how):
        self.given.append((photo.shape, *how))
        self.may.wait(10)
        return super().__call__(photo, *how)


def test_on_a_gpu_pictures_of_one_size_are_painted_together(stylizer, photo):
    """And each as it would be alone. A GPU is imitated: how many are given at once is all that depends on it here."""
    noting = Noting(STYLE, "cpu")
    noting.model.device = "cuda"
    photos, other = [draw(i, 128) for i in range(4)], draw(5, 96)
    orders = [*((one, 1.0) for one in photos), (other, 1.0), (photo, 0.5)]

    async def paint():
        studio = Studio({STYLE: noting}, Limits(queue=16))
        tasks = [asyncio.create_task(studio.paint(encoded(draw(6, 64)), Order(STYLE)))]
        while not noting.given:
            await asyncio.sleep(0.01)
        tasks += [asyncio.create_task(studio.paint(encoded(one), Order(STYLE, strength))) for one, strength in orders]
        while len(studio.batches.waiting) < len(orders):
            await asyncio.sleep(0.01)
        noting.may.set()
        painted = await asyncio.gather(*tasks)
        await asyncio.to_thread(studio.close)
        return [np.asarray(Image.open(io.BytesIO(bytes))) for bytes, _ in painted[1:]]

    painted = asyncio.run(paint())
    assert sorted(noting.given[1:]) == [
        ((4, 128, 128, 3), 1.0, False), ((96, 96, 3), 1.0, False), ((128, 128, 3), 0.5, False)
    ]  # fmt: skip
    for result, (one, strength) in zip(painted, orders, strict=True):
        assert np.array_equal(result, stylizer(one, strength))


def test_what_is_wrong_with_a_batch_is_said_to_each_and_the_next_is_painted(photo):
    class Failing(Slow):
        def at_once(self, height, width):
            return 8

        def __call__(self, photo, strength, keep_colors):
            super().__call__(photo, strength, keep_colors)
            if strength == 9:
                raise ConfigError("strength: 9 is out of range")
            return photo

    async def paint():
        failing = Failing()
        studio = Studio({STYLE: failing}, Limits())
        tasks = [asyncio.create_task(studio.paint(encoded(photo), Order(STYLE, strength))) for strength in (1, 9, 9, 1)]
        await asyncio.sleep(0.1)
        failing.may.set()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(studio.close)
        return [getattr(one, "status", 200) for one in ended]

    assert asyncio.run(paint()) == [200, 422, 422, 200]


def test_a_photo_that_is_refused_takes_no_memory_any_more(stylizer):
    """Nor until garbage is collected: photos of 50 megapixels would add up."""
    batches, photo = Batches(1), draw(3, 128)
    known = weakref.ref(photo)
    gc.disable()
    try:
        batches.paint(stylizer, photo, 9.0, False)
    except ConfigError:
        del photo
    batches.close()
    left = known()
    gc.enable()
    assert left is None


def test_styles_of_one_file_name_are_told_apart(photo, tmp_path, monkeypatch):
    paths, answers = [tmp_path / "a" / "wave.onnx", tmp_path / "b" / "wave.onnx"], {}
    for path, style in zip(paths, ("mosaic", STYLE), strict=True):
        path.parent.mkdir()
        shutil.copy(bundled.path(style), path)

    def ask(server, sockets):
        with TestClient(server.config.app) as client:
            answers["styles"] = [style["name"] for style in client.get("/styles").json()]
            answers["page"] = [style["name"] for style in client.get("/styles/styles.json").json()]
            answers["b-wave"] = decoded(client.post("/stylize?style=b-wave", content=encoded(photo)))

    monkeypatch.setattr("uvicorn.Server.run", ask)
    assert run("serve", [*map(str, paths), "--device", "cpu", "--port", "0"]) == 0
    assert answers["styles"] == answers["page"] == ["a-wave", "b-wave"]
    assert np.array_equal(answers["b-wave"], Stylizer(STYLE, "cpu")(photo))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--workers", "0"], "workers"),
        (["--seconds", "inf"], "seconds: inf is out of range"),
        (["--megabytes", "nan"], "megabytes"),
        (["--queue", "-1"], "queue"),
        (["nothing"], "nothing"),
        (["--port", "99999"], "port"),
        (["--host", "name.invalid"], "host: name.invalid:8000 cannot be listened on"),
        (["--host", "192.0.2.1"], "host: 192.0.2.1:8000 cannot be listened on"),
    ],
)
def test_wrong_flags_end_with_one_line(flags, said, capsys):
    assert run("serve", flags) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGTERM")
def test_many_at_once_slow_ones_too_and_none_lost_at_the_end(tmp_path):
    """64 clients that never finish their requests block nobody; what was accepted before SIGTERM is answered, no file left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "onestroke", "serve", STYLE, "--port", str(port), "--device", "cpu", "--queue", "64"]
    with subprocess.Popen(command, env=os.environ | {"TMPDIR": str(tmp_path)}) as process:
        url, body = f"http://127.0.0.1:{port}", encoded(draw(3, 400))
        try:
            for _ in range(200):
                try:
                    httpx.get(f"{url}/health")
                    assert "onestroke" in httpx.get(url).text
                    break
                except httpx.ConnectError:
                    time.sleep(0.1)
            stalled = [socket.create_connection(("127.0.0.1", port)) for _ in range(64)]
            for one in stalled:
                one.sendall(b"POST /stylize?style=great_wave HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
            with ThreadPoolExecutor(20) as pool:
                asked = [pool.submit(httpx.post, f"{url}/stylize?style={STYLE}", content=body, timeout=60) for _ in range(40)]
                while sum(one.done() for one in asked) < 10:
                    time.sleep(0.01)
                for one in stalled:
                    one.close()
                while sum(one.done() for one in asked) + httpx.get(f"{url}/health").json()["waiting"] < 40:
                    time.sleep(0.01)
                process.send_signal(signal.SIGTERM)
                assert [one.result().status_code for one in asked] == [200] * 40
            assert process.wait(30) == 0
            assert not list(tmp_path.glob("onestroke-*"))
        finally:
            process.kill()
