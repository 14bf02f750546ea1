"""Picture files to arrays: turned upright, in sRGB, alpha and metadata kept."""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from onestroke.arrays import Array, resize, resize_to
from onestroke.errors import ImageError, because
from onestroke.files import check_file
from onestroke.memory import free_memory

READABLE = frozenset((".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".gif", ".ppm",
                      ".pgm", ".jp2", ".tga", ".heic", ".heif"))  # fmt: skip
# What one picture may be: beyond these no format helps, and a header of a few bytes could claim any number.
MOST_PIXELS, LONGEST = 10**9, 10**6
# Bytes a pixel while a picture is decoded and turned to RGB, and those of one whose values are numbers of 32 bits.
_DECODING, _DECODING_WIDE = 12, 32
_ORIENTATION = 0x0112
# EXIF fields that describe the stored pixels, which saving describes anew (TIFF would otherwise take the old layout).
_LAYOUT_TAGS = (0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0111, 0x0115, 0x0116, 0x0117, 0x011C, 0x013D, 0x0142, 0x0143,
                0x0144, 0x0145, 0x0152, 0x0153, 0x8773)  # fmt: skip


@dataclass
class Picture:
    """A picture in memory: `rgb` uint8 [H, W, 3] in sRGB, upright; `alpha` uint8 [H, W] or None; what else the file knew."""

    rgb: Array
    alpha: Array | None = None
    exif: bytes = b""
    info: dict[str, Any] = field(default_factory=dict)

    def to_pil(self) -> Image.Image:
        """RGB, or RGBA where there is alpha."""
        image = Image.fromarray(self.rgb)
        if self.alpha is not None:
            image.putalpha(Image.fromarray(self.alpha))
        return image


def resized(picture: Picture, longer: int) -> Picture:
    """The picture with its longer side at so many pixels, alpha and metadata kept."""
    rgb = resize(picture.rgb, longer=longer)
    alpha = None if picture.alpha is None else resize_to(picture.alpha, *rgb.shape[:2])
    return replace(picture, rgb=rgb, alpha=alpha)


def read_image(path: str | Path) -> Picture:
    """Read any file that Pillow reads (the first frame of animations).

    EXIF orientation is applied, an embedded ICC profile converted to sRGB, 16-bit and float grays scaled to 8 bits, CMYK
    and palettes expanded. Raises ImageError naming the file where it is missing, no picture, damaged, or too large for
    the memory that is free.
    """
    if Path(path).suffix.lower() in (".heic", ".heif"):
        _open_heic(path)
    try:
        check_file(path)
        with Image.open(path) as image:
            check_size(*image.size, _DECODING_WIDE if image.mode.startswith(("I", "F")) else _DECODING)
            return to_picture(image)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from None
    except MemoryError:
        raise ImageError(f"{path}: too large for the memory that is free; make it smaller first") from None
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not a picture that can be read") from None
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 10**6
        raise ImageError(f"{path}: larger than {most} megapixels; PIL.Image.MAX_IMAGE_PIXELS sets half the limit") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: a folder, where a picture was expected") from None
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise ImageError(f"{path}: damaged or unreadable ({because(error)})") from None


def check_size(width: int, height: int, bytes_per_pixel: int) -> None:
    """Raise ImageError for a picture that would be too large, or take more memory than is free, before any is taken."""
    if max(width, height) > LONGEST or width * height > MOST_PIXELS:
        raise ImageError(f"{width} x {height} pixels are too many; {LONGEST} a side and {MOST_PIXELS} in all are the most")
    needed, free = width * height * bytes_per_pixel, free_memory()
    if needed > free:
        raise ImageError(
            f"{width} x {height} pixels take {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} are free; make it smaller"
        )


def _open_heic(path: str | Path) -> None:
    """Let Pillow read what iPhones write. Raises ImageError where the package for it is not installed."""
    try:
        importlib.import_module("pillow_heif").register_heif_opener()
    except ImportError:
        raise ImageError(f"{path}: HEIC needs one more package: pip install pillow-heif; or convert it to JPEG") from None


