"""The pixel loop on objectives whose answers are known, without any network."""

import io

import pytest
import torch

from onestroke.errors import ConfigError, Diverged
from onestroke.optimization.pixels import FLAT_EVALUATIONS, PixelOptimizer, Updates

TARGET = torch.linspace(0.2, 0.8, 3 * 4 * 5).view(1, 3, 4, 5)


def bowl(x):
    """A quadratic whose curvature differs from pixel to pixel."""
    curvature = torch.linspace(1, 30, x[0].numel()).view(x[0].shape)
    cost = (curvature * (x - TARGET).square()).flatten(1).sum(1)
    return {"bowl": cost, "total": cost}, 2 * curvature * (x - TARGET)


def start(count=1):
    return torch.full((count, 3, 4, 5), 0.5)


@pytest.mark.parametrize(
    "updates",
    [
        Updates("adam", rate=0.02),
        Updates("adam", rate=0.02 * 255, unit=255.0),
        Updates("sgd", rate=0.02),
        Updates("lbfgs", rate=1.0),
        Updates("lbfgs-wolfe", rate=1.0, unit=255.0),
    ],
    ids=str,
)
def test_every_optimizer_finds_the_bottom(updates):
    work = PixelOptimizer(start(), bowl, updates, 150)
    work.run()
    assert float((work.result() - TARGET).abs().max()) < 0.01


def test_the_unit_changes_nothing_but_the_notation():
    paths = []
    for unit in (1.0, 255.0):
        work = PixelOptimizer(start(), bowl, Updates("adam", rate=0.02 * unit, unit=unit), 20)
        work.run()
        paths.append(work.result())
    assert torch.allclose(*paths, atol=1e-4)


def test_sgd_decays_its_rate_continuously():
    work = PixelOptimizer(start(), lambda x: ({"total": x.flatten(1).sum(1)}, torch.ones_like(x)),
                          Updates("sgd", rate=0.01, decay=0.5, clamp=False), 3)  # fmt: skip
    work.run()
    moved = 0.5 - float(work.pixels[0, 0, 0, 0])
    assert moved == pytest.approx(0.01 * (1 + 0.5**0.01 + 0.5**0.02), rel=1e-4)


def test_clamping_keeps_pixels_between_black_and_white():
    def upwards(x):
        return {"total": -x.flatten(1).sum(1)}, -torch.ones_like(x)

    for clamp, largest in ((True, 1.0), (False, 1.5)):
        work = PixelOptimizer(start(), upwards, Updates("sgd", rate=0.1, clamp=clamp), 10)
        work.run()
        assert float(work.pixels.max()) == pytest.approx(largest)


def test_the_result_is_the_bias_corrected_average_of_the_iterates():
    seen = []
    work = PixelOptimizer(start(), bowl, Updates("adam", rate=0.02, ema=0.9), 12)
    work.run(lambda step: seen.append(step.optimizer.pixels.clone()) and None)
    weight = torch.tensor([0.9 ** (11 - i) for i in range(12)])
    wanted = sum(w * p for w, p in zip(weight, seen, strict=True)) / weight.sum()
    assert torch.allclose(work.result(), wanted, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lbfgs", "lbfgs-wolfe"])
def test_a_resumed_run_is_the_same_run(optimizer):
    updates = Updates(optimizer, rate=0.01 if optimizer in ("adam", "sgd") else 0.5, ema=0.9 if optimizer == "adam" else 0.0)
    whole = PixelOptimizer(start(), bowl, updates, 30)
    whole.run()
    first = PixelOptimizer(start(), bowl, updates, 30)
    first.run(lambda step: step.step >= 11)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = PixelOptimizer(torch.zeros_like(start()), bowl, updates, 30)
    second.load_state_dict(torch.load(file, weights_only=True))
    second.run()
    assert torch.equal(second.pixels, whole.pixels) and torch.equal(second.result(), whole.result())
    assert second.step == whole.step and second.lowest == whole.lowest


def test_a_nan_goes_back_to_the_best_picture_with_adam():
    def breaks(x):
        values, gradient = bowl(x)
        calls.append(1)
        return ({name: v * float("nan") for name, v in values.items()} if len(calls) == 4 else values), gradient

    calls, notes = [], []
    work = PixelOptimizer(start(), breaks, Updates("lbfgs", rate=1.0, ema=0.0), 60)
    work.run(lambda step: notes.append(step.note) if step.note else None)
    assert len(notes) == 1 and "became nan" in notes[0] and "Adam" in notes[0]
    assert work.kind == "adam" and torch.isfinite(work.result()).all()
    assert work.lowest < float(bowl(start())[0]["total"])


def test_a_stuck_optimizer_is_replaced_and_said():
    def deaf(x):  # the gradient says nothing until Adam is asked
        values, gradient = bowl(x)
        return values, gradient if work.kind == "adam" else torch.zeros_like(gradient)

    notes = []
    work = PixelOptimizer(start(), deaf, Updates("sgd", rate=1.0), 100)
    work.run(lambda step: notes.append((step.step, step.note)) if step.note else None)
    assert notes[0][0] == FLAT_EVALUATIONS and "stayed at" in notes[0][1]
    assert float((work.result() - TARGET).abs().max()) < 0.05


def test_adam_at_the_bottom_stops():
    work = PixelOptimizer(TARGET.clone(), bowl, Updates("adam", rate=0.0), 100)
    notes = []
    work.run(lambda step: notes.append(step.note) if step.note else None)
    assert work.step == FLAT_EVALUATIONS and notes[0].endswith("stopped")


def test_a_start_without_a_finite_loss_is_an_error():
    work = PixelOptimizer(start(), lambda x: ({"total": x.flatten(1).sum(1) * float("inf")}, x), Updates(), 5)
    with pytest.raises(Diverged, match="became inf at the start"):
        work.run()


def test_the_stop_rule_looks_at_the_gain_of_fifty_evaluations():
    updates = Updates("adam", rate=0.02, tolerance=0.1)
    work = PixelOptimizer(start(), lambda x: ({"total": 5 + bowl(x)[0]["total"]}, bowl(x)[1]), updates, 1000)
    notes = []
    work.run(lambda step: notes.append(step.note) and None)
    assert "gained less than 0.1" in notes[-1] and not any(notes[:-1])
    assert work.step == 100  # after the first window nothing is known, in the second next to nothing is gained


def test_lbfgs_refuses_a_batch():
    with pytest.raises(ConfigError, match="one picture at a time"):
        PixelOptimizer(start(2), bowl, Updates("lbfgs"), 5)


def test_the_next_scale_carries_adams_memory():
    work = PixelOptimizer(start(), bowl, Updates("adam", rate=0.02, ema=0.9), 10)
    work.run()
    grown = work.resized((8, 10), bowl, 5)
    state, before = grown.optimizer.state[grown.pixels], work.optimizer.state[work.pixels]
    assert grown.pixels.shape == (1, 3, 8, 10) and grown.step == 0 and grown.averaged == 0
    assert int(state["step"]) == 10 and state["exp_avg"].shape == (1, 3, 8, 10)
    assert float(state["exp_avg_sq"].min()) >= 0
    assert float(state["exp_avg"].mean()) == pytest.approx(float(before["exp_avg"].mean()), rel=0.1)
