import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from onestroke.arrays import resize
from onestroke.cli import dream as verb
from onestroke.cli.main import main
from onestroke.errors import ConfigError
from onestroke.images import Picture, read_image
from onestroke.losses.pixels import tensor
from onestroke.optimization.deepdream.dreamer import (
    Dreamer,
    DreamObjective,
    cascade,
    enlarged,
    octave_sizes,
    shift,
    surrounded,
    zoomed,
)
from onestroke.optimization.deepdream.presets import PRESETS, dream_recipe
from onestroke.samples import scenes
from onestroke.saving import save_image

CPU = torch.device("cpu")
PLAIN = {"normalize": "none", "jitter": 0, "margin": 0, "unit": 1.0, "layers": {"relu1_1": 1.0}}
SMALL = {"layers": {"relu2_1": 1.0}, "size": 32, "octaves": 2, "steps": 2}


class Tiny:
    """A network that can be worked out by hand: the picture, and the picture halved, both weighed by place."""

    def __init__(self, place=1.0, mean=0.0):
        self.place, self.mean = place, mean

    def __call__(self, x, layers):
        x = x * self.place
        return {name: x if name == "relu1_1" else F.avg_pool2d(x, 2) for name in layers}


def picture(side=6, seed=0, count=1):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Pictures this small gain nothing from more, and on busy cores threads that wait for each other take thrice as long."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def photo():
    return scenes.draw(3, 96)


@pytest.fixture(scope="module")
def ready():
    return Dreamer(dream_recipe(**SMALL), device=CPU)


@pytest.fixture
def dreamer(ready):
    """One whose settings a test may change, within layers up to relu2_1."""
    return copy.copy(ready)


def test_the_objective_is_what_its_formula_says():
    x = picture(count=2)
    changes = {"layers": {"relu1_1": 2.0, "relu2_1": 0.5}, "continuity": 0.1, "l2": 0.02, "unit": 255.0}
    values, _ = DreamObjective(Tiny(mean=0.4), dream_recipe(**PLAIN | changes))(x)
    for n, a in enumerate(x.numpy()):
        halved = a.reshape(3, 3, 2, 3, 2).mean((2, 4))
        dream = 2 * (a**2).mean() + 0.5 * (halved**2).mean()
        down, right = (255 * np.diff(a, axis=1))[:, :, :-1], (255 * np.diff(a, axis=2))[:, :-1]
        rough = ((down**2 + right**2) ** 1.25).sum() / a.size
        assert values["dream"][n] == pytest.approx(dream)
        assert values["total"][n] == pytest.approx(-dream + 0.1 * rough + 0.02 * ((255 * (a - 0.4)) ** 2).mean())


@pytest.mark.parametrize("guided", [False, True])
def test_the_gradient_agrees_with_finite_differences(guided):
    x = picture()
    changes = {"layers": {"relu1_1": 2.0, "relu2_1": 0.5}, "continuity": 0.1, "l2": 0.02, "border": 1}
    guide = {"relu1_1": picture(4, 1)[0].flatten(1), "relu2_1": picture(2, 2)[0].flatten(1)} if guided else None
    objective = DreamObjective(Tiny(mean=0.4), dream_recipe(**PLAIN | changes), guide=guide)
    _, gradient = objective(x)
    for place in [(0, 0, 0, 0), (0, 1, 2, 3), (0, 2, 5, 1), (0, 0, 3, 3)]:
        step = torch.zeros_like(x)
        step[place] = 1e-5
        slope = (objective(x + step)[0]["total"] - objective(x - step)[0]["total"]) / 2e-5
        assert float(gradient[place]) == pytest.approx(float(slope), rel=1e-4, abs=1e-9)


