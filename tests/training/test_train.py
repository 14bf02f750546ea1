"""Whole runs, through the command that users type, on small crops and the first VGG layers."""

import csv
import os
import shutil
import signal
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from forks import Command
from PIL import Image

from onestroke import bundled
from onestroke.cli.main import run as cli
from onestroke.config.schema import merge, read_yaml, write_mapping
from onestroke.config.training import TrainConfig
from onestroke.errors import ConfigError, Diverged, TrainingError
from onestroke.exporting import onnx as exporting
from onestroke.inference.stylizer import Stylizer
from onestroke.networks import registry as networks
from onestroke.training.budget import Clock
from onestroke.training.callbacks import Checkpoint
from onestroke.training.checkpoint import load_checkpoint
from onestroke.training.module import StyleModule
from onestroke.training.run import TRAINING, train
from onestroke.training.schedule import Rate
from onestroke.training.step import TrainingStep

SMALL = ["--size", "32", "--batch", "2", "--style-size", "48", "--style-layers", "relu1_2", "relu2_1",
         "--content-layers", "relu2_1", "--device", "cpu", "--val-every", "5", "--preview-every", "10"]  # fmt: skip


def arguments(painting, photos, out, *more):
    return [str(painting), "--content", str(photos), "--out", str(out), *SMALL, *more]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, painting, photos):
    """An uninterrupted run of 24 steps."""
    out = tmp_path_factory.mktemp("run") / "whole"
    assert cli("train", arguments(painting, photos, out, "--steps", "24", "--save-every", "7")) == 0
    return out


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "last.ckpt")["state_dict"]


def assert_same_weights(run, other):
    wanted = weights_of(other)
    found = weights_of(run)
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(found[name], tensor), name


