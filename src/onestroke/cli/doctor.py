"""onestroke doctor: what is installed, which devices work and how fast; add its output to a bug report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from onestroke.cli.flags import Parser
from onestroke.config.devices import DEVICES


def main(arguments: Sequence[str]) -> int:
    """Print it; 1 where something is broken, or where a device that was asked for is not there."""
    parser = Parser("doctor", __doc__)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--device", choices=DEVICES[1:], help="exit with 1 unless this one works")
    flags = parser.read(arguments)

    from onestroke.doctor import examine

    found = examine()
    if flags.device and "missing" in found["devices"][flags.device]:
        found["problems"].append(f"{flags.device}: {found['devices'][flags.device]['missing']}")
    print(json.dumps(found, indent=1) if flags.json else _text(found))
    return 1 if found["problems"] else 0


def _text(found: dict[str, Any]) -> str:
    lines = [f"system     {found['system']}"]
    lines += [f"package    {name} {version or '(not installed)'}" for name, version in found["packages"].items()]
    lines += [f"memory     {found['memory_free_mb']:,} MB free", f"styles     {', '.join(found['styles'])}"]
    lines += [f"encoders   {', '.join(found['encoders'])}", f"pictures   {', '.join(found['pictures'])}"]
    lines += [f"device     {name}: {_device(result)}" for name, result in found["devices"].items()]
    lines += [f"PROBLEM    {problem}" for problem in found["problems"]] or ["all well"]
    return "\n".join(lines)


def _device(result: dict[str, Any]) -> str:
    if "milliseconds" not in result:
        return f"no ({result.get('missing') or result['failed']})"
    return (
        f"{result['milliseconds']} ms for 512x512 in {result['style']}, {result['levels_from_cpu']} of 255 levels from the CPU"
    )