def to_picture(image: Image.Image) -> Picture:
    """An open Pillow image as `read_image` would give it. Raises what Pillow's decoders do; the image may be turned."""
    image.load()
    exif = _upright(image)
    info: dict[str, Any] = {key: image.info[key] for key in ("dpi", "xmp") if key in image.info}  # xmp told a turn too
    for tag in (_ORIENTATION, *_LAYOUT_TAGS):
        exif.pop(tag, None)
    profile = image.info.get("icc_profile")
    image, alpha = _without_alpha(image)
    image = _to_srgb(_to_eight_bits(image), profile)
    rgb = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    return Picture(rgb, alpha, _to_bytes(exif), info)


def _upright(image: Image.Image) -> Image.Exif:
    """Turn the image as its EXIF says, and return that; where it is damaged, the picture stays as it lies."""
    try:
        exif = image.getexif()
        ImageOps.exif_transpose(image, in_place=True)  # a copy would cost four bytes a pixel, as would convert() later
    except Exception:  # Pillow raises anything over a damaged one
        return Image.Exif()
    return exif


def _to_bytes(exif: Image.Exif) -> bytes:
    """It, to be written again; nothing where it is empty or damaged."""
    try:
        return exif.tobytes() if len(exif) else b""
    except Exception:  # as above
        return b""


def _without_alpha(image: Image.Image) -> tuple[Image.Image, Array | None]:
    """The image, its palette expanded, and its alpha [H, W]: a channel, or one transparent color, gray or palette entry."""
    clear = image.info.get("transparency")
    if image.mode.startswith("I") and clear is not None:  # which Pillow does not convert
        return image, np.where(np.asarray(image) == clear, 0, 255).astype(np.uint8)
    if image.mode in ("La", "RGBa"):  # colors multiplied by alpha
        image = image.convert(image.mode.upper())
    if image.mode == "PA" or clear is not None:
        image = image.convert("RGBA")
    if image.mode == "P":
        image = image.convert("RGB")
    if "A" not in image.getbands():
        return image, None
    alpha = np.asarray(image.getchannel("A"))
    return image.convert("L" if image.mode == "LA" else "RGB"), alpha


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float grays to 8 bits: Pillow's own convert clips them to white instead of scaling."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image).astype(np.float64)
    if image.mode.startswith("I;16") or (image.mode == "I" and values.max(initial=0) > 255):
        values = values / 257
    elif image.mode == "F" and values.max(initial=0) <= 1:
        values = values * 255
    return Image.fromarray(np.clip(values + 0.5, 0, 255).astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert through the embedded ICC profile; a broken or unfitting profile counts as none."""
    if not profile or image.mode not in ("RGB", "L", "CMYK", "LAB"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, target, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError):
        return image


def find_images(folder: Path, extensions: Collection[str] = READABLE) -> Iterator[Path]:
    """Every picture file under `folder`, by extension, recursively, hidden ones left out, in a fixed order.

    Links to folders are followed, each folder once. A folder below that may not be looked into is given like a picture, so
    that whoever reads it says why. Raises OSError where `folder` itself may not be.
    """
    seen = {os.path.realpath(folder)}
    for root, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        places = {name: os.path.realpath(Path(root, name)) for name in sorted(folders) if not name.startswith(".")}
        closed = [name for name in places if not os.access(Path(root, name), os.R_OK | os.X_OK)]
        folders[:] = [name for name, place in places.items() if place not in seen and name not in closed]
        seen |= {places[name] for name in folders}
        yield from (Path(root, name) for name in closed)
        for name in sorted(names):
            path = Path(root, name)
            if not name.startswith(".") and path.suffix.lower() in extensions and path.is_file():
                yield path


def _raise(error: OSError) -> None:
    raise error
