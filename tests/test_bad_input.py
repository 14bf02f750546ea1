"""What is wrong with a file is said in one line, with exit code 2, and nothing is written."""

import io
import os
import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image, ImageCms

from onestroke.bundled import path as bundled
from onestroke.cli.main import main

STYLE = "brushwork"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def photo(folder):
    Image.new("RGB", (40, 30), "teal").save(folder / "photo.png")
    return "photo.png"


def files():
    return {path for path in Path().rglob("*") if path.is_file() or path.is_symlink()}


@pytest.fixture
def refused(folder, capsys):
    """A function that runs a command, which must be refused, and returns the line that says why."""

    def run(*arguments):
        before = files()
        assert main([str(argument) for argument in arguments]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if not line.endswith(" on cpu")]
        assert len(lines) == 1 and len(lines[0]) < 1000, lines
        assert files() == before
        return lines[0]

    return run


def png(width, height, data=b"", kind=2):
    """A PNG whose header promises what its data does not hold."""

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def gif(width, height):
    size = struct.pack("<HH", width, height)
    return b"GIF89a" + size + b"\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0" + size + b"\0\x02\x02D\x01\0;"


def jpeg(folder):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(folder / "whole.jpg")
    return (folder / "whole.jpg").read_bytes()


PICTURES = {
    "empty.png": b"",
    "zeros.png": bytes(500),
    "text.jpg": b"no picture at all\n" * 20,
    "text.txt": b"some lines of text, which FFmpeg would draw\n" * 200,
    "huge.png": png(50_000, 50_000),
    "long.png": png(1, 15_800_000, kind=0),
    "huge.gif": gif(65_535, 15_000),
    "short.png": png(100, 100, bytes(100)),
    "not_a.heic": b"\0\0\0\x18ftypheic" + bytes(40),
    "list.mkv": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nphoto.ts\n#EXT-X-ENDLIST\n",
    "two\nlines \x1b[31m\u732b.png": b"",
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_that_are_none(name, folder, refused):
    (folder / name).write_bytes(PICTURES[name])
    said = refused("stylize", STYLE, name, "--device", "cpu")
    assert name.split("\n")[0] in said and "\x1b" not in said


def test_an_animation_that_announces_what_it_cannot_hold(folder, refused):
    frames = [Image.new("RGB", (32, 24), (60 * i, 0, 0)) for i in range(3)]
    frames[0].save(held := io.BytesIO(), "PNG", save_all=True, append_images=frames[1:])
    place = held.getvalue().index(b"acTL")
    control = b"acTL" + struct.pack(">II", 16_776_963, 0)
    data = held.getvalue()[:place] + control + struct.pack(">I", zlib.crc32(control)) + held.getvalue()[place + 16 :]
    (folder / "many.png").write_bytes(data)
    assert "announces 16776963 frames" in refused("stylize", STYLE, "many.png", "--device", "cpu")


def test_an_animation_whose_frames_outgrow_it(folder, refused):
    frames = [Image.new("RGB", (32, 24), (90 * i, 0, 0)) for i in range(2)]
    frames[0].save(held := io.BytesIO(), "GIF", save_all=True, append_images=frames[1:], disposal=2)
    data = bytearray(held.getvalue())
    second = data.index(b",", data.index(b",") + 1)
    data[second + 5 : second + 9] = struct.pack("<HH", 30_000, 30_000)
    (folder / "grows.gif").write_bytes(data)
    assert "far more than the first" in refused("stylize", STYLE, "grows.gif", "--device", "cpu")


@pytest.mark.parametrize("name", ["wide.webp", "wide.jpg"])
def test_a_picture_too_large_for_its_format(name, folder, refused):
    Image.new("L", (66_000, 8)).save(folder / "wide.png")
    assert "a side" in refused("stylize", STYLE, "wide.png", "-o", name, "--device", "cpu")


def test_a_picture_cut_short(folder, refused):
    (folder / "cut.jpg").write_bytes(jpeg(folder)[:700])
    assert "cut.jpg: damaged" in refused("stylize", STYLE, "cut.jpg", "--device", "cpu")


@pytest.mark.parametrize("pillow", ["TIFF", "PNG"])
def test_a_picture_named_as_a_video(pillow, folder, refused):
    Image.new("RGB", (64, 64), "teal").save(folder / "clip.mkv", pillow)
    assert "a picture, not a video" in refused("stylize", STYLE, "clip.mkv", "--device", "cpu")


@pytest.mark.parametrize("mode", ["CMYK", "I;16", "P", "LA", "1", "F"])
def test_unusual_pictures_are_painted(mode, folder, capsys):
    """The other side: what is only unusual is no bad input. A wrong ending neither."""
    image = Image.new("L", (40, 30), 90).convert("RGB" if mode == "CMYK" else "L").convert(mode.removesuffix(";16"))
    image = Image.fromarray(np.full((30, 40), 30_000, np.uint16)) if mode == "I;16" else image
    if mode == "P":
        image.info["transparency"] = 0
    image.save(folder / "odd.png", "TIFF" if mode in ("CMYK", "F") else "PNG")
    assert main(["stylize", STYLE, "odd.png", "--device", "cpu"]) == 0
    with Image.open(folder / f"odd-{STYLE}.png") as painted:
        assert painted.size == (40, 30)


def exif(*entries, following=0, count=None):
    """A little-endian EXIF block of one directory with these (tag, type, count, value) entries."""
    rows = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count or len(entries)) + rows + struct.pack("<I", following)


PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NOISE = np.random.default_rng(1).bytes(50_000)
METADATA = {
    "exif loops": {"exif": exif((0x0112, 3, 1, 6), following=8)},
    "exif holds itself": {"exif": exif((0x8769, 4, 1, 8), (0x8825, 4, 1, 8), (0xA005, 4, 1, 8))},
    "exif announces 65535 entries": {"exif": exif((0x0112, 3, 1, 6), count=65535)},
    "exif announces 4 GB": {"exif": exif((0x010E, 2, 2**32 - 1, 8), (0x0112, 5, 2**31, 8), (0x9286, 7, 2**32 - 1, 30))},
    "exif overlaps": {"exif": exif(*[(0x9000 + i, 12, 60, 8) for i in range(2000)])},
    "exif turns by text": {"exif": exif((0x0112, 2, 4, 0x36363636))},
    "exif turns by 77": {"exif": exif((0x0112, 3, 1, 77))},
    "exif of noise": {"exif": b"Exif\0\0" + NOISE[:5000]},
    "icc empty": {"icc_profile": b"\0"},
    "icc of noise": {"icc_profile": NOISE},
    "icc cut short": {"icc_profile": PROFILE[:200]},
    "icc of noise inside": {"icc_profile": PROFILE[:132] + NOISE[:400]},
    "icc of another space": {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()},
}  # fmt: skip


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("name", METADATA)
def test_damaged_metadata_costs_no_picture(name, kind, folder, capsys):
    Image.new("RGB", (40, 30), "teal").save(folder / "a.png", kind, **METADATA[name])
    assert main(["stylize", STYLE, "a.png", "-o", f"out.{kind.lower()}", "--device", "cpu"]) == 0
    assert "Traceback" not in capsys.readouterr().err
    with Image.open(f"out.{kind.lower()}") as painted:
        assert sorted(painted.size) == [30, 40]