def test_a_run_leaves_everything_it_promises(finished):
    with (finished / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    held_out = [float(row["total"]) for row in rows if row["part"] == "val"]
    assert len(held_out) == 4 and held_out[-1] < held_out[0]
    assert read_yaml(finished / "config.yaml")["steps"] == 24
    assert {p.name for p in (finished / "previews").iterdir()} == {
        *("style_stripes.jpg", "step_000010.jpg", "step_000020.jpg", "step_000024.jpg")
    }
    assert list((finished / "tensorboard").glob("events*"))
    assert (finished / "sample.png").is_file()
    card = Stylizer(finished / "stripes.onnx", device="cpu").card
    assert card.steps == 24 and card.painting == "stripes.png" and set(card.objective) == {"style", "content", "tv", "total"}
    assert card.parity["most"] <= 1
    assert not list(finished.glob("*.part"))


def test_vgg_is_not_in_the_checkpoint(finished):
    assert not any("vgg" in name for name in weights_of(finished))
    assert any("style" in name for name in weights_of(finished))  # the losses' units are


def start(painting, photos, out, *more):
    return Command(out.with_suffix(".log"), "train", *arguments(painting, photos, out, *more))


def wait_for_rows(out, count, command):
    def there():
        return (out / "metrics.csv").exists() and len((out / "metrics.csv").read_text().splitlines()) > count

    command.wait_for(there)
    assert there(), f"the run never got there: {command.said}"


@pytest.mark.usefixtures("unexported")
def test_killed_and_resumed_gives_the_same_weights(tmp_path, painting, photos, finished):
    out = tmp_path / "killed"
    command = start(painting, photos, out, "--steps", "24", "--save-every", "7")
    wait_for_rows(out, 2, command)
    time.sleep(np.random.default_rng().uniform(0, 0.5))  # any moment will do, inside a save included
    command.send(signal.SIGKILL)
    command.end()
    reached = load_checkpoint(out / "last.ckpt")["global_step"]
    assert cli("train", ["--out", str(out), "--resume"]) == 0
    assert reached in (7, 14, 21, 24)  # what was saved when the kill came, never something between
    assert_same_weights(out, finished)
    steps = [row.split(",")[0] for row in (out / "metrics.csv").read_text().splitlines() if ",train," in row]
    assert steps == ["10", "20"]  # no row twice


@pytest.mark.usefixtures("unexported")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_stops_a_run_saves_says_how_to_go_on_and_loses_nothing(number, code, tmp_path, painting, photos):
    out = tmp_path / "stopped"
    command = start(painting, photos, out, "--steps", "400", "--save-every", "1000")
    wait_for_rows(out, 2, command)
    command.send(number)
    assert command.end() == code, command.said
    assert "--resume" in command.said and "Traceback" not in command.said
    reached = load_checkpoint(out / "last.ckpt")["global_step"]
    assert 0 < reached < 400
    more = str(reached + 5)
    assert cli("train", ["--out", str(out), "--resume", "--steps", more]) == 0
    assert load_checkpoint(out / "last.ckpt")["global_step"] == reached + 5


@pytest.mark.usefixtures("unexported")
def test_minutes_become_steps_that_are_written_down(tmp_path, painting, photos):
    out = tmp_path / "timed"
    assert cli("train", arguments(painting, photos, out, "--minutes", "0.02", "--warmup", "2")) == 0
    saved = read_yaml(out / "config.yaml")
    assert saved["minutes"] == 0 and saved["steps"] == load_checkpoint(out / "last.ckpt")["global_step"]


def test_the_rate_warms_up_stays_level_and_falls_to_zero():
    rate = Rate(1.0, warmup=10, steps=99)
    rates = [rate.at(step) for step in range(99)]
    assert rates[0] == pytest.approx(0.1) and set(rates[9:67]) == {1.0}
    assert rates[98] < 0.01 and all(a > b for a, b in pairwise(rates[66:]))


@pytest.mark.slow
@pytest.mark.usefixtures("unexported")
def test_a_time_budget_is_kept_by_taking_fewer_steps(tmp_path, painting, photos, monkeypatch, capsys):
    """Ten ticks a step, of a budget of 600: two thirds are over after 40 steps, so 60 are the end, as --steps 60 has it."""
    ticks = iter(range(0, 10**9, 10))
    monkeypatch.setattr(Clock, "elapsed", lambda self: self.earlier + self.now)
    monkeypatch.setattr(Clock, "now", 0.0, raising=False)
    tick = StyleModule.training_step

    def step(self, *arguments):
        Clock.now = float(next(ticks)) + 10
        return tick(self, *arguments)

    monkeypatch.setattr(StyleModule, "training_step", step)
    minutes = str(600 / 60 / TRAINING)
    timed, repeated = tmp_path / "timed", tmp_path / "repeated"
    assert cli("train", arguments(painting, photos, timed, "--minutes", minutes, "--warmup", "2")) == 0
    assert "60 steps fit the time" in (said := "".join(capsys.readouterr())) and "those are few" in said
    saved = read_yaml(timed / "config.yaml")
    assert (saved["minutes"], saved["steps"]) == (0, 60) and load_checkpoint(timed / "last.ckpt")["global_step"] == 60
    assert cli("train", arguments(painting, photos, repeated, "--steps", "60", "--warmup", "2")) == 0
    assert_same_weights(repeated, timed)


def test_two_paintings_make_one_network_with_two_styles(tmp_path, painting, photos):
    other, out = tmp_path / "dark.png", tmp_path / "run"
    Image.fromarray(255 - np.asarray(Image.open(painting))[::-1] // 2).save(other)
    given = [
        str(painting),
        str(other),
        "--content",
        str(photos),
        "--out",
        str(out),
        *SMALL,
        "--initialize-from",
        "none",
        "--steps",
        "8",
    ]
    assert cli("train", given) == 0
    model = out / "stripes_and_1_more.onnx"
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    pictures = {s: Stylizer(model, "cpu", style=s)(photo).astype(int) for s in ("", "stripes", "dark", "stripes:0.5,dark:0.5")}
    assert np.array_equal(pictures[""], pictures["stripes"]) and not np.array_equal(pictures[""], pictures["dark"])
    mixed = pictures["stripes:0.5,dark:0.5"]
    assert not np.array_equal(mixed, pictures["dark"]) and not np.array_equal(mixed, pictures["stripes"])
    Image.fromarray(photo).save(tmp_path / "photo.png")
    assert cli("stylize", [str(model), str(tmp_path / "photo.png"), "--style", "stripes:0.5,dark:0.5", "--device", "cpu"]) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "photo-stripes-dark.png")), mixed)
    strips = Stylizer(model, "cpu", memory=1, style="stripes:0.5,dark:0.5")(np.tile(photo, (4, 1, 1)))
    whole = Stylizer(model, "cpu", memory=10_000, style="stripes:0.5,dark:0.5")(np.tile(photo, (4, 1, 1)))
    assert np.abs(strips.astype(int) - whole).max() <= 1
    for style, message in (
        ("gone", "has no 'gone'; it has stripes, dark"),
        ("stripes:0.5,dark:0.7", "add up to 1.2"),
        ("stripes:much", "'much' is no weight"),
        ("stripes:2,dark:-1", "none below 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            Stylizer(model, "cpu", style=style)


@pytest.mark.slow
@pytest.mark.usefixtures("unexported")
def test_windows_of_losses_train_and_resume_exactly(tmp_path, painting, photos, monkeypatch):
    """Windows lie elsewhere at every step, and where they would have been after a stop."""
    scale = {"window": 32, "windows": 2, "style": ["relu1_1", "relu2_1"], "content": {"relu2_2": 1.0}}
    write_mapping({"scales": [scale, {"reduction": 2, "style": ["relu2_1"]}]}, tmp_path / "windows.yaml")
    given = [str(painting), "--config", str(tmp_path / "windows.yaml"), "--content", str(photos)]
    given += ["--size", "64", "--batch", "2", "--network", "tiny", "--initialize-from", "none"]
    given += ["--device", "cpu", "--steps", "6", "--save-every", "100"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert cli("train", [*given, "--out", str(whole)]) == 0

    with monkeypatch.context() as patch:
        step = StyleModule.training_step

        def interrupted(module, batch, index):
            if module.global_step == 3:
                os.kill(os.getpid(), signal.SIGINT)
            return step(module, batch, index)

        patch.setattr(StyleModule, "training_step", interrupted)
        assert cli("train", [*given, "--out", str(stopped)]) == 130
    assert load_checkpoint(stopped / "last.ckpt")["global_step"] in (3, 4)
    assert cli("train", ["--out", str(stopped), "--resume"]) == 0
    assert_same_weights(stopped, whole)


@pytest.mark.usefixtures("unexported")
def test_crops_are_what_most_photos_reach(tmp_path, painting, photos):
    place = [str(painting), "--content", str(photos), *SMALL[2:], "--steps", "1", "--out", str(tmp_path / "run")]
    assert cli("train", place) == 0
    assert read_yaml(tmp_path / "run" / "config.yaml")["size"] == 64  # of 80


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ("[{reduction: 8, style: [relu1_1]}]", "at 1/8 less than 16 px"),
        ("[{window: 8, style: [relu1_1]}]", "less than 16 px"),
        ("[{content: {relu1_1: 1}}]", "none has style layers"),
        ("[{style: [relu1_1]}, {reduction: 2}]", "1/2 names no layers"),
        ("[{style: [relu7_1]}]", "layer 'relu7_1'"),
    ],
)
def test_scales_that_cannot_be_are_one_line(scales, message, tmp_path, painting, photos, capsys):
    (tmp_path / "bad.yaml").write_text(f"scales: {scales}\nsize: 64\n")
    place = [str(painting), "--content", str(photos), "--config", str(tmp_path / "bad.yaml"), "--out", str(tmp_path / "run")]
    assert cli("train", [*place, "--steps", "1", "--initialize-from", "none", "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "run").exists()


@pytest.mark.usefixtures("unexported")
def test_nan_goes_back_with_half_the_rate_then_gives_up(tmp_path, painting, photos, monkeypatch, capsys):
    watch, poisoned = StyleModule._watch, []

    def poison(self, total):
        if self.global_step == 9 and len(poisoned) < limit:
            poisoned.append(self.rate_scale)
            total = total * float("nan")
        watch(self, total)

    monkeypatch.setattr(StyleModule, "_watch", poison)
    limit = 1
    out = tmp_path / "once"
    assert cli("train", arguments(painting, photos, out, "--steps", "12", "--save-every", "4")) == 0
    assert "going back to step 8 with half the rate" in capsys.readouterr().out
    assert load_checkpoint(out / "last.ckpt")["rate_scale"] == 0.5
    assert all(torch.isfinite(tensor).all() for tensor in weights_of(out).values())
    limit, poisoned = 99, []
    assert cli("train", arguments(painting, photos, tmp_path / "always", "--steps", "12")) == 2
    assert poisoned == [1, 0.5, 0.25, 0.125]
    assert "use a smaller --rate" in capsys.readouterr().err


def test_an_explosion_is_noticed():
    module = StyleModule.__new__(StyleModule)
    torch.nn.Module.__init__(module)
    module.smoothed, module.lowest = torch.tensor(0.5), torch.tensor(0.4)
    module._fabric = module._trainer = None
    for _ in range(3):
        StyleModule._watch(module, torch.tensor(1.2))  # batches differ
    with pytest.raises(Diverged):
        StyleModule._watch(module, torch.tensor(50.0))


def test_resuming_refuses_what_would_make_it_another_run(finished, capsys):
    assert cli("train", ["--out", str(finished), "--resume", "--network", "johnson"]) == 2
    assert "network was 'onestroke'" in capsys.readouterr().err


@pytest.mark.usefixtures("unexported")
def test_the_command_of_a_run_resumes_it(finished, painting, photos, tmp_path, monkeypatch):
    """Relative paths name the same photos as the absolute ones in the saved configuration."""
    run = shutil.copytree(finished, tmp_path / "run")
    monkeypatch.chdir(photos)
    assert cli("train", [str(painting), "--content", ".", "--out", str(run), "--resume", "--steps", "26"]) == 0
    assert load_checkpoint(run / "last.ckpt")["global_step"] == 26


def test_a_run_with_other_settings_is_not_taken_for_this_one(finished):
    config = merge(TrainConfig(), read_yaml(finished / "config.yaml"), "saved")
    before = (finished / "config.yaml").read_bytes()
    with pytest.raises(ConfigError, match="holds a run with another seed"):
        train(replace(config, seed=7), finished)
    assert (finished / "config.yaml").read_bytes() == before


@pytest.mark.slow
@pytest.mark.usefixtures("unexported")
def test_a_painting_with_brackets_in_its_name_finds_its_runs(painting, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = shutil.copy(painting, tmp_path / "wave[1].png")
    more = ["--content", str(photos), *SMALL, "--steps", "2"]
    assert cli("train", [str(named), *more]) == 0 and cli("train", [str(named), *more]) == 0
    assert sorted(p.name for p in Path("runs").iterdir()) == ["wave[1]", "wave[1]-2"]
    assert cli("train", [str(named), "--resume", "--minutes", "1"]) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("unexported")
def test_a_yaml_given_with_resume_must_be_the_same(finished, tmp_path, capsys):
    (tmp_path / "other.yaml").write_text("steady_weight: 2.0\n")
    assert cli("train", ["--out", str(finished), "--resume", "--config", str(tmp_path / "other.yaml")]) == 2
    assert "steady_weight was 0.5" in capsys.readouterr().err
    # Numbers that YAML reads as text are the same nevertheless, and a size of 0 is the one that the run settled on.
    (tmp_path / "other.yaml").write_text("tv_weight: 5e-2\nsize: 0\n")
    assert cli("train", ["--out", str(finished), "--resume", "--config", str(tmp_path / "other.yaml")]) == 0


def test_weights_that_are_no_numbers_replace_no_checkpoint(tmp_path):
    module = StyleModule(networks.build("tiny"), TrainingStep(torch.nn.Identity()), Rate(0.01))
    trainer = SimpleNamespace(
        lightning_module=module, global_step=7, is_global_zero=True, save_checkpoint=lambda path: path.write_text("new")
    )
    checkpoint = Checkpoint(tmp_path / "last.ckpt", 1)
    checkpoint.save(trainer)
    next(module.net.parameters()).data[0] = float("nan")
    (tmp_path / "last.ckpt").write_text("good")
    with pytest.raises(Diverged, match="step 7"):
        checkpoint.save(trainer)
    assert (tmp_path / "last.ckpt").read_text() == "good"


def test_a_full_disk_is_one_line(tmp_path):
    def full(path):
        raise OSError(28, "No space left on device")

    module = StyleModule(networks.build("tiny"), TrainingStep(torch.nn.Identity()), Rate(0.01))
    with pytest.raises(TrainingError, match=r"No space left on device.*--resume"):
        trainer = SimpleNamespace(lightning_module=module, global_step=1, is_global_zero=True, save_checkpoint=full)
        Checkpoint(tmp_path / "x.ckpt", 1).save(trainer)


def test_a_finished_run_is_not_trained_over(finished, painting, photos, capsys):
    before = (finished / "last.ckpt").stat().st_mtime_ns
    assert cli("train", arguments(painting, photos, finished, "--steps", "5")) == 2
    assert "holds a run already" in capsys.readouterr().err
    assert (finished / "last.ckpt").stat().st_mtime_ns == before


@pytest.mark.slow
def test_exporting_a_run_again_gives_the_same_picture(finished, tmp_path):
    assert cli("export", [str(finished), "-o", str(tmp_path / "again.onnx")]) == 0
    assert cli("export", [str(finished), "-o", str(tmp_path / "planes.onnx"), "--io", "float"]) == 0
    photo = np.random.default_rng(0).integers(0, 256, (50, 67, 3)).astype(np.uint8)
    wanted = Stylizer(finished / "stripes.onnx", "cpu")(photo)
    assert np.array_equal(Stylizer(tmp_path / "again.onnx", "cpu")(photo), wanted)
    planes = Stylizer(tmp_path / "planes.onnx", "cpu")
    assert planes.card.io == "float"
    assert np.abs(planes(photo).astype(int) - wanted).max() <= 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["gone.jpg"], "gone.jpg: no such file"),
        (["README.md"], "README.md: not a picture"),
        (["--content", "gone"], "gone: no such folder"),
        (["--network", "unet"], "network: unknown 'unet'"),
        (["--style-layers", "relu9_9"], "layer 'relu9_9'"),
        (["--batch", "0"], "batch: 0 is too small"),
        (["--device", "tpu"], "device: unknown value 'tpu'"),
        (["--config", "gone.yaml"], "gone.yaml: cannot read"),
        (["--vgg-weights", "README.md"], "unknown kind of weights"),
        (["--out", "README.md/run"], "cannot be written"),
        (["--resume", "--out", "gone"], "gone holds no run"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(flags, message, painting, photos, tmp_path, capsys):
    out = tmp_path / "run"
    given = {"--content": str(photos), "--out": str(out), "--steps": "1", "--size": "32", "--batch": "2", "--device": "cpu",
             "--style-layers": "relu1_2"}  # fmt: skip
    wrong = [] if flags[0].startswith("--") else flags[:1]
    named = flags[len(wrong) :]
    for key in named:
        given.pop(key, None)
    if "--resume" in flags:
        given = {}
    words = [str(word) for pair in given.items() for word in pair]
    assert cli("train", [*(wrong or ([] if "--resume" in flags else [str(painting)])), *words, *named]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not out.exists()


@pytest.mark.usefixtures("unexported")
def test_killed_before_the_first_save_and_resumed_gives_the_same_weights(tmp_path, painting, photos, finished):
    """The first checkpoint, of step 0, holds the weights that the run began with."""
    out = tmp_path / "killed"
    ends = "import os\nfrom onestroke.training.module import StyleModule\nStyleModule.training_step = lambda *a: os._exit(9)"
    given = arguments(painting, photos, out, "--steps", "24", "--save-every", "7")
    assert Command(tmp_path / "killed.log", "train", *given, before=ends).end() == 9
    assert load_checkpoint(out / "last.ckpt")["global_step"] == 0
    assert cli("train", ["--out", str(out), "--resume"]) == 0
    assert_same_weights(out, finished)


@pytest.mark.parametrize("change", ["lost", "renamed"])
def test_a_checkpoint_of_other_weights_is_refused(finished, tmp_path, capsys, change):
    run = shutil.copytree(finished, tmp_path / "run")
    saved = torch.load(run / "last.ckpt", weights_only=True)
    name = next(key for key in saved["state_dict"] if key.startswith("net."))
    value = saved["state_dict"].pop(name)
    if change == "renamed":
        saved["state_dict"][f"{name}.old"] = value
    torch.save(saved, run / "last.ckpt")
    assert cli("train", ["--out", str(run), "--resume", "--steps", "30"]) == 2
    assert name in capsys.readouterr().err


@pytest.mark.parametrize("before", [b"somebody's work", bundled.path("mosaic").read_bytes()])
def test_an_export_replaces_only_the_runs_own(finished, tmp_path, monkeypatch, capsys, before):
    monkeypatch.setattr(exporting, "export", lambda net, card, path, photos: shutil.copy(bundled.path("brushwork"), path))
    run, place = shutil.copytree(finished, tmp_path / "run"), tmp_path / "keep.onnx"
    place.write_bytes(before)
    assert cli("export", [str(run), "-o", str(place)]) == 2
    assert place.read_bytes() == before and "--overwrite" in capsys.readouterr().err
    assert cli("export", [str(run), "-o", str(place), "--overwrite"]) == 0
    assert place.read_bytes() != before
    assert cli("export", [str(run)]) == cli("export", [str(run)]) == 0


def test_a_run_goes_into_no_folder_that_holds_something_else(painting, photos, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert cli("train", arguments(painting, photos, tmp_path, "--steps", "1")) == 2
    assert "holds files" in capsys.readouterr().err and [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_time_is_counted_once_where_a_run_goes_back():
    clock = Clock(600.0, time.monotonic() - 100, lambda config: None)
    clock.load_state_dict({"elapsed": 50.0})  # resumed
    clock.on_train_start(None, None)
    assert clock.elapsed() == pytest.approx(150, abs=5)
    clock.load_state_dict({"elapsed": 120.0})  # gone back after a divergence
    assert clock.elapsed() == pytest.approx(150, abs=5)