def test_jitter_is_undone():
    place = picture(8, 5)[0, :1]  # where the picture lies matters to this network
    still = DreamObjective(Tiny(place), dream_recipe(**PLAIN))
    recipe = dream_recipe(**PLAIN | {"jitter": 3, "seed": 1})
    moved = DreamObjective(Tiny(place), recipe, octave=2)
    x, seen = picture(8), set()
    for step in range(4):
        move = shift(recipe, 2, step)
        seen.add(move)
        values, gradient = still(x.roll(move, (2, 3)))
        found, moved_gradient = moved(x)
        assert found["total"] == pytest.approx(values["total"])
        torch.testing.assert_close(moved_gradient, gradient.roll((-move[0], -move[1]), (2, 3)))
    assert len(seen) > 1 and max(abs(n) for move in seen for n in move) <= 3


def test_a_margin_keeps_the_seam_out_of_the_picture(ready):
    slope = (0.5 - 0.5 * torch.linspace(0, torch.pi, 32).cos()).expand(1, 3, 32, 32)  # level at its black and white ends
    loud = []
    for margin in (0, 8):
        recipe = dream_recipe(**SMALL | {"normalize": "none", "unit": 1.0, "jitter": 12, "margin": margin})
        _, gradient = DreamObjective(ready.net, recipe)(slope)
        loud.append(float(gradient[..., [0, -1]].abs().mean()))
    assert loud[0] > 5 * loud[1]


def test_a_margin_mirrors_without_a_gradient():
    x = picture().requires_grad_()
    wide = surrounded(x, 2)
    assert np.array_equal(wide.detach().numpy(), np.pad(x.detach().numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), "reflect"))
    wide.sum().backward()
    assert (x.grad == 1).all()
    assert surrounded(picture(3), 8).shape == (1, 3, 7, 7)


def test_jitter_depends_on_seed_octave_and_step_alone():
    recipe, other = dream_recipe(seed=1), dream_recipe(seed=2)
    assert shift(recipe, 1, 5) == shift(recipe, 1, 5)
    assert len({shift(recipe, 1, 5), shift(recipe, 2, 5), shift(recipe, 1, 6), shift(other, 1, 5)}) == 4


def test_gradients_are_normalized_in_units_for_each_picture():
    x = picture(count=2) * torch.tensor([1.0, 50.0]).view(2, 1, 1, 1)
    _, by_mean = DreamObjective(Tiny(), dream_recipe(**PLAIN | {"normalize": "mean", "unit": 255.0}))(x)
    torch.testing.assert_close(by_mean.abs().mean((1, 2, 3)) / 255, torch.ones(2).double())
    _, by_deviation = DreamObjective(Tiny(), dream_recipe(**PLAIN | {"normalize": "std", "unit": 4.0}))(x)
    torch.testing.assert_close(by_deviation.std((1, 2, 3), correction=0) / 4, torch.ones(2).double())
    torch.testing.assert_close(by_deviation.mean((1, 2, 3)), torch.zeros(2).double(), atol=1e-9, rtol=0)


def test_where_nothing_can_be_raised_the_gradient_is_zero():
    for how in ("mean", "std", "none"):
        _, gradient = DreamObjective(Tiny(0.0), dream_recipe(**PLAIN | {"normalize": how}))(picture())
        assert not gradient.any()


def test_a_flat_loss_is_no_stall(photo, dreamer):
    dreamer.net, dreamer.recipe = Tiny(0.0), dream_recipe(**SMALL | {"octaves": 1, "steps": 12})
    notes = []
    result = dreamer.dream(photo[:32, :32], lambda at: notes.append(at.step.note))
    assert notes == [""] * 12
    assert np.array_equal(result, photo[:32, :32])


def test_smoothing_spreads_the_gradient_and_keeps_its_sum():
    spike = torch.zeros(1, 3, 31, 31)
    spike[0, 1, 15, 15] = 1.0
    blurred = cascade(spike, 1.0, 6)
    assert float(blurred.sum()) == pytest.approx(1.0, abs=1e-5)
    assert not blurred[0, 0].any()
    # the mean of Gaussians of 1/2, 1 and 2, at their center
    center = np.mean([1 / sum(np.exp(-0.5 * (n / s) ** 2) for n in range(-6, 7)) ** 2 for s in (0.5, 1, 2)])
    assert float(blurred[0, 1, 15, 15]) == pytest.approx(center, rel=1e-4)


