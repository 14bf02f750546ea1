"""pack.py FILE PACKED.xz: pack a file for the wheel, where another one is packed. onestroke.page.folder unpacks it.

By LZMA: gzip, which browsers read, takes 1.8 times as much of ONNX Runtime.
"""

import lzma
import sys
from pathlib import Path

wanted, packed = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
if not packed.is_file() or lzma.decompress(packed.read_bytes()) != wanted:
    packed.write_bytes(lzma.compress(wanted, preset=9 | lzma.PRESET_EXTREME))
