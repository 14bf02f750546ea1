import os
import pickle
import subprocess
import sys

import numpy as np
import onnx
import pytest
from PIL import Image

from onestroke.cli.main import main as cli
from onestroke.errors import ConfigError, ImageError, ModelError
from onestroke.images import read_image
from onestroke.inference.session import open_model
from onestroke.inference.stylizer import Stylizer
from onestroke.jobs import engine
from onestroke.jobs.plan import plan
from onestroke.samples.scenes import draw

PHOTO = draw(1, 70)[:50]


@pytest.fixture(scope="module")
def style(model):
    return Stylizer(model, "cpu")


@pytest.fixture
def photo(tmp_path):
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    Image.fromarray(PHOTO).save(tmp_path / "photo.png", exif=exif)
    return tmp_path / "photo.png"


def test_any_size_down_to_one_pixel(style):
    for size in ((1, 1), (3, 200), (16, 16), (37, 91)):
        assert style(np.full((*size, 3), 90, np.uint8)).shape == (*size, 3)


def test_batches_are_their_pictures(style):
    batch = np.stack([PHOTO, PHOTO[::-1]])
    assert np.abs(style(batch)[1].astype(int) - style(np.ascontiguousarray(PHOTO[::-1]))).max() <= 1


def test_strength_goes_from_photo_to_style(style):
    full, half = style(PHOTO).astype(int), style(PHOTO, strength=style.card.solid / 2).astype(int)
    assert np.array_equal(style(PHOTO, strength=0.0), PHOTO)
    assert np.abs(half - (full + PHOTO.astype(int)) / 2).max() <= 1.5


def test_kept_colors_are_the_photos(style):
    kept = Image.fromarray(style(PHOTO, keep_colors=True)).convert("YCbCr")
    plain = Image.fromarray(style(PHOTO)).convert("YCbCr")
    wanted = Image.fromarray(PHOTO).convert("YCbCr")
    chroma = lambda image: np.asarray(image)[..., 1:].astype(int)  # noqa: E731
    assert np.abs(chroma(kept) - chroma(wanted)).mean() < 3 < np.abs(chroma(plain) - chroma(wanted)).mean()


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_wrong_arrays_are_named(style, bad):
    with pytest.raises(ImageError, match="uint8 RGB array"):
        style(bad)


def test_a_folder_keeps_its_tree_and_one_bad_file_ends_nothing(model, photos, tmp_path, capsys):
    before = {p: p.read_bytes() for p in photos.rglob("*") if p.is_file()}
    assert cli(["stylize", str(model), str(photos), "-o", str(tmp_path / "out")]) == 1
    assert {str(p.relative_to(photos)) for p in before} - {"broken.jpg"} == {
        str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*") if p.is_file()
    }
    printed = capsys.readouterr()
    assert "broken.jpg" in printed.err and "8 of 9" in printed.out
    assert {p: p.read_bytes() for p in before} == before


