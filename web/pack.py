"""Pack ONNX Runtime's WebAssembly for the wheel, where another one is packed. onestroke.page.folder unpacks it.

The builds are those of vite.config.ts. By LZMA: gzip, which browsers read, takes 1.8 times as much.
"""

import lzma
from pathlib import Path

WEB = Path(__file__).parent
ORT = WEB / "node_modules/onnxruntime-web/dist"
PACKED = WEB.parent / "src/onestroke/page/ort"

for name, build in (("plain", "ort-wasm-simd-threaded"), ("webgpu", "ort-wasm-simd-threaded.asyncify")):
    wasm = (ORT / f"{build}.wasm").read_bytes()
    packed = PACKED / f"{name}.wasm.xz"
    if not packed.is_file() or lzma.decompress(packed.read_bytes()) != wasm:
        packed.write_bytes(lzma.compress(wasm, preset=9 | lzma.PRESET_EXTREME))
