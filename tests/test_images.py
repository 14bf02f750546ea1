import io
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms

from onestroke.arrays import resize
from onestroke.errors import ImageError
from onestroke.images import Picture, find_images, read_image
from onestroke.samples.scenes import draw
from onestroke.saving import WRITABLE, save_image

RGB = draw(3, 60)[:40]


def test_exif_turn_is_applied_once(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    picture = read_image(tmp_path / "turned.png")
    assert np.array_equal(picture.rgb, np.rot90(RGB, -1))
    save_image(tmp_path / "out.png", picture.rgb, like=picture)
    with Image.open(tmp_path / "out.png") as out:
        assert out.getexif().get(0x0112, 1) == 1 and out.getexif()[0x010F] == "Camera"


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "bmp", "avif"])
def test_every_format_goes_out_and_in(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    save_image(path, RGB, like=Picture(RGB, info={"dpi": (300, 300)}))
    assert np.abs(read_image(path).rgb.astype(int) - RGB).mean() < (0.01 if suffix in ("png", "tif", "bmp") else 4)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_alpha_is_kept_or_laid_on_white(tmp_path):
    alpha = np.zeros(RGB.shape[:2], np.uint8)
    alpha[:20] = 255
    picture = Picture(RGB, alpha)
    save_image(tmp_path / "a.png", RGB, like=picture)
    assert np.array_equal(read_image(tmp_path / "a.png").alpha, alpha)
    save_image(tmp_path / "a.bmp", RGB, like=picture)
    assert (read_image(tmp_path / "a.bmp").rgb[20:] == 255).all()


def test_sixteen_bit_grays_are_scaled_not_clipped(tmp_path):
    Image.fromarray(np.array([[0, 32896, 65535]], np.uint16)).save(tmp_path / "g.png")
    assert read_image(tmp_path / "g.png").rgb[0, :, 0].tolist() == [0, 128, 255]


def test_palette_with_transparency_and_cmyk(tmp_path):
    Image.fromarray(RGB).quantize(16).save(tmp_path / "p.png", transparency=0)
    assert read_image(tmp_path / "p.png").alpha is not None
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "c.jpg")
    red = read_image(tmp_path / "c.jpg").rgb[4, 4].astype(int)
    assert red[0] > 200 and red[1] < 60


