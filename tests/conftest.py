"""The tests make every picture they need; VGG16 comes from the development group's wheel."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch reads it: tests run side by side (pytest-xdist)

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

from onestroke.inference.stylizer import Stylizer
from onestroke.samples import scenes

settings.register_profile("short", deadline=None, derandomize=True, max_examples=30, database=None)
settings.load_profile("short")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    patch = pytest.MonkeyPatch()
    patch.setenv("ONESTROKE_CACHE", str(folder))
    yield folder
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def parity_sizes():
    """The sizes at which exports are compared with torch. Here they are compared on small pictures: 1080p takes its time."""
    from onestroke.exporting import verify as parity

    patch, sizes = pytest.MonkeyPatch(), parity.PARITY_SIZES
    patch.setattr(parity, "PARITY_SIZES", ((1, 64, 64), (2, 65, 66)))
    yield sizes
    patch.undo()


@pytest.fixture
def unexported(monkeypatch):
    """Trainings end without the export and the sample, for tests that look at neither."""
    from onestroke import api

    def finish(trained):
        return api.Run(trained.folder, trained.steps, trained.objective, trained.folder / "x.onnx", trained.folder / "x.png")

    monkeypatch.setattr(api, "_finish", finish)


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> Path:
    """A folder tree of eight photos of 80 pixels and one broken file."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(8):
        place = folder / ("deep/er" if i % 2 else ".")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scenes.draw(i, 80)).save(place / f"{i}.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    return folder


@pytest.fixture(scope="session")
def painting(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("art") / "stripes.png"
    y, x = np.mgrid[0:64, 0:96]
    Image.fromarray(np.stack([(x * 8) % 256, (y * 16) % 256, (x + y) % 256], -1).astype(np.uint8)).save(path)
    return path


def exported(network: str, path: Path) -> Path:
    """An untrained network, exported to `path`: stylizing is what it is tested for, not beauty."""
    import torch

    from onestroke.exporting.onnx import export, make_card
    from onestroke.networks import registry as networks

    torch.manual_seed(0)
    net = networks.build(network).eval()
    export(net, make_card(path.stem, network, net, painting=f"{path.stem}.png", license=""), path)
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """The default network."""
    return exported("onestroke", tmp_path_factory.mktemp("model") / "stripes.onnx")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """The smallest network with the fewest norms, for tests that paint many frames and compare them.

    An untrained one with more norms in a row magnifies rounding, which varies with where memory lies, to a few levels.
    """
    return exported("tiny-0.1", tmp_path_factory.mktemp("tiny") / "dots.onnx")


@pytest.fixture(scope="session")
def painter(tiny) -> Stylizer:
    return Stylizer(tiny, "cpu")