def test_smoothing_grows_within_an_octave():
    recipe = dream_recipe(**PLAIN | {"smooth": 2.0, "steps": 3})
    objective, x = DreamObjective(Tiny(), recipe), picture(16).float()
    rough = [float(objective(x)[1].diff(dim=3).abs().mean()) for _ in range(3)]
    assert rough[0] > rough[1] > rough[2] > 0


def test_a_border_does_not_count():
    objective = DreamObjective(Tiny(), dream_recipe(**PLAIN | {"border": 2}))
    x = picture()
    values, gradient = objective(x)
    assert float(values["dream"]) == pytest.approx(float(x[..., 2:4, 2:4].square().mean()))
    inside = torch.zeros(6, 6, dtype=torch.bool)
    inside[2:4, 2:4] = True
    assert not gradient[..., ~inside].any() and gradient[..., inside].all()


def test_a_single_channel_alone_is_raised(photo, dreamer):
    _, gradient = DreamObjective(Tiny(), dream_recipe(**PLAIN | {"units": "1"}))(picture())
    assert gradient[:, 1].all() and not gradient[:, [0, 2]].any()

    dreamer.recipe = dream_recipe(**SMALL | {"units": "7", "steps": 5})
    others = copy.copy(dreamer)
    others.recipe = dream_recipe(**SMALL | {"units": "9", "steps": 5})
    one, other = (
        dreamer.net(tensor(d.dream(photo)), ["relu2_1"])["relu2_1"].square().mean((0, 2, 3)) for d in (dreamer, others)
    )
    assert one[7] > 1.5 * other[7] and other[9] > 1.5 * one[9]


def test_a_guide_draws_each_position_to_its_best_match():
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]).view(1, 3, 1, 2)  # positions (1, 0, 0) and (0, 2, 0)
    guide = torch.tensor([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [5.0, 7.0, 9.0]])  # vectors (3, 0, 5), (1, 2, 7), (0, 1, 9)
    values, gradient = DreamObjective(Tiny(), dream_recipe(**PLAIN), guide={"relu1_1": guide})(x)
    assert float(values["dream"]) == pytest.approx((3 + 4) / 6)
    assert (gradient[0, :, 0].T * -6).tolist() == pytest.approx(np.array([[3.0, 0.0, 5.0], [1.0, 2.0, 7.0]]))


def test_octaves_shrink_by_the_scale_and_never_enlarge():
    recipe = dream_recipe(octaves=3, octave_scale=1.5, size=300)
    assert octave_sizes(recipe, 200, 600) == [(44, 133), (67, 200), (100, 300)]
    assert octave_sizes(recipe, 90, 180)[-1] == (90, 180)
    small = dream_recipe(octaves=4, octave_scale=2.0, layers={"relu4_3": 1.0})
    assert octave_sizes(small, 30, 40) == [(8, 10), (15, 20), (30, 40)]
    with pytest.raises(ConfigError, match=r"at 40x15 pixels.*relu5_1, which needs 16.*--layers"):
        octave_sizes(dream_recipe(layers={"relu5_1": 1.0}), 15, 40)
    with pytest.raises(ConfigError, match=r"at 40x15 pixels.*needs 40; use a larger --size"):
        octave_sizes(dream_recipe(border=2, size=40, layers={"relu4_3": 1.0}), 150, 400)


def test_lost_detail_is_given_back():
    pixels, smaller = torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), 0.2)
    base = picture(4).float()
    torch.testing.assert_close(enlarged(pixels, smaller, base, True), base + 0.3)
    torch.testing.assert_close(enlarged(pixels, smaller, base, False), torch.full((1, 3, 4, 4), 0.5))