def test_an_icc_profile_is_converted(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    Image.fromarray(RGB).save(tmp_path / "s.png", icc_profile=lab.tobytes())
    assert np.abs(read_image(tmp_path / "s.png").rgb.astype(int) - RGB).max() <= 1
    Image.fromarray(RGB).save(tmp_path / "broken.png", icc_profile=b"no profile")
    assert np.array_equal(read_image(tmp_path / "broken.png").rgb, RGB)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_profile_is_followed_in_every_mode(tmp_path, mode):
    """One that calls red what others call green."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
    Image.new("RGB", (4, 4), (255, 0, 0)).convert(mode).save(tmp_path / "a.png", icc_profile=swapped)
    assert np.abs(read_image(tmp_path / "a.png").rgb[0, 0].astype(int) - (0, 255, 0)).max() <= 2


@pytest.mark.parametrize("profile", [False, True])
@pytest.mark.parametrize(
    ("mode", "clear", "values"),
    [
        ("RGB", (10, 20, 30), [(10, 20, 30), (10, 20, 31)]),
        ("L", 7, [7, 8]),
        ("I;16", 30000, [30000, 30001]),
    ],
)
def test_one_color_may_be_transparent(tmp_path, profile, mode, clear, values):
    picture = np.array([values], np.uint16 if mode == "I;16" else np.uint8)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() if profile else None
    Image.fromarray(picture).save(tmp_path / "a.png", transparency=clear, icc_profile=icc)
    assert read_image(tmp_path / "a.png").alpha.tolist() == [[0, 255]]


def test_bad_files_are_named(tmp_path):
    (tmp_path / "text.jpg").write_text("hello")
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "PNG")
    (tmp_path / "cut.png").write_bytes(buffer.getvalue()[:400])
    for name, message in {"text.jpg": "not a picture", "cut.png": "damaged", "gone.png": "no such file", ".": "folder"}.items():
        with pytest.raises(ImageError, match=message) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    save_image(tmp_path / "x.png", RGB)
    before = (tmp_path / "x.png").read_bytes()

    def full_disk(self, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full_disk)
    with pytest.raises(ImageError, match="No space left"):
        save_image(tmp_path / "x.png", RGB[::-1])
    assert (tmp_path / "x.png").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_unknown_extension_lists_the_known(tmp_path):
    with pytest.raises(ImageError, match=r"cannot write \.xyz; use \.png"):
        save_image(tmp_path / "a.xyz", RGB)


def test_folders_are_searched_in_order_without_hidden_files(tmp_path):
    for name in ("b.jpg", "a/2.PNG", "a/1.webp", ".hidden/x.jpg", ".x.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(p.relative_to(tmp_path)) for p in find_images(tmp_path)] == ["b.jpg", "a/1.webp", "a/2.PNG"]


def test_resize_keeps_the_aspect():
    assert resize(RGB, longer=30).shape == (20, 30, 3)
    assert resize(RGB, shorter=80).shape == (80, 120, 3)
    assert resize(np.zeros((40, 12000, 3), np.uint8), longer=100).shape == (1, 100, 3)


def test_a_turn_that_xmp_tells_too_is_applied_once(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF tiff:Orientation="6"></rdf:RDF></x:xmpmeta>'
    Image.fromarray(RGB).save(tmp_path / "turned.jpg", exif=exif, xmp=xmp)
    picture = read_image(tmp_path / "turned.jpg")
    save_image(tmp_path / "out.jpg", picture.rgb, like=picture)
    assert read_image(tmp_path / "out.jpg").rgb.shape == picture.rgb.shape == (60, 40, 3)
    assert b"xmpmeta" in picture.info["xmp"]


def test_what_a_jpeg_cannot_hold_is_left_out(tmp_path):
    save_image(tmp_path / "x.jpg", RGB, like=Picture(RGB, exif=b"", info={"xmp": b"<" * 70_000, "dpi": (300, 300)}))
    with Image.open(tmp_path / "x.jpg") as made:
        assert made.info["dpi"] == (300, 300) and "xmp" not in made.info


def test_links_in_circles_are_walked_once(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    (tmp_path / "self").symlink_to(tmp_path, target_is_directory=True)
    assert list(find_images(tmp_path)) == [tmp_path / "a.png"]


def test_heic_is_read(tmp_path, monkeypatch):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(RGB)).save(tmp_path / "phone.heic", quality=95)
    assert np.abs(read_image(tmp_path / "phone.heic").rgb.astype(int) - RGB).mean() < 6
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match="pip install pillow-heif"):
        read_image(tmp_path / "phone.heic")


def camera_exif():
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    exif.get_ifd(0x8825)[1] = "N"
    return exif


def test_a_tiff_of_a_camera_keeps_what_it_can_hold(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "camera.jpg", exif=camera_exif())
    picture = read_image(tmp_path / "camera.jpg")
    assert save_image(tmp_path / "out.jpg", RGB, like=picture) == []
    (note,) = save_image(tmp_path / "out.tif", RGB, like=picture)
    assert "settings" in note and "place" in note and "TIFF" in note
    with Image.open(tmp_path / "out.tif") as made:
        assert made.getexif()[0x010F] == "Camera"
    with Image.open(tmp_path / "out.jpg") as made:
        assert made.getexif().get_ifd(0x8825)[1] == "N"


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("suffix", sorted(WRITABLE))
@pytest.mark.parametrize(
    "like",
    [
        Picture(RGB, info={"dpi": (2**32 - 1, 2**32 - 1)}),
        Picture(RGB, info={"dpi": (float("inf"), 1)}),
        Picture(RGB, exif=b"garbage"),
        Picture(RGB, exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x99\0\xff\xff\xff\x7f\0\0\0\0"),
    ],
)
def test_no_metadata_costs_the_picture(like, suffix, tmp_path):
    save_image(tmp_path / f"x{suffix}", RGB, like=like)
    assert read_image(tmp_path / f"x{suffix}").rgb.shape == RGB.shape


def test_a_resolution_in_an_unknown_unit_is_read(tmp_path):
    exif = Image.Exif()
    exif[0x0128], exif[0x011A] = 7, 72.0
    Image.fromarray(RGB).save(tmp_path / "x.jpg", exif=exif)
    picture = read_image(tmp_path / "x.jpg")
    for suffix in WRITABLE:
        save_image(tmp_path / f"out{suffix}", RGB, like=picture)


SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
@given(data=st.data())
def test_lossless_formats_give_back_every_pixel(suffix, data, tmp_path_factory):
    height, width = data.draw(SIDES)
    rgb = data.draw(arrays(np.uint8, (height, width, 3)))
    alpha = data.draw(st.none() | arrays(np.uint8, (height, width))) if suffix != ".bmp" else None
    path = tmp_path_factory.mktemp("picture") / f"a{suffix}"
    save_image(path, rgb, like=Picture(rgb, alpha))
    found = read_image(path)
    assert np.array_equal(found.rgb, rgb)
    assert (alpha is None and found.alpha is None) or np.array_equal(found.alpha, alpha)


@given(data=st.data())
def test_a_lossless_webp_is_read_as_it_is(data, tmp_path_factory):
    height, width = data.draw(SIDES)
    rgb = data.draw(arrays(np.uint8, (height, width, 3)))
    path = tmp_path_factory.mktemp("picture") / "a.webp"
    Image.fromarray(rgb).save(path, lossless=True)
    assert np.array_equal(read_image(path).rgb, rgb)
