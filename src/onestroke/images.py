"""Picture files to arrays: turned upright, in sRGB, alpha and metadata kept; and what is done with their pixels."""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageEnhance, ImageOps, UnidentifiedImageError

from onestroke.errors import ImageError, because
from onestroke.files import check_file
from onestroke.memory import free_memory

Array = NDArray[np.uint8]
READABLE = frozenset((".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".avif", ".gif", ".ppm",
                      ".pgm", ".jp2", ".tga", ".heic", ".heif"))  # fmt: skip
# What one picture may be: beyond these no format helps, and a header of a few bytes could claim any number.
MOST_PIXELS, LONGEST = 10**9, 10**6
# Bytes a pixel while a picture is decoded and turned to RGB, and those of one whose values are numbers of 32 bits.
_DECODING, _DECODING_WIDE = 12, 32
# What full_range does at most, and the mean chroma from which on it does nothing.
MORE_LIGHT, MORE_COLOR, DULL = 1.25, 1.3, 60.0
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
    upright = _to_srgb(_to_eight_bits(image), image.info.get("icc_profile"))
    alpha = None
    if "A" in upright.getbands() or "transparency" in upright.info:
        upright = upright.convert("RGBA")
        alpha = np.asarray(upright.getchannel("A"))
    rgb = np.asarray(upright if upright.mode == "RGB" else upright.convert("RGB"))
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
    if image.mode in ("P", "1") or not profile:
        return image
    mode = {"CMYK": "RGB", "L": "RGB", "LAB": "RGB"}.get(image.mode, image.mode)
    if mode not in ("RGB", "RGBA"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, source, target, outputMode=mode) or image
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


def resize(rgb: Array, *, shorter: int | None = None, longer: int | None = None) -> Array:
    """`rgb` [H, W, 3] scaled, aspect kept, so that its shorter or its longer side has the given length in pixels."""
    height, width = rgb.shape[:2]
    scale = shorter / min(height, width) if shorter else (longer or max(height, width)) / max(height, width)
    return resize_to(rgb, max(1, round(height * scale)), max(1, round(width * scale)))


def resize_to(pixels: Array, height: int, width: int) -> Array:
    """`pixels` [H, W, 3] or [H, W] at exactly this size (Lanczos)."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


def center_crop(photo: Array, size: int) -> Array:
    """The central square of a photo, scaled to size x size."""
    side = min(photo.shape[:2])
    return crop(photo, (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2, side, size)


def crop(photo: Array, top: int, left: int, side: int, size: int) -> Array:
    """A square of a photo, scaled to size x size (bicubic)."""
    square = photo[top : top + side, left : left + side]
    if side == size:
        return square
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))


def full_range(painting: Array) -> Array:
    """A dull style image [H, W, 3] as photographers would show it: more of the range of light, and a little more color.

    1 % of the levels is cut at each end, the tone kept; contrast grows at most by MORE_LIGHT, color by MORE_COLOR. A faded
    reproduction so trains no dull network; one whose mean chroma is DULL or more (of 255) stays as it is.
    """
    if float((painting.max(-1).astype(np.int16) - painting.min(-1)).mean()) >= DULL:
        return painting
    image = Image.fromarray(painting)
    low, high = np.percentile(np.asarray(image.convert("L")), [1, 99])
    gain = 255 / max(high - low, 1.0)
    share = min(1.0, (MORE_LIGHT - 1) / max(gain - 1, 1e-6))
    stretched = Image.blend(image, ImageOps.autocontrast(image, cutoff=(1, 1), preserve_tone=True), share)
    return np.asarray(ImageEnhance.Color(stretched).enhance(MORE_COLOR / min(gain, MORE_LIGHT)))


def with_colors_of(photo: Array, stylized: Array) -> Array:
    """Luma (BT.601) of `stylized`, chroma of `photo`, both [H, W, 3]."""
    luma = Image.fromarray(np.ascontiguousarray(stylized)).convert("YCbCr").getchannel(0)
    _, blue, red = Image.fromarray(photo).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (luma, blue, red)).convert("RGB"))
