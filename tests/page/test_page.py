"""`onestroke page`: the folder that it writes, and the server of this computer alone."""

import http.client
import json
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import closing
from urllib.parse import quote, urlsplit

import onnx
import pytest

from onestroke import bundled
from onestroke.cli.main import main
from onestroke.errors import ConfigError
from onestroke.inference.session import open_model
from onestroke.page import folder, server


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    place = tmp_path_factory.mktemp("page") / "site"
    folder.write(place, ["mosaic"])
    return place


@pytest.fixture
def served(site):
    (site.parent / "secret.txt").write_text("not yours")
    with server.open_server(site) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def ask(served, path, **headers):
    port = served.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers={"Host": f"127.0.0.1:{port}"} | headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def test_the_folder_holds_all_that_the_page_needs(site):
    for name in ("index.html", "sw.js", "manifest.webmanifest", "LICENSES", "ort/plain.mjs", "ort/plain.wasm.gz"):
        assert (site / name).stat().st_size > 0, name
    (listed,) = json.loads((site / "styles/styles.json").read_text())
    assert listed["title"] == "Mosaic" and listed["painting"]
    assert "strength" not in {value.name for value in onnx.load(site / "styles" / listed["file"]).graph.initializer}
    page = (site / "index.html").read_text()
    assert "Content-Security-Policy" in page and "http://" not in page and "https://" not in page


def test_a_file_of_several_styles_is_listed_style_by_style(both, tmp_path):
    assert folder.write(tmp_path, [both, "mosaic"]) == ["both:wave", "both:scream", "mosaic"]
    listed = json.loads((tmp_path / "styles/styles.json").read_text())
    assert [(one["title"], one["file"], one["style"]) for one in listed] == [
        ("Wave", "both.onnx", 0), ("Scream", "both.onnx", 1), ("Mosaic", "mosaic.onnx", 0)
    ]  # fmt: skip


def test_models_of_one_file_name_are_all_there(waves, tmp_path):
    assert main(["page", "-o", str(tmp_path / "site"), *map(str, waves)]) == 0
    listed = json.loads((tmp_path / "site/styles/styles.json").read_text())
    assert [(one["name"], one["title"]) for one in listed] == [("a-wave", "A-wave"), ("50% #b-wave", "50% #b-wave")]
    for entry, path in zip(listed, waves, strict=True):
        written = tmp_path / "site/styles" / entry["file"]
        assert open_model(written, "cpu").card == open_model(path, "cpu").card


def test_models_of_one_file_name_are_all_served(waves):
    command = [sys.executable, "-m", "onestroke", "page", "--no-open", *map(str, waves)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            port = urlsplit(process.stdout.readline().split()[0]).port
            found = []
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                for path in ("styles.json", "a-wave.onnx", quote("50% #b-wave.onnx")):
                    connection.request("GET", f"/styles/{path}")
                    answer = connection.getresponse()
                    assert answer.status == 200
                    found.append(answer.read())
            assert [entry["file"] for entry in json.loads(found[0])] == ["a-wave.onnx", "50% #b-wave.onnx"]
            assert found[1] != found[2]
        finally:
            process.kill()


def test_styles_of_one_title_are_told_apart(both, tmp_path):
    other = tmp_path / "other.onnx"
    shutil.copy(both, other)
    folder.write(tmp_path / "site", [both, other])
    listed = json.loads((tmp_path / "site/styles/styles.json").read_text())
    assert [one["title"] for one in listed] == ["Wave (both)", "Scream (both)", "Wave (other)", "Scream (other)"]


def test_the_licenses_of_what_it_bundles_are_there():
    text = (folder.BUILT / "LICENSES").read_text()
    assert all(word in text for word in ("onnxruntime-web", "mediabunny", "MIT License", "Mozilla Public License"))


def test_all_bundled_styles_are_the_default(tmp_path, capsys):
    assert main(["page", "-o", str(tmp_path / "site")]) == 0
    assert len(list((tmp_path / "site/styles").glob("*.onnx"))) == len(bundled.names())
    assert f"{len(bundled.names())} styles" in capsys.readouterr().out


def test_a_page_is_written_over_a_page_and_over_nothing_else(tmp_path, capsys):
    place = tmp_path / "site"
    (tmp_path / "photo.jpg").write_bytes(b"no model")
    assert main(["page", "-o", str(place), "etching", str(tmp_path / "photo.jpg")]) == 2 and not place.exists()
    for style in ("etching", "mosaic"):
        assert main(["page", "-o", str(place), style]) == 0
    assert [path.name for path in (place / "styles").glob("*.onnx")] == ["mosaic.onnx"]
    (tmp_path / "thesis.txt").write_text("years")
    assert main(["page", "-o", str(tmp_path), "mosaic"]) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing_of_that_name"], "nothing_of_that_name"),
        (["--port", "70000"], "70000"),
        (["--port", "-1"], "-1"),
    ],
)
def test_bad_input_is_one_line(arguments, said, capsys):
    assert main(["page", *arguments, "--no-open"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_port_that_is_taken_is_one_line(site):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port: {port}"):
            server.open_server(site, port)


def test_files_are_served_with_the_lines_that_threads_need(served):
    answer, body = ask(served, "/")
    assert answer.status == 200 and b"onestroke" in body
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    answer, _ = ask(served, "/ort/plain.mjs")
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/javascript"


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "//secret.txt", "/styles/", "/styles", "/none", "/%00"]
)
def test_nothing_else_is_served(served, path):
    answer, body = ask(served, path)
    assert answer.status == 404 and b"not yours" not in body


def test_a_link_out_of_the_folder_is_not_followed(served, site):
    link = site / "link.txt"
    link.symlink_to(site.parent / "secret.txt")
    answer, _ = ask(served, "/link.txt")
    link.unlink()
    assert answer.status == 404


def test_only_this_computer_is_answered(served):
    assert served.server_address[0] == "127.0.0.1"
    answer, _ = ask(served, "/", Host="example.com:80")
    assert answer.status == 403