def test_links_in_a_circle(folder, photo, refused, capsys):
    Path("loop.png").symlink_to("loop.png")
    assert "loop.png" in refused("stylize", STYLE, "loop.png", "--device", "cpu")
    Path("around").symlink_to(".")
    assert main(["stylize", STYLE, ".", "-o", "out", "--device", "cpu"]) == 0
    assert [path.name for path in (folder / "out").rglob("*")] == ["photo.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="not on Windows")
@pytest.mark.parametrize("name", ["pipe.png", "pipe.gif", "pipe.mkv", "pipe"])
def test_a_pipe_is_not_waited_for(name, folder, refused):
    os.mkfifo(name)
    assert "a pipe or a device" in refused("stylize", STYLE, name, "--device", "cpu")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may look into any folder")
def test_a_closed_folder_is_reported(folder, photo, capsys):
    (folder / "closed").mkdir(mode=0)
    assert main(["stylize", STYLE, ".", "-o", "out", "--device", "cpu"]) == 1
    assert "skipped: closed: " in capsys.readouterr().err
    (folder / "closed").chmod(0o700)


def test_a_picture_may_be_named_like_a_sequence(folder, photo):
    named = Path(photo).rename(Path(photo).with_name("50%03d" + Path(photo).suffix))
    assert main(["stylize", "mosaic", str(named), "-o", "painted/", "--device", "cpu"]) == 0
    assert Path("painted", named.name).is_file()


def test_names_at_the_limit(folder, capsys):
    name = "\u65e5" * 82 + ".png"  # 250 bytes
    Image.new("RGB", (40, 30)).save(folder / name)
    assert main(["stylize", STYLE, name, "--device", "cpu"]) == 0
    assert main(["stylize", STYLE, name, "-o", "out", "--device", "cpu"]) == 0
    assert len(files()) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photo.png", "-o", "x" * 300 + ".png"], "name too long"),
        (["x" * 300], "name too long"),
        (["photo.png", "-o", "a\0b.png"], "NUL"),
        (["photo.png", "--size=--"], "is no value"),
        (["photo.png", "--size", str(2**31)], "too many"),
        (["photo.png", "--size", str(2**63)], "too many"),
        ([""], "an empty name"),
        (["photo.png", "-o", ""], "an empty name"),
        (["moving.gif", "-o", "seq/%0999999999d.png"], "so many digits"),
        (["seq/%0999999999d.png", "-o", "film.mp4"], "no frame"),
    ],
)
def test_names_and_numbers_that_cannot_be(arguments, message, folder, photo, refused):
    frames = [Image.new("RGB", (32, 32), (60 * i, 0, 0)) for i in range(2)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    assert message in refused("stylize", STYLE, *arguments, "--device", "cpu")


def test_a_folder_that_is_gone(folder, refused):
    (folder / "gone").mkdir()
    os.chdir("gone")
    (folder / "gone").rmdir()
    assert "was deleted" in refused("train")


def changed(name, change):
    """A bundled model with something changed, as bytes."""
    model = onnx.load(bundled(name))
    change(model)
    return model.SerializeToString()


def card(**values):
    def change(model):
        for entry in model.metadata_props:
            entry.value = values.get(entry.key, entry.value)

    return change


def smaller(model):
    """Its output lacks a row."""
    graph = model.graph
    graph.node[-1].output[0] = "whole"
    graph.initializer.extend(helper.make_tensor(n, TensorProto.INT64, [1], [v]) for n, v in (("a", 1), ("b", 99999), ("c", 1)))
    graph.node.append(helper.make_node("Slice", ["whole", "a", "b", "c"], ["stylized"]))
    graph.output[0].type.tensor_type.shape.dim[1].dim_param = "less"


def renamed(model):
    for node in model.graph.node:
        node.input[:] = ["picture" if name == "image" else name for name in node.input]
    model.graph.input[0].name = "picture"


def floats(model):
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def outside(model):
    part = model.graph.initializer[0]
    part.ClearField("raw_data")
    part.data_location = TensorProto.EXTERNAL
    entry = part.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"


MODELS = {
    "empty": lambda: b"",
    "text": lambda: b"no model\n" * 99,
    "cut": lambda: bundled(STYLE).read_bytes()[:5000],
    "outside": lambda: changed(STYLE, outside),
    "smaller": lambda: changed(STYLE, smaller),
    "renamed": lambda: changed(STYLE, renamed),
    "floats": lambda: changed(STYLE, floats),
    "no card": lambda: changed(STYLE, lambda model: model.ClearField("metadata_props")),
    "name": lambda: changed(STYLE, card(name="[1, 2]")),
    "minimum": lambda: changed(STYLE, card(minimum="1000000000")),
    "multiple": lambda: changed(STYLE, card(multiple="0")),
    "strongest": lambda: changed(STYLE, card(strongest='"2"')),
    "nested": lambda: changed(STYLE, card(styles="[" * 100_000)),
    "styles": lambda: changed(STYLE, card(styles='["a", 3]')),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_that_are_none(name, folder, photo, refused):
    (folder / "bad.onnx").write_bytes(MODELS[name]())
    refused("stylize", "bad.onnx", photo, "-o", "out.png", "--device", "cpu")
    assert not (folder / "out.png").exists()


@pytest.mark.parametrize("name", ["empty", "cut", "outside", "name"])
def test_models_to_start_from(name, folder, refused):
    (folder / "bad.onnx").write_bytes(MODELS[name]())
    assert "bad.onnx: " in refused("train", "--initialize-from", "bad.onnx", "--out", "run", "--steps", 1)


class Payload:
    def __reduce__(self):
        return Path.touch, (Path("pwned"),)


def checkpoints():
    import torch

    return {
        "empty": b"",
        "pickle": pickle.dumps(Payload()),
        "payload": lambda path: torch.save({"state_dict": {}, "global_step": 1, "more": Payload()}, path),
        "foreign": lambda path: torch.save({"a": torch.zeros(3)}, path),
        "list": lambda path: torch.save([1, 2], path),
        "other weights": lambda path: torch.save({"state_dict": {"ema.module.x": torch.zeros(3)}, "global_step": 1}, path),
        "no step": lambda path: torch.save({"state_dict": {"ema.module.x": torch.zeros(3)}, "global_step": "1"}, path),
    }


@pytest.mark.parametrize("name", ["empty", "pickle", "payload", "foreign", "list", "other weights", "no step"])
@pytest.mark.parametrize("verb", ["export", "train"])
def test_checkpoints_that_are_none(verb, name, folder, refused):
    (folder / "run").mkdir()
    (folder / "run" / "config.yaml").write_text("steps: 5\nsize: 64\n")
    made = checkpoints()[name]
    if isinstance(made, bytes):
        (folder / "run" / "last.ckpt").write_bytes(made)
    else:
        made(folder / "run" / "last.ckpt")
    arguments = ["run"] if verb == "export" else ["--out", "run", "--resume", "--device", "cpu"]
    assert "last.ckpt: " in refused(verb, *arguments)
    assert not (folder / "pwned").exists()


SETTINGS = {
    "tag": "title: !!python/object/apply:os.system [touch pwned]",
    "date": "title: !!timestamp 1889-13-45",
    "int": "steps: !!int abc",
    "float": "rate: !!float abc",
    "no int": "steps: !!int",
    "bool": "title: !!bool maybe",
    "digits": "steps: " + "9" * 5000,
    "deep": "[" * 5000,
    "NUL": 'content: "a\\0b"',
    "NUL byte": "content: a\0b",
    "itself": "title: &a [*a]",
    "aliases": "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    + "".join(f"{b}: &{b} [{', '.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "long": "title: " + "x" * 2_000_000,
    "list": "- 1\n- 2",
    "key": "[1]: 2",
    "unknown": "stepz: 3",
    "infinite": "rate: .inf",
    "huge": "batch: 1000000000",
    "scales": "scales: [[[]]]",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_cannot_be(name, folder, refused):
    (folder / "bad.yaml").write_text(SETTINGS[name])
    refused("train", "--config", "bad.yaml", "--out", "run")
    assert not (folder / "pwned").exists()


@pytest.mark.parametrize(
    "flags",
    [["--minutes", "inf"], ["--style-weight", "inf"], ["--batch", 10**9], ["--steps", 10**30], ["--out", "x" * 300],
     ["--ema", "2"]],
)  # fmt: skip
def test_flags_that_cannot_be(flags, refused):
    refused("train", *flags)


def test_a_recipe_without_its_painting(refused):
    recipe = str(Path(__file__).parents[1] / "configs/styles/great_wave.yaml")
    assert "name the painting's file too" in refused("train", "--config", recipe)


@pytest.mark.parametrize("flags", [["--start", ""], ["--tv-power", "1e300"], ["--history", 10**30], ["--rate", "inf"]])
def test_recipes_that_cannot_be(flags, photo, refused):
    refused("gatys", photo, photo, "-o", "out.png", *flags)
