"""The smallest model, for tests that paint many frames."""

from pathlib import Path

import pytest

from onestroke.runtime.stylize import Stylizer


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """The smallest network, exported untrained."""
    import torch

    from onestroke.fast import networks
    from onestroke.fast.export import export, make_card

    torch.manual_seed(0)
    net = networks.build("tiny").eval()
    path = tmp_path_factory.mktemp("tiny") / "dots.onnx"
    export(net, make_card("dots", "tiny", net, painting="dots.png", licence=""), path)
    return path


@pytest.fixture(scope="session")
def painter(tiny) -> Stylizer:
    return Stylizer(tiny, "cpu")
