"""Where ONNX Runtime computes: the CPU, CUDA, or any other GPU through WebGPU; and, where it cannot, why not and what helps.

Nothing falls back in silence: ONNX Runtime opens a session on the CPU where a GPU's libraries fail, so every session is asked
what it got.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import build_and_package_info

from onestroke.config.devices import CPU, CUDA, DEVICES, WEBGPU
from onestroke.errors import ConfigError, because

_PROVIDER = {CPU: "CPUExecutionProvider", CUDA: "CUDAExecutionProvider", WEBGPU: "WebGpuExecutionProvider"}


@dataclass(frozen=True)
class Opened:
    """A session, the device that it computes on, and, where "auto" would have liked a better one, why it is not that."""

    session: Any
    device: str
    note: str = ""


def open_session(path: Path, device: str = "auto") -> Opened:
    """Open an .onnx file on one of DEVICES; "auto" takes CUDA, else WebGPU, else the CPU.

    Raises ConfigError for a device that is unknown or cannot be had, with its cause and the fix, and what ONNX Runtime
    raises for a file that it cannot read.
    """
    if device not in DEVICES:
        raise ConfigError(f"device: unknown {device!r}; choose from {', '.join(DEVICES)}")
    wanted = (CUDA, WEBGPU) if device == "auto" else () if device == CPU else (device,)
    causes = []
    for gpu in wanted:
        cause = why_not(gpu)
        if not cause and gpu == WEBGPU and device == "auto" and not _webgpu_devices(real=True):
            cause = "only a CPU that plays one"
        session = None if cause else _session(path, gpu)
        if session is not None and _PROVIDER[gpu] in session.get_providers():
            return Opened(session, gpu)
        causes.append(cause or _broken(gpu))
    if device not in ("auto", CPU):
        raise ConfigError(f"device: {device} cannot be had ({causes[0]}); or use --device cpu")
    note = "; ".join(f"{gpu}: {cause}" for gpu, cause in zip(wanted, causes, strict=True))
    return Opened(_session(path, CPU), CPU, note)


def why_not(device: str) -> str:
    """Why a device of DEVICES cannot be had, and what helps; empty where nothing speaks against it yet."""
    return {CUDA: _why_no_cuda, WEBGPU: _why_no_webgpu}.get(device, str)()


def session_options() -> Any:
    """What every session is opened with: silence, and as many threads as OMP_NUM_THREADS says (default: one a core)."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # ONNX Runtime would print what is raised, or said in a note
    options.intra_op_num_threads = asked_threads()
    return options


def asked_threads() -> int:
    """What OMP_NUM_THREADS says (it is set for each of several processes on one machine, by Ray too); 0 for nothing."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return int(threads) if threads.isdecimal() else 0


def _session(path: Path, device: str) -> Any:
    """A session on `device`, or on the CPU where ONNX Runtime thinks better of it."""
    options = session_options()
    if device == WEBGPU:
        options.add_provider_for_devices(_webgpu_devices()[:1], {})
        try:
            return onnxruntime.InferenceSession(str(path), options, enable_fallback=0)
        except Exception as error:  # without a common public base
            if "WebGPU adapter" in str(error) or "webgpu_context" in str(error):
                return _session(path, CPU)
            raise
    if device == CUDA:
        onnxruntime.preload_dlls()  # finds CUDA and cuDNN where pip put them
    providers = [_PROVIDER[device], _PROVIDER[CPU]] if device == CUDA else [_PROVIDER[CPU]]
    return onnxruntime.InferenceSession(str(path), options, providers=providers)


def _why_no_cuda() -> str:
    if _PROVIDER[CUDA] not in onnxruntime.get_available_providers():
        return "this ONNX Runtime is built without CUDA: pip uninstall onnxruntime, then pip install onnxruntime-gpu"
    driver = _driver_version()
    if driver is None:
        return "no NVIDIA GPU with a driver"
    built = getattr(build_and_package_info, "cuda_version", "") or ""
    if built and driver[0] < int(built.split(".")[0]):
        return f"the driver knows CUDA {driver[0]}.{driver[1]}, and this onnxruntime-gpu needs {built}: update the driver"
    return ""


def _driver_version() -> tuple[int, int] | None:
    """The CUDA version that the NVIDIA driver knows; None without a driver that counts a device.

    Asked before ONNX Runtime is, which prints a red warning for CUDA without a GPU.
    """
    for library in ("libcuda.so.1", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(library)
        except OSError:
            continue
        count, version = ctypes.c_int(0), ctypes.c_int(0)
        if driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0:
            driver.cuDriverGetVersion(ctypes.byref(version))
            return version.value // 1000, version.value % 1000 // 10
    return None


def _why_no_webgpu() -> str:
    try:
        found = _webgpu_devices()
    except ModuleNotFoundError:
        return 'not installed: pip install "onestroke[webgpu]"'
    except Exception as error:  # of ONNX Runtime, without a common public base
        return f"its library cannot be loaded ({because(error)}): pip install -U onnxruntime-ep-webgpu"
    return "" if found else "no GPU with a driver (Vulkan, Direct3D 12 or Metal)"


@lru_cache(1)
def _registered() -> str:
    """Register the plugin with ONNX Runtime, once in a process; the provider's name."""
    import onnxruntime_ep_webgpu

    onnxruntime.register_execution_provider_library("webgpu", onnxruntime_ep_webgpu.get_library_path())
    return str(onnxruntime_ep_webgpu.get_ep_name())


def _webgpu_devices(real: bool = False) -> list[Any]:
    """The devices that the plugin offers, GPUs first; `real`: without those that a CPU plays (SwiftShader)."""
    name, gpu = _registered(), onnxruntime.OrtHardwareDeviceType.GPU
    found = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
    return sorted((d for d in found if not real or d.device.type == gpu), key=lambda d: d.device.type != gpu)


def _broken(device: str) -> str:
    """Why ONNX Runtime did not take a device that nothing spoke against."""
    if device == WEBGPU:
        return "the driver offers no adapter: install or update it (Vulkan, Direct3D 12 or Metal)"
    for name in ("libonnxruntime_providers_cuda.so", "onnxruntime_providers_cuda.dll"):
        library = Path(onnxruntime.__file__).parent / "capi" / name
        if library.is_file():
            try:
                ctypes.CDLL(str(library))
            except OSError as error:
                return f"a library of CUDA or cuDNN is missing ({because(error)}): pip install 'onnxruntime-gpu[cuda,cudnn]'"
    return "ONNX Runtime refused the GPU: see `onestroke doctor`"
