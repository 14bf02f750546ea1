"""The tests make every picture they need; VGG16 comes from the development group's wheel."""

import os
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch reads it: tests run side by side (pytest-xdist)

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings
from moved import moved
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


@pytest.fixture(scope="session")
def forms(tmp_path_factory) -> Path:
    """The folder of models that are exported once, whichever of pytest's processes comes first: tracing takes seconds."""
    place = tmp_path_factory.getbasetemp()
    place = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "forms"
    place.mkdir(exist_ok=True)
    return place


def exported(path, network, net, painting="", **about):
    """Export a network to `path`, unless it is there."""
    from onestroke.exporting.onnx import export, make_card

    with FileLock(f"{path}.lock"):
        if not path.exists():
            precision = about.pop("precision", "fp32")
            card = make_card(path.stem, network, net, painting=painting, license="", **about)
            export(net, replace(card, precision=precision), path)
    return path


def untrained(network, path):
    """Such a network: stylizing is what it is tested for, not beauty."""
    import torch

    from onestroke.networks import registry as networks

    torch.manual_seed(0)
    return exported(path, network, networks.build(network).eval(), f"{path.stem}.png")


@pytest.fixture(scope="session")
def model(forms) -> Path:
    """The default network."""
    return untrained("onestroke", forms / "stripes.onnx")


@pytest.fixture(scope="session")
def tiny(forms) -> Path:
    """The smallest network with the fewest norms, for tests that paint many frames and compare them.

    An untrained one with more norms in a row magnifies rounding, which varies with where memory lies, to a few levels.
    """
    return untrained("tiny-0.1", forms / "dots.onnx")


@pytest.fixture(scope="session")
def painter(tiny) -> Stylizer:
    return Stylizer(tiny, "cpu")


@pytest.fixture(scope="session")
def moved_model(forms):
    """A function: a network whose norms are away from one and zero, and the file that it is exported to."""

    def make(network, io="uint8", precision="fp32"):
        import torch

        from onestroke.networks import registry as networks

        torch.manual_seed(3)
        net = moved(networks.build(network))
        return net, exported(forms / f"{network}_{io}_{precision}.onnx", network, net, io=io, precision=precision)

    return make


@pytest.fixture(scope="session")
def two_styles():
    """Such a network of two styles."""
    import torch

    from onestroke.networks import registry as networks

    torch.manual_seed(3)
    return moved(networks.build("tiny", styles=2))


@pytest.fixture(scope="session")
def both(forms, two_styles) -> Path:
    """What it is exported to: its styles are called "wave" and "scream"."""
    return exported(forms / "both.onnx", "tiny", two_styles, "two pictures", styles=["wave", "scream"])
