import torch
from torch import nn

from onestroke.training.step import TrainingStep


class Seen(nn.Module):
    """A network that changes nothing and keeps what it was shown, or a loss that keeps what it is given."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def forward(self, *given, **more):
        self.kept.append(given)
        return given[0] if not more else {"total": given[0].sum()}

    def steady(self, one, other):
        self.kept.append((one, other))
        return (one - other).square().mean()


def test_the_network_sees_grain_and_the_losses_the_photo():
    photos = torch.full((2, 40, 48, 3), 128, dtype=torch.uint8)
    shown = []
    for step in (0, 0, 4):
        net, loss = Seen(), Seen()
        TrainingStep(loss, grain=5.0).terms(net, photos, step)
        (painted, due), (seen, *_) = loss.kept[0], net.kept[0]
        assert torch.equal(due, torch.full((2, 3, 40, 48), 128 / 255)) and torch.equal(painted, seen)
        assert 3 < float((seen - due).std()) * 255 < 7
        assert torch.equal(seen[:, :1].expand(-1, 3, -1, -1), seen)  # gray
        shown.append(seen)
    assert torch.equal(shown[0], shown[1]) and not torch.equal(shown[0], shown[2])


def test_grain_moves_with_the_photo_where_paintings_must_hold_still():
    net, loss = Seen(), Seen()
    terms = TrainingStep(loss, grain=5.0, steady_weight=0.5).terms(net, torch.zeros(1, 40, 48, 3, dtype=torch.uint8), 1)
    assert len(net.kept) == 2 and float(terms["steady"]) == 0  # a shift by whole pixels


def test_grain_stays_within_the_range_of_pixels_and_none_is_none():
    white = torch.ones(1, 3, 32, 32)
    assert TrainingStep(Seen(), grain=5.0).seen(white).max() <= 1
    assert TrainingStep(Seen()).seen(white) is white