@pytest.mark.parametrize(("detail", "same"), [(True, True), (False, False)])
def test_without_steps_of_any_size_detail_brings_the_photo_back(photo, dreamer, detail, same):
    dreamer.recipe = dream_recipe(**SMALL | {"size": 96, "rate": 0.0, "detail": detail})
    assert np.array_equal(dreamer.dream(photo), photo) == same


@pytest.mark.parametrize(("most", "steps"), [(1e-9, 2), (0.0, 6), (1e12, 6)])
def test_an_octave_stops_beyond_the_cap(photo, dreamer, most, steps):
    seen = []
    dreamer.recipe = dream_recipe(**SMALL | {"steps": 3, "most": most})
    dreamer.dream(photo, seen.append)
    assert len(seen) == steps
    assert {at.scale for at in seen} == {0, 1}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_raises_what_it_says(photo, preset):
    recipe = dream_recipe(preset, size=80, octaves=1, steps=3)
    dreamer = Dreamer(recipe, device=CPU)
    before, after = (
        DreamObjective(dreamer.net, dream_recipe(preset, jitter=0))(tensor(rgb))[0]
        for rgb in (resize(photo, longer=80), dreamer.dream(photo))
    )
    assert after["dream"] > 1.5 * before["dream"]
    assert after["total"] < before["total"]


def test_the_last_iterate_is_the_result(photo, dreamer):
    """Of a single step, the best iterate would be the photo itself."""
    dreamer.recipe = dream_recipe(**SMALL | {"octaves": 1, "steps": 1, "jitter": 0})
    moved = np.abs(dreamer.dream(photo[:32, :32]).astype(float) - photo[:32, :32])
    assert 1.2 < moved.mean() < 1.8  # the mean size of a step is 1.5


def test_dreams_repeat_by_seed(photo, dreamer):
    first, again, other = dreamer.dream(photo), dreamer.dream(photo), dreamer.dream(photo, seed=1)
    assert first.shape == (32, 32, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_guide_changes_the_dream(photo, dreamer):
    guided = Dreamer(dreamer.recipe, scenes.draw(5, 40), CPU)
    assert not np.array_equal(dreamer.dream(photo), guided.dream(photo))
    with pytest.raises(ConfigError, match=r"guide: at 1x1 pixels too small for relu2_1"):
        Dreamer(dreamer.recipe, photo[:1, :1], CPU)


def test_zoomed_shows_the_middle():
    frame = np.zeros((40, 60, 3), np.uint8)
    frame[10:30, 15:45] = 200
    assert zoomed(frame, 2.0).shape == (40, 60, 3)
    assert (zoomed(frame, 2.0)[8:-8, 8:-8] == 200).all()
    assert np.array_equal(zoomed(frame, 1.0), frame)


def test_each_frame_starts_from_the_one_before(photo, dreamer):
    dreamer.recipe = dream_recipe(**SMALL | {"frames": 3, "zoom": 1.2})
    frames = list(dreamer.zoom(photo))
    assert len(frames) == 3
    assert np.array_equal(frames[0], dreamer.dream(photo))
    assert np.array_equal(frames[2], dreamer.dream(zoomed(frames[1], 1.2), seed=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"units": "3;7"}, "units: '3;7' are no channel numbers"),
        ({"units": "3,,7"}, "units: '3,,7' are no channel numbers"),
        ({"size": 0}, "size: 0 is too small"),
        ({"normalize": "max"}, "normalize: unknown value 'max'"),
        ({"octave": 2}, "unknown key 'octave'; did you mean 'octaves'"),
    ],
)
def test_wrong_settings_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        dream_recipe(**changes)
    with pytest.raises(ConfigError, match=r"unknown name 'inception'; choose from google"):
        dream_recipe("inception")


def test_channels_beyond_the_layer_are_named():
    with pytest.raises(ConfigError, match=r"units: '3,128' go beyond relu2_1, whose channels are 0 to 127"):
        Dreamer(dream_recipe(layers={"relu2_1": 1.0}, units="3,128"), device=CPU)


