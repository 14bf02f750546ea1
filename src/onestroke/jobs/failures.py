"""The files of a run that could not be done, as lines of JSON in the folder that it wrote to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from onestroke.config.shard import WHOLE, Shard
from onestroke.errors import ConfigError, because
from onestroke.files import replacing
from onestroke.jobs import cloud
from onestroke.jobs.engine import Done


def write_failures(folder: str, shard: Shard, failed: Sequence[Done]) -> str:
    """Write {"source", "error"} of each to the shard's own file in `folder`, a path or the URL of one in a store, in place of
    what the run before left there; none are no file. Returns its name. Raises ConfigError where it cannot be written.
    """
    name = "failures.jsonl" if shard == WHOLE else f"failures-{shard.index + 1}-of-{shard.count}.jsonl"
    lines = [json.dumps({"source": done.job.reads, "error": _why(done)}) + "\n" for done in failed]
    if cloud.is_url(folder):
        place = f"{folder.rstrip('/')}/{name}"
        _write_in_store(place, lines)
        return place
    path = Path(cloud.as_path(folder), name)
    try:
        if lines:
            with replacing(path) as temporary:
                temporary.write_text("".join(lines), encoding="utf-8")
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({because(error)})") from None
    return str(path)


def _why(done: Done) -> str:
    return str(done.error or (done.report and done.report.stopped))


def _write_in_store(place: str, lines: Sequence[str]) -> None:
    if not lines:
        cloud.remove(place)
        return
    with TemporaryDirectory(prefix="onestroke-") as folder:
        local = Path(folder, "failures.jsonl")
        local.write_text("".join(lines), encoding="utf-8")
        cloud.put(local, place)
