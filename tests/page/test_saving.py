"""What a saved picture keeps of its photo."""

import io
import struct

import numpy as np
import pytest
from browsing import saved, shown
from PIL import Image, ImageOps

from onestroke.inference.stylizer import Stylizer
from onestroke.samples import scenes

pytestmark = pytest.mark.slow


def photo_of_a_camera(path, thumbnail=b"\xff\xd8 the photo, small \xff\xd9"):
    """A JPEG that lies on its side, with EXIF that says so, a place, and a thumbnail."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x013B] = "Maker", 6, "Somebody"
    exif.get_ifd(0x8825)[1] = "N"
    block = bytearray(exif.tobytes()[6:])
    big = block[:2] == b"MM"
    mark = ">" if big else "<"
    first = struct.unpack_from(mark + "I", block, 4)[0]
    link = first + 2 + 12 * struct.unpack_from(mark + "H", block, first)[0]
    struct.pack_into(mark + "I", block, link, len(block))
    place = len(block) + 2 + 2 * 12 + 4
    block += struct.pack(f"{mark}HHHIIHHIII", 2, 0x0201, 4, 1, place, 0x0202, 4, 1, len(thumbnail), 0) + thumbnail
    scene = np.ascontiguousarray(scenes.draw(4, 400)[:300])
    Image.fromarray(scene).save(path, quality=95, exif=b"Exif\0\0" + bytes(block))
    assert thumbnail in path.read_bytes()
    return path, thumbnail


def test_a_jpeg_keeps_what_its_camera_wrote_but_its_thumbnail(page, tmp_path):
    path, thumbnail = photo_of_a_camera(tmp_path / "lying.jpg")
    shown(page, path)
    image, name = saved(page, "#jpeg")
    with Image.open(path) as lying:
        upright = ImageOps.exif_transpose(lying)
    assert name == "lying-mosaic.jpg" and image.size == upright.size == (300, 400)
    known = image.getexif()
    assert known[0x010F] == "Maker" and known[0x013B] == "Somebody" and known.get_ifd(0x8825)[1] == "N"
    assert known[0x0112] == 1 and thumbnail not in image.fp.getvalue()
    wanted = Stylizer("mosaic", "cpu")(np.asarray(upright))
    assert apart(image, wanted) < 1.2 * apart(as_jpeg(wanted), wanted)


def apart(image, pixels):
    return np.abs(np.asarray(image).astype(int) - pixels).mean()


def as_jpeg(pixels):
    """What JPEG alone makes of it, at the page's quality."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95)
    return Image.open(file)


def test_damaged_exif_is_left_out(page, tmp_path):
    path = tmp_path / "damaged.jpg"
    Image.fromarray(scenes.draw(4, 200)).save(path, exif=b"Exif\0\0MM\0*\0\0\xff\xf0")
    shown(page, path)
    assert not saved(page, "#jpeg")[0].getexif()
    assert page.is_hidden("#message")


def test_transparency_is_kept_in_png_and_white_in_jpeg(page, tmp_path):
    rgb = scenes.draw(4, 240)
    alpha = np.full(rgb.shape[:2], 255, np.uint8)
    alpha[:, :80], alpha[:, 80:120] = 0, 128
    Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "cut.png")
    shown(page, tmp_path / "cut.png")
    image, _ = saved(page)
    assert np.array_equal(np.asarray(image)[..., 3], alpha)
    with Image.open(tmp_path / "cut.png") as cut:
        white = Image.alpha_composite(Image.new("RGBA", cut.size, "white"), cut).convert("RGB")
    wanted = Stylizer("mosaic", "cpu")(np.asarray(white)).astype(int)
    assert np.abs(np.asarray(image)[:, 120:, :3] - wanted[:, 120:]).max() <= 2
    flat, _ = saved(page, "#jpeg")
    assert flat.mode == "RGB" and np.abs(np.asarray(flat).astype(int) - wanted).mean() < 4
