"""The front door: what `import onestroke` offers, and the page of examples about it."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip
from PIL import Image

import onestroke
import onestroke.events
from onestroke.samples.scenes import draw

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
# What the page's long examples become here.
SHORT = {
    "minutes=30": "steps=2, size=32, batch=1, style_size=48, style_layers=['relu1_2'], content_layers=['relu1_2']",
    "size=512": "size=48, steps=[2]",
    'deepdream("photo.jpg")': 'deepdream("photo.jpg", layers={"relu2_1": 1.0}, octaves=1, steps=1)',
}  # fmt: skip


@pytest.fixture
def place(tmp_path, monkeypatch, photos, painting):
    Image.fromarray(draw(1, 96)).save(tmp_path / "photo.jpg")
    Image.open(painting).convert("RGB").save(tmp_path / "painting.jpg")
    (tmp_path / "photos").mkdir()
    for i in range(3):
        Image.fromarray(draw(i, 64)).save(tmp_path / "photos" / f"{i}.jpg")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no photo")
    (tmp_path / "painted").mkdir()
    make_clip(tmp_path / "clip.mp4", [512 * i for i in range(5)], size=(64, 48), sound=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_examples_of_the_page_run(place, capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert len(blocks) == 6
    code = "\n".join(blocks)
    for long, short in SHORT.items():
        assert code.count(long) == 1, long
        code = code.replace(long, short)
    exec(compile(code, str(PAGE), "exec"), {"__name__": "page"})
    assert {"painted.jpg", "softer.jpg", "painted.mp4", "painting.onnx", "mine.jpg", "gatys.png", "dream.png"} <= {
        path.name for path in place.iterdir()
    }
    assert sorted(path.name for path in (place / "painted").iterdir()) == ["0.png", "1.png", "2.png"]
    printed = capsys.readouterr().out
    assert "skipped: photos/broken.jpg" in printed and "5 frames" in printed


def test_what_is_offered_is_there_and_imports_no_torch():
    code = (
        "import sys, onestroke\nassert 'numpy' not in sys.modules\n"
        "onestroke.Stylizer, onestroke.styles(), onestroke.read_image, onestroke.train\n"
        "assert not {'torch', 'rich'} & set(sys.modules)\n"
        "for name in onestroke.__all__: getattr(onestroke, name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="nothing"):
        onestroke.nothing  # noqa: B018


def test_a_picture_comes_back_as_what_it_was(tmp_path):
    stylize = onestroke.Stylizer("great_wave", "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    clear = Image.fromarray(np.dstack([pixels, np.full((40, 60), 77, np.uint8)]))
    painted = stylize(clear)
    assert painted.mode == "RGBA" and np.asarray(painted)[0, 0, 3] == 77
    assert np.array_equal(np.asarray(painted)[..., :3], stylize(pixels))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    assert stylize(tmp_path / "turned.png").size == (40, 60)
    with Image.open(tmp_path / "turned.png") as image:
        assert stylize(image).size == (40, 60) and image.size == (60, 40)  # the user's own stays as it was
    with pytest.raises(onestroke.ImageError, match="dict"):
        stylize({})


def test_a_damaged_image_is_an_image_error(place):
    """Pillow opens it, and finds out when the pixels are asked for."""
    whole = (place / "photo.jpg").read_bytes()
    (place / "half.jpg").write_bytes(whole[: len(whole) // 2])
    stylize = onestroke.Stylizer("great_wave", "cpu")
    with Image.open("half.jpg") as image, pytest.raises(onestroke.ImageError, match=r"half\.jpg: damaged or unreadable"):
        stylize(image)


def test_slow_ways_check_what_they_are_given(place):
    for device in ("webgpu", "gpu", "CPU", None):
        with pytest.raises(onestroke.ConfigError, match=f"device: unknown {device!r}; choose from auto, cpu, cuda"):
            onestroke.gatys("photo.jpg", "painting.jpg", size=32, steps=[1], smallest=32, device=device)
        with pytest.raises(onestroke.ConfigError, match=f"device: unknown {device!r}"):
            onestroke.deepdream("photo.jpg", size=32, steps=1, device=device)
    with pytest.raises(onestroke.ConfigError, match="frames: 3 are a zoom"):
        onestroke.deepdream("photo.jpg", frames=3)
    with pytest.raises(onestroke.ConfigError, match="style_images: none"):
        onestroke.gatys("photo.jpg", [])


def test_slow_ways_keep_transparency(place):
    clear = Image.fromarray(np.dstack([draw(1, 48), np.full((48, 48), 77, np.uint8)]))
    painted = onestroke.gatys(clear, "painting.jpg", size=32, steps=[1], smallest=32, device="cpu")
    dreamt = onestroke.deepdream(clear, size=32, layers={"relu1_1": 1.0}, octaves=1, steps=1, device="cpu")
    for picture in (painted, dreamt):
        assert picture.mode == "RGBA" and (np.asarray(picture)[..., 3] == 77).all()


def test_a_video_replaces_nothing_unasked(place):
    (place / "out.mp4").write_bytes(b"mine")
    stylize = onestroke.Stylizer("great_wave", "cpu")
    with pytest.raises(onestroke.ConfigError, match="exists"):
        stylize.video("clip.mp4", "out.mp4")
    with pytest.raises(onestroke.VideoError, match="a picture"):
        stylize.video("photo.jpg", "new.mp4")
    for wrong in ({"size": -1}, {"size": "a"}, {"sice": 9}):
        with pytest.raises(onestroke.ConfigError, match=next(iter(wrong))):
            stylize.video("clip.mp4", "new.mp4", **wrong)
    report = stylize.video("clip.mp4", "out.mp4", lambda done, total: done >= 2, overwrite=True)
    assert report.stopped and (place / "out.mp4").read_bytes() == b"mine"


def test_a_training_tells_its_progress_and_stops_where_it_is_asked_to(place):
    seen = []

    def progress(event):
        seen.append(event)
        return isinstance(event, onestroke.events.Step) and event.step == 3

    small = {"size": 32, "style_size": 48, "style_layers": ["relu1_2"], "content_layers": ["relu1_2"], "batch": 2}
    run = onestroke.train("painting.jpg", content="photos", steps=50, out="run", device="cpu", progress=progress, **small)
    assert (run.steps, run.model, run._repr_png_()) == (3, None, None)
    with pytest.raises(onestroke.ConfigError, match="stopped after 3 steps"):
        run.stylizer()
    run = onestroke.train(out="run", steps=5, resume=True)
    assert run.steps == 5 and run._repr_png_()[:4] == b"\x89PNG" and set(run.objective) >= {"style", "content"}


def test_the_module_is_a_command():
    done = subprocess.run([sys.executable, "-m", "onestroke", "--version"], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == onestroke.__version__
