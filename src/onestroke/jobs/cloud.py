"""Folders of object stores (s3://, gs://): listed, files fetched, results put whole. Everything below this sees local files."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import unquote

from onestroke.errors import ConfigError, OnestrokeError, because
from onestroke.files import replacing
from onestroke.jobs.job import Job
from onestroke.media.source import File, Numbered, parse_path

# Stores where an object appears whole or not at all, which cannot be said of all that fsspec reaches.
SCHEMES = ("s3", "gs", "memory")


class Stored(NamedTuple):
    """What lies in a store: its name relative to the place that was asked for, and its bytes."""

    name: str
    size: int


def is_url(text: str) -> bool:
    """Whether it names a place in a store. Raises ConfigError for a URL of another kind."""
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", text)
    if match and match[1] not in SCHEMES:
        raise ConfigError(f"{text}: not a place that can be used; name a local path, or an s3:// or gs:// URL")
    return bool(match)


def as_path(text: str) -> str:
    """A file:// URL as the path that it means; anything else as it is."""
    return unquote(text.removeprefix("file://")) if text.startswith("file:///") else text


def url(path: Path) -> str:
    """The URL that Path(url) was made of: it makes one slash of two."""
    scheme, _, rest = path.as_posix().partition(":/")
    return f"{scheme}://{rest}"


def find(place: str, extensions: Collection[str] = (), hidden: bool = False) -> dict[str, Stored]:
    """The files below a place, or the one that it is, by their URLs, sorted.

    Hidden ones are left out unless asked for, as are names that would lead out of a folder. extensions: only files with
    these, where any are given. What is not there is empty. Raises ConfigError where the place cannot be listed.
    """
    with _failing(place, "listed"):
        store, root = _open(place)
        try:
            listed = store.find(root, detail=True)
        except FileNotFoundError:
            return {}
    scheme = place.partition("://")[0]
    found = {}
    for name in sorted(listed):
        rest = PurePath(name.removeprefix(root.rstrip("/")).lstrip("/") or PurePath(name).name)
        inside = not rest.anchor and ".." not in rest.parts
        shown = hidden or not any(part.startswith(".") for part in rest.parts)
        if inside and shown and (not extensions or rest.suffix.lower() in extensions):
            found[f"{scheme}://{name.lstrip('/')}"] = Stored(rest.as_posix(), listed[name]["size"])
    return found


def check(place: str) -> None:
    """Raise ConfigError where the package for such a place is missing, or its settings are wrong."""
    with _failing(place, "used"):
        _open(place)


def get(place: str, file: Path) -> None:
    """Copy a file from there; it appears whole. Raises ConfigError."""
    with _failing(place, "fetched"), replacing(file) as temporary:
        store, path = _open(place)
        store.get_file(path, str(temporary))


def put(file: Path, place: str) -> None:
    """Copy a local file there; it appears whole. Raises ConfigError."""
    with _failing(place, "written"):
        store, path = _open(place)
        store.put_file(str(file), path)


def remove(place: str) -> None:
    """Remove the file, or all that lies below, where there is any. Raises ConfigError."""
    with _failing(place, "removed"), suppress(FileNotFoundError):
        store, path = _open(place)
        store.rm(path, recursive=True)


@contextmanager
def at_hand(job: Job) -> Iterator[Job]:
    """The job with local files for those in stores: the source fetched, the target's to be put by whoever made it.

    They are gone after the block. Raises OnestrokeError, with the job's own names for those of these files.
    """
    with TemporaryDirectory(prefix="onestroke-") as folder:
        source = _fetched(job, Path(folder, "source")) if job.source_url else job.source
        target = Path(folder, "target", job.target.name) if job.target_url else job.target
        local = replace(job, source=source, target=target, source_url="", target_url="")
        try:
            yield local
        except OnestrokeError as error:
            raise type(error)(as_told(str(error), local, job)) from None


def as_told(text: str, local: Job, job: Job) -> str:
    """A message about the local job with the names of the job that it stands for."""
    for own, name in ((local.source.path, job.source_url), (local.target, job.target_url)):
        text = text.replace(str(own), name) if name else text
    return text


def _fetched(job: Job, folder: Path) -> File | Numbered:
    path = folder / job.source.path.name
    version = _version(job.source_url) if job.is_video else ""  # a request more, for what can be gone on with
    get(job.source_url, path)
    animated = isinstance(job.source, File) and job.source.kind == "animation"
    source = File(path, "animation") if animated else parse_path(path)
    return replace(source, origin=version) if isinstance(source, File) else source


def _version(place: str) -> str:
    """A file there, and which of its versions it is."""
    with _failing(place, "fetched"):
        store, path = _open(place)
        return f"{place} {store.checksum(path)}"


def _open(place: str) -> tuple[Any, str]:
    """The store and the path in it. Raises what its client does."""
    from fsspec.core import url_to_fs

    store, path = url_to_fs(place, use_listings_cache=False)  # others write there as well
    return store, str(path)


@contextmanager
def _failing(place: str, what: str) -> Iterator[None]:
    """Whatever a store's client raises, without a common base, as a ConfigError."""
    try:
        yield
    except ImportError:
        raise ConfigError(f'{place}: needs one more package: pip install "onestroke[cloud]"') from None
    except Exception as error:
        raise ConfigError(f"{place}: cannot be {what} ({because(error) or type(error).__name__})") from None