def test_too_little_memory_skips_one_picture(model, photos, tmp_path, monkeypatch, capsys):
    paint = Stylizer._run

    def run(self, pictures, strength, *rest):
        if calls.append(pictures) or len(calls) == 1:
            raise RuntimeError("BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer")
        return paint(self, pictures, strength, *rest)

    calls: list = []
    monkeypatch.setattr(Stylizer, "_run", run)
    assert cli(["stylize", str(model), str(photos / "deep"), "-o", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr()
    assert "1.png: too little memory for 80 x 80 pixels; use a lower --memory" in printed.err and "3 of 4" in printed.out


def test_a_name_that_is_no_utf8_is_told_as_it_is(model, tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(os.fsdecode(name))
    command = [sys.executable, "-m", "onestroke.cli.main", "stylize", str(model), os.fsdecode(name)]
    run = subprocess.run(command, capture_output=True, env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"}, check=True)
    assert run.stdout.strip() == os.fsencode(tmp_path) + b"/caf\xe9-stripes.png"


def test_originals_are_never_overwritten_unless_asked(model, photo, capsys):
    before = photo.read_bytes()
    assert cli(["stylize", str(model), str(photo), "-o", str(photo)]) == 2
    assert "--overwrite" in capsys.readouterr().err and photo.read_bytes() == before
    assert cli(["stylize", str(model), str(photo), "-o", str(photo), "--overwrite"]) == 0
    assert photo.read_bytes() != before


def test_without_out_the_result_lies_beside_the_photo(model, photo, capsys):
    assert cli(["stylize", str(model), str(photo), "--size", "35"]) == 0
    result = photo.with_name("photo-stripes.png")
    assert capsys.readouterr().out.strip() == str(result)
    with Image.open(result) as image:
        assert image.size == (35, 25) and image.getexif()[0x010F] == "Camera"


def test_alpha_survives(model, tmp_path):
    alpha = np.tile(np.arange(70, dtype=np.uint8), (50, 1))
    Image.fromarray(np.dstack([PHOTO, alpha])).save(tmp_path / "a.png")
    assert cli(["stylize", str(model), str(tmp_path / "a.png"), "-o", str(tmp_path / "b.webp")]) == 0
    assert read_image(tmp_path / "b.webp").alpha is not None
    assert cli(["stylize", str(model), str(tmp_path / "a.png"), "-o", str(tmp_path / "b.png")]) == 0
    assert np.array_equal(read_image(tmp_path / "b.png").alpha, alpha)


def test_globs_and_clashes(tmp_path, photos):
    assert len(plan([str(photos / "*.png")], str(tmp_path / "o"), "s")) == 4
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "0.png").touch()
    with pytest.raises(ConfigError, match=r"both .* would be written there"):
        plan([str(photos / "0.png"), str(tmp_path / "x" / "0.png")], str(tmp_path / "o"), "s")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["MODEL", "gone.jpg"], "gone.jpg: no such file"),
        (["MODEL", "PHOTO", "--strength", "2"], "strength: 2 is out of range"),
        (["MODEL", "PHOTO", "--size", "0"], "size: 0 is no size"),
        (["MODEL", "PHOTO", "-o", "out.xyz"], "cannot write .xyz"),
        (["gone.onnx", "PHOTO"], "gone.onnx: no such model"),
        (["README.md", "PHOTO"], "README.md: not an ONNX model"),
        (["MODEL", "EMPTY"], "a folder without pictures"),
        (["MODEL", "PHOTO", "-o", "README.md/x.png"], "cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, model, photo, tmp_path, capfd):
    (tmp_path / "empty").mkdir()
    names = {"MODEL": str(model), "PHOTO": str(photo), "EMPTY": str(tmp_path / "empty")}
    assert cli(["stylize", *(names.get(a, a) for a in arguments)]) == 2
    error = capfd.readouterr().err
    assert message in error and "Traceback" not in error


def test_truncated_and_foreign_models_are_told_apart(model, tmp_path):
    (tmp_path / "cut.onnx").write_bytes(model.read_bytes()[: model.stat().st_size // 2])
    with pytest.raises(ModelError, match="damaged"):
        open_model(tmp_path / "cut.onnx")
    foreign = onnx.load(model)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(ModelError, match="not a onestroke model"):
        open_model(tmp_path / "foreign.onnx")


def test_stylizing_never_imports_torch(model, photo):
    """In a process where importing torch, onnx or Lightning is an error."""
    code = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'onnx', 'pytorch_lightning', 'onnxscript'): sys.modules[name] = None\n"
        "from onestroke.cli.main import main\n"
        f"sys.exit(main(['stylize', {str(model)!r}, {str(photo)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert photo.with_name("photo-stripes.png").is_file()


def test_no_warning_about_cuda_without_a_gpu(model, photo, capfd):
    open_model(model)
    assert "CUDA" not in capfd.readouterr().err


@pytest.mark.parametrize("strength", [-0.1, 5, float("nan"), float("inf"), "1", None])
def test_a_strength_that_was_not_trained_is_refused(style, strength):
    with pytest.raises(ConfigError, match="strength"):
        style(PHOTO, strength=strength)


@pytest.mark.parametrize("wrong", [{"memory": -1}, {"memory": 0}, {"device": "gpu"}])
def test_arguments_that_cannot_be_are_refused(model, wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Stylizer(model, **({"device": "cpu"} | wrong))


@pytest.mark.parametrize("wrong", [None, [1, 2], "photo.png"])
def test_what_is_no_array_is_refused(style, wrong):
    with pytest.raises(ImageError, match=type(wrong).__name__):
        style(wrong)


def test_a_stylizer_goes_to_another_process(style):
    again = pickle.loads(pickle.dumps(style))
    assert np.array_equal(again(PHOTO), style(PHOTO))


def test_one_bad_file_stops_no_folder_whatever_it_raises(model, tmp_path, monkeypatch, capsys):
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(PHOTO).save(tmp_path / name)

    def read(path):
        if path.name == "b.png":
            raise KeyError("a fault\nin a decoder")
        return read_image(path)

    monkeypatch.setattr(engine, "read_image", read)
    assert cli(["stylize", str(model), str(tmp_path), "-o", str(tmp_path / "out"), "--device", "cpu"]) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]
    line = next(line for line in capsys.readouterr().err.splitlines() if "skipped" in line)
    assert "b.png" in line and "KeyError" in line


def test_one_photo_needs_no_part_that_is_for_videos(model, photo):
    code = (
        f"import sys\nfrom onestroke.cli.main import main\nassert main(['stylize', {str(model)!r}, {str(photo)!r}]) == 0\n"
        "video = {'av', 'torch'} & set(sys.modules)\nassert not video, video"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
