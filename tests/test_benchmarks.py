"""Each benchmark runs, for a few seconds, on the smallest work that it takes; what it finds is not judged here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from clips import make_clip
from PIL import Image

from onestroke.cli.main import run as cli
from onestroke.samples.scenes import draw

FOLDER = Path(__file__).parent.parent / "benchmarks"
# Runs a program, but compares exports with torch on small pictures, as conftest.py has it in the tests' own process.
QUICKLY = """
import runpy, sys
from onestroke.exporting import verify
verify.PARITY_SIZES = ((1, 64, 64), (2, 65, 66))
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
WORK = {
    "big_picture": "--megapixels 0.1 --memory 100 --whole 0.2 --out OUT/big",
    "border": "--models MODEL --photos SINGLE",
    "exports": "RUN --repeats 1 --out OUT/exports.json",
    "flicker": "--model MODEL --reference MODEL --photos PHOTOS --clips CLIPS --count 1 --steady --device cpu --folder OUT",
    "fuzz": "--count 5 --keep OUT/fuzz",
    "gatys": "--size 64 --repeats 1 --json OUT/gatys.json",
    "gpu": "STYLE --content PHOTOS --folder OUT/gpu --size 64 --minutes 0.05 --batch 2 --network tiny --device cpu",
    "octaves": "--model MODEL --photos PHOTOS --repeats 1 --memory 100",
    "pairs": "--size 64 --batch 1 2 --evaluations 1 --repeats 1 --json OUT/pairs.json",
    "quality": "STYLE --photos SINGLE --models MODEL --folder OUT/quality",
    "speed": "--network tiny --sizes 64x64 --repeats 1 --out OUT/speed",
    "training": "--size 64 --batch 2 --repeats 1 --network tiny --json OUT/training.json",
    "web": "MODEL --sizes 96 1000 --repeats 1 --out OUT/web.json",
    "video": "--clip CLIPS/clip.mp4 --model MODEL --sizes 64 --frames 4 --device cpu --json OUT/video.json",
    "worth": "RUN --photos PHOTOS --count 1 --size 64 --iterations 2 --out OUT/worth",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmarks")
    for name in ("photos", "single", "clips", "out"):
        (folder / name).mkdir()
    for i in range(2):
        Image.fromarray(draw(i, 560)).save(folder / "photos" / f"{i}.png")
    Image.fromarray(draw(2, 560)).save(folder / "single" / "2.png")
    Image.fromarray(draw(5, 200)).save(folder / "style.png")
    make_clip(folder / "clips" / "clip.mp4", [512 * i for i in range(12)], size=(128, 96))
    small = ["--size", "64", "--batch", "2", "--steps", "2", "--style-size", "64", "--network", "tiny", "--device", "cpu"]
    given = [str(folder / "style.png"), "--content", str(folder / "photos"), "--out", str(folder / "run"), *small]
    assert cli("train", given) == 0
    return folder


def test_every_benchmark_is_tried():
    programs = {path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text()}
    assert programs == {*WORK, "faults"}  # which tests/test_faults.py runs


@pytest.mark.benchmark
@pytest.mark.parametrize("name", WORK)
def test_it_runs(name, place):
    if name == "web" and not shutil.which("chromium"):
        pytest.skip("needs chromium")
    words = {
        "RUN": "run",
        "MODEL": "run/style.onnx",
        "PHOTOS": "photos",
        "SINGLE": "single",
        "CLIPS": "clips",
        "OUT": "out",
        "STYLE": "style.png",
    }
    work = WORK[name]
    for word, path in words.items():
        work = work.replace(word, str(place / path))
    command = [sys.executable, "-c", QUICKLY, str(FOLDER / f"{name}.py"), *work.split()]
    environment = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(FOLDER)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=place, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
