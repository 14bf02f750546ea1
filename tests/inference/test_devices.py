"""Devices: what cannot be had is said with its cause, nothing falls back in silence, and WebGPU paints as the CPU does."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from onestroke import bundled
from onestroke.cli.main import run
from onestroke.errors import ConfigError
from onestroke.inference import devices, session
from onestroke.inference.devices import open_session, why_not
from onestroke.inference.session import open_model

STYLE = "great_wave"
SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")


@pytest.mark.parametrize(("asked", "threads"), [("3", 3), ("many", 0), ("", 0)])
def test_threads_are_bounded_where_that_is_asked_for(monkeypatch, asked, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert devices.session_options().intra_op_num_threads == threads


def test_an_unknown_device_is_named():
    with pytest.raises(ConfigError, match="unknown 'tpu'; choose from auto, cpu, cuda, webgpu"):
        open_session(bundled.path(STYLE), "tpu")


def test_cuda_without_a_build_for_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ConfigError, match=r"built without CUDA.*pip install onnxruntime-gpu.*--device cpu"):
        open_model(STYLE, "cuda")


@pytest.mark.parametrize(("driver", "said"), [(None, "no NVIDIA GPU"), ((11, 8), "knows CUDA 11.8, .* needs 13.0: update")])
def test_cuda_without_a_fitting_driver_says_so(monkeypatch, driver, said):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    monkeypatch.setattr(devices, "_driver_version", lambda: driver)
    monkeypatch.setattr(devices.build_and_package_info, "cuda_version", "13.0", raising=False)
    with pytest.raises(ConfigError, match=said):
        open_model(STYLE, "cuda")
    model = open_model(STYLE, "auto")
    assert model.device == "cpu"
    assert "cuda: " in model.note


def test_a_session_that_came_up_on_the_cpu_is_no_gpu(monkeypatch):
    """What ONNX Runtime does where CUDA's libraries are missing: a session on the CPU, and no exception."""
    open_on_cpu = devices._session
    monkeypatch.setattr(devices, "why_not", lambda device: "" if device == "cuda" else "absent")
    monkeypatch.setattr(devices, "_session", lambda path, device: open_on_cpu(path, "cpu"))
    with pytest.raises(ConfigError, match="cuda cannot be had"):
        open_session(bundled.path(STYLE), "cuda")
    opened = open_session(bundled.path(STYLE), "auto")
    assert opened.device == "cpu"
    assert opened.note.startswith("cuda: ")


@pytest.mark.parametrize(("off", "device"), [(4, "cuda"), (5, "cpu")])
def test_a_gpu_that_paints_something_else_is_not_used(monkeypatch, off, device):
    """A broken driver: its picture is `off` levels away from the CPU's."""
    real = session._open

    class Wrong:
        def __init__(self, right):
            self.right = right

        def run(self, names, feed, options=None):
            painted = self.right.run(names, feed)[0]
            return [np.where(painted > 127, painted - off, painted + off).astype(np.uint8)]

    def broken(path, wanted):
        model = real(path, "cpu")
        return model if wanted == "cpu" else replace(model, session=Wrong(model.session), device="cuda")

    monkeypatch.setattr(session, "_open", broken)
    model = open_model(STYLE, "auto")
    assert model.device == device
    assert bool(model.note) == (device == "cpu")


def test_the_command_line_says_what_runs_where(tmp_path, capsys):
    Image.new("RGB", (64, 48), (90, 120, 160)).save(tmp_path / "photo.png")
    assert run("stylize", [STYLE, str(tmp_path / "photo.png"), "-o", str(tmp_path / "x.png"), "--device", "cpu"]) == 0
    assert f"{STYLE} on cpu" in capsys.readouterr().err


def test_the_doctor_finds_the_cpu_in_health(capsys):
    assert run("doctor", ["--json", "--device", "cpu"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["devices"]["cpu"]["levels_from_cpu"] == 0
    assert found["devices"]["cpu"]["milliseconds"] > 0
    assert found["packages"]["onnx"]
    assert found["problems"] == []


def test_the_doctor_fails_for_a_device_that_is_not_there(monkeypatch, capsys):
    monkeypatch.setattr("onestroke.doctor.why_not", lambda device: "" if device == "cpu" else "its driver is gone")
    assert run("doctor", ["--device", "webgpu"]) == 1
    assert "PROBLEM    webgpu: its driver is gone" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(not SWIFTSHADER.is_file(), reason="needs Chromium's SwiftShader")
def test_webgpu_paints_as_the_cpu_does(tmp_path):
    """In a process of its own, with a CPU that plays the GPU."""
    pytest.importorskip("onnxruntime_ep_webgpu")
    program = f"""
import numpy as np
from onestroke.inference.session import open_model
picture = np.random.default_rng(0).integers(0, 256, (1, 72, 96, 3)).astype(np.uint8)
gpu, cpu = open_model({STYLE!r}, "webgpu"), open_model({STYLE!r}, "cpu")
for strength in (0.3, 1.0):
    off = np.abs(gpu.run(picture, strength).astype(int) - cpu.run(picture, strength)).max()
    print(gpu.device, off)
"""
    software = {"ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER": "1", "VK_DRIVER_FILES": str(SWIFTSHADER)}
    software["XDG_RUNTIME_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | software, capture_output=True, text=True, check=False
    )
    if "adapter" in done.stderr and done.returncode:
        pytest.skip("no Vulkan loader for SwiftShader")
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        device, off = line.split()
        assert device == "webgpu"
        assert int(off) <= 1
    assert len(done.stdout.splitlines()) == 2


def test_auto_does_not_take_a_cpu_that_plays_a_gpu(monkeypatch):
    monkeypatch.setattr(devices, "why_not", lambda device: "" if device == "webgpu" else "absent")
    monkeypatch.setattr(devices, "_webgpu_devices", lambda real=False: [] if real else ["SwiftShader"])
    assert open_session(bundled.path(STYLE), "auto").device == "cpu"
    assert why_not("cpu") == ""