FLAGS = ["--layers", "relu1_2", "--size", "48", "--octaves", "2", "--steps", "2", "--device", "cpu"]


@pytest.fixture
def file(tmp_path, photo):
    alpha = np.full(photo.shape[:2], 100, np.uint8)
    save_image(tmp_path / "hill.png", photo, like=Picture(photo, alpha))
    return tmp_path / "hill.png"


def test_the_command_writes_one_picture(file, capsys):
    assert main(["dream", str(file), *FLAGS]) == 0
    out = file.with_name("hill-dream.png")
    assert capsys.readouterr().out.strip() == str(out)
    assert read_image(out).rgb.shape == (48, 48, 3)
    assert (read_image(out).alpha == 100).all()
    assert main(["dream", str(file), *FLAGS]) == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert main(["dream", str(file), *FLAGS, "--overwrite", "--guide", str(file)]) == 0


def test_the_command_resumes_its_frames(file, tmp_path, capsys):
    call = ["dream", str(file), *FLAGS, "-o", str(tmp_path / "flight"), "--frames", "3"]
    assert main(call) == 0
    names = [f"frame_{n:05}.png" for n in range(3)]
    assert sorted(p.name for p in (tmp_path / "flight").iterdir()) == names
    whole = [(tmp_path / "flight" / name).read_bytes() for name in names]
    (tmp_path / "flight" / names[2]).unlink()
    assert main(call) == 2
    assert "holds files already" in capsys.readouterr().err
    assert main([*call, "--resume"]) == 0
    assert [(tmp_path / "flight" / name).read_bytes() for name in names] == whole
    assert main([*call, "--resume", "--frames", "4", "--size", "40"]) == 2
    assert "is not 40x40 pixels" in capsys.readouterr().err
    assert main(["dream", str(tmp_path / "flight" / names[1]), *FLAGS, *call[-4:], "--overwrite"]) == 2
    assert "is one of the inputs, which are never touched" in capsys.readouterr().err
    assert [(tmp_path / "flight" / name).read_bytes() for name in names] == whole
    assert main([*call, "--overwrite", "--frames", "2"]) == 0
    assert sorted(p.name for p in (tmp_path / "flight").iterdir()) == names[:2]


class Asked:
    """A Ctrl-C before the first step."""

    asked, code = True, 130

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


def test_ctrl_c_keeps_what_is_there(file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(verb, "Interrupt", Asked)
    assert main(["dream", str(file), *FLAGS]) == 130
    assert "the picture so far" in capsys.readouterr().err
    assert read_image(file.with_name("hill-dream.png")).rgb.shape == (48, 48, 3)
    assert main(["dream", str(file), *FLAGS, "--frames", "2", "-o", str(tmp_path / "flight")]) == 130
    assert "holds 0 whole frames" in capsys.readouterr().err
    assert not (tmp_path / "flight").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "size: the picture, at 1x1 pixels, is too small for relu5_1, which needs 16; use a larger one"),
        (["--layers", "mixed4"], "layer 'mixed4': vgg16 has relu1_1"),
        (["-o", "{}"], "is one of the inputs"),
        (["-o", "x.xyz"], "cannot write .xyz"),
        (["--resume"], "resume: one picture is not resumed"),
        (["--guide", "missing.jpg"], "missing.jpg: no such file"),
        (["--frames", "2", "-o", "{}.txt"], "is a file, where a folder"),
    ],
)
def test_wrong_input_takes_one_line_and_writes_nothing(tmp_path, capsys, flags, message):
    dot = tmp_path / "dot.png"
    save_image(dot, np.zeros((1, 1, 3), np.uint8))
    (tmp_path / "dot.png.txt").write_text("mine")
    assert main(["dream", str(dot), *[flag.format(dot) for flag in flags]]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1 and not printed.out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["dot.png", "dot.png.txt"]
