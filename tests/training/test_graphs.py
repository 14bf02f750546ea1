from functools import partial

import pytest
import torch
from torch import nn

from onestroke.training.graphs import Graphs

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="records on a GPU alone")


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([2.0, -1.0]))

    def forward(self, x):
        return self.gain * x


def squares(net, x, target):
    left = net(x) - target
    return {"total": left.square().sum(), "largest": left.detach().abs().max()}


def slopes(graphs, net, x, target):
    net.zero_grad(set_to_none=True)
    terms = graphs("squares", x, target)
    terms["total"].backward()
    return {name: float(term.detach()) for name, term in terms.items()}, net.gain.grad.tolist()


def steps(graphs, net, device):
    """(2 * 3 - 1)^2 + (-4 - 0)^2 = 41, slopes 2 * 5 * 3 and 2 * -4 * 4; then other inputs, then other weights."""
    on = partial(torch.tensor, device=device)
    graphs.record(net, {"squares": (squares, (on([3.0, 4.0]), on([1.0, 0.0])))})
    assert slopes(graphs, net, on([3.0, 4.0]), on([1.0, 0.0])) == ({"total": 41, "largest": 5}, [30, -32])
    assert slopes(graphs, net, on([1.0, 1.0]), on([2.0, 0.0])) == ({"total": 1, "largest": 1}, [0, -2])
    with torch.no_grad():
        net.gain.fill_(1)
    assert slopes(graphs, net, on([1.0, 2.0]), on([0.0, 0.0])) == ({"total": 5, "largest": 2}, [2, 8])


@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'")
def test_where_recording_fails_steps_run_as_they_are_and_one_line_says_why(monkeypatch):
    def refuse():
        raise RuntimeError("CUDA out of memory\nand more")

    monkeypatch.setattr(torch.cuda, "graph_pool_handle", refuse)
    told = []
    steps(Graphs(told.append), Line(), "cpu")
    assert len(told) == 1 and "without CUDA graphs" in told[0].text and "(CUDA out of memory)" in told[0].text


@GPU
def test_recorded_steps_follow_their_inputs_and_the_weights():
    told = []
    steps(Graphs(told.append), Line().cuda(), "cuda")
    assert not told
