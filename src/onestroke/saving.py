"""Arrays to picture files, written whole or not at all, with what their photos knew."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image

from onestroke.arrays import Array
from onestroke.errors import ConfigError, ImageError, because
from onestroke.files import replacing
from onestroke.images import Picture

WRITABLE = {
    ".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP",
    ".tif": "TIFF", ".tiff": "TIFF", ".bmp": "BMP", ".avif": "AVIF",
}  # fmt: skip
_WITH_ALPHA = ("PNG", "WEBP", "TIFF", "AVIF")
_WITH_EXIF = ("PNG", "JPEG", "WEBP", "TIFF", "AVIF")
_NAMES = {"exif": "EXIF", "xmp": "XMP", "dpi": "its resolution"}
# Parts of EXIF that libtiff does not write, and warns about.
_SUB_IFDS = {0x8769: "the camera's settings", 0x8825: "its place", 0xA005: "EXIF's interoperability table"}
# Pixels a side that the formats can count.
_LONGEST = {"WEBP": 16_383, "JPEG": 65_500, "GIF": 65_535, "AVIF": 65_535}
_JPEG_SEGMENT = 65_000  # bytes


def save_image(path: str | Path, rgb: Array, like: Picture | None = None, quality: int = 95) -> list[str]:
    """Write `rgb` uint8 [H, W, 3], atomically: a temporary name beside `path`, then a rename.

    `like` lends alpha (flattened over white where the format has none), EXIF, resolution and, for JPEG, WebP and AVIF, XMP.
    Metadata that the format cannot take is left out; returns a line for the user about it. Raises ImageError for an
    unknown extension or a place that cannot be written.
    """
    path = Path(path)
    kind = output_format(path)
    image = _with_alpha(rgb, None if like is None else like.alpha, kind)
    options = _options(kind, quality)
    known, lost = _metadata(like, kind) if like is not None else ({}, [])
    try:
        with replacing(path) as temporary:
            lost += _save(image, temporary, kind, options, known)
    except Exception as error:  # OSError, or whatever Pillow's writers raise
        raise ImageError(f"{path}: cannot be written ({because(error)})") from None
    return [f"{path}: written without {' and '.join(lost)}, which {kind} cannot hold"] if lost else []


def encode_image(rgb: Array, kind: str, like: Picture | None = None, quality: int = 95) -> bytes:
    """`rgb` uint8 [H, W, 3] as the bytes of a file; kind: "PNG", "JPEG", "WEBP", ... Otherwise as save_image.

    Raises ImageError for a picture that the format cannot hold.
    """
    options = _options(kind, quality)
    known = _metadata(like, kind)[0] if like is not None else {}
    buffer = io.BytesIO()
    try:
        _save(_with_alpha(rgb, None if like is None else like.alpha, kind), buffer, kind, options, known)
    except Exception as error:  # whatever Pillow's writers raise
        raise ImageError(f"{rgb.shape[1]}x{rgb.shape[0]} pixels cannot be written as {kind} ({because(error)})") from None
    return buffer.getvalue()


def _options(kind: str, quality: int) -> dict[str, Any]:
    """What Pillow is told of a format."""
    if kind == "TIFF":
        return {"compression": "tiff_adobe_deflate"}
    return {"quality": quality} if kind in ("JPEG", "WEBP", "AVIF") else {}


def _save(
    image: Image.Image, target: Path | io.BytesIO, kind: str, options: dict[str, Any], known: dict[str, Any]
) -> list[str]:
    """Save with as much of the metadata as can be written; returns the names of the rest."""
    lost: list[str] = []
    while True:
        try:
            if isinstance(target, io.BytesIO):  # what a failed attempt left
                target.seek(0)
                target.truncate()
            image.save(target, format=kind, **options, **known)
            return lost
        except OSError:  # the disk, not the metadata
            raise
        except Exception:  # RuntimeError, struct.error, ValueError, OverflowError, ...
            if not known:
                raise
            name = next(key for key in ("exif", "xmp", "dpi") if key in known)
            del known[name]
            lost.append(_NAMES[name])


def _with_alpha(rgb: Array, alpha: Array | None, kind: str) -> Image.Image:
    """With its alpha, or over white where the format has none."""
    image = Image.fromarray(rgb)
    if alpha is None:
        return image
    image.putalpha(Image.fromarray(alpha))
    if kind in _WITH_ALPHA:
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def _metadata(like: Picture, kind: str) -> tuple[dict[str, Any], list[str]]:
    """What a format is told besides the pixels, and the names of what it cannot hold."""
    known = {key: value for key, value in like.info.items() if key == "dpi" or kind in ("JPEG", "WEBP", "AVIF")}
    lost: list[str] = []
    if like.exif and kind in _WITH_EXIF:
        known["exif"] = like.exif
    if kind == "TIFF" and like.exif:
        exif = Image.Exif()
        with suppress(Exception):  # damaged: Pillow raises anything
            exif.load(like.exif)
            lost = [_SUB_IFDS[tag] for tag in _SUB_IFDS if exif.pop(tag, None) is not None]
            known["exif"] = exif.tobytes()
    if kind == "JPEG":  # holds no more in one piece; better without than not at all
        large = [key for key in ("exif", "xmp") if len(known.get(key, b"")) >= _JPEG_SEGMENT]
        lost += [_NAMES[key] for key in large]
        known = {key: value for key, value in known.items() if key not in large}
    return known, lost


def check_sides(path: Path, kind: str, width: int, height: int) -> None:
    """Raise ImageError for a picture too large for its format (Pillow's name): better known before it is painted."""
    most = _LONGEST.get(kind)
    if most and max(width, height) > most:
        raise ImageError(f"{path}: {width} x {height} pixels, and a {kind} holds {most} a side; write a .png, or use --size")


def output_format(path: Path) -> str:
    """Pillow's name for the format of `path`'s extension; ImageError for one that is not written here."""
    kind = WRITABLE.get(path.suffix.lower())
    if kind is None:
        raise ImageError(f"{path}: cannot write {path.suffix or 'a file without extension'}; use {' '.join(WRITABLE)}")
    return kind


def check_output(path: Path, replace: bool) -> None:
    """Raise ImageError for a format that is not written here, ConfigError for a file that exists, unless it may be replaced."""
    output_format(path)
    if path.exists() and not replace:
        raise ConfigError(f"{path}: exists already; add --overwrite to replace it or name another place with -o")
