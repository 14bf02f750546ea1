"""What kills, signals and full disks may cost: nothing that was saved. The counts of docs/reliability.md, in small."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from forks import Command
from PIL import Image
from tensorboard.summary.writer.record_writer import RecordWriter

from onestroke.cli.main import main
from onestroke.files import unfinished
from onestroke.inference.stylizer import Stylizer
from onestroke.training.callbacks import COLUMNS, Metrics
from onestroke.training.checkpoint import load_checkpoint

FAULTS = Path(__file__).parent.parent / "benchmarks" / "faults.py"
SMALL = ["--size", "32", "--batch", "2", "--style-size", "48", "--style-layers", "relu1_2", "--content-layers", "relu1_2",
         "--network", "tiny", "--initialize-from", "none", "--device", "cpu", "--val-every", "100"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="not on Windows")
def test_kills_at_random_moments_change_no_result():
    command = [sys.executable, str(FAULTS), "--kills", "1", "--others", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


@pytest.fixture
def pictures(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "abc":
        Image.new("RGB", (40, 30), "teal").save(tmp_path / "in" / f"{name}.png")
    return tmp_path / "in"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_folder_ends_with_the_picture_at_hand_and_says_how_to_go_on(number, code, pictures, tmp_path, monkeypatch, capsys):
    paint = Stylizer.__call__

    def stopped(self, *arguments):
        signal.raise_signal(number)
        return paint(self, *arguments)

    monkeypatch.setattr(Stylizer, "__call__", stopped)
    given = ["stylize", "brushwork", str(pictures), "-o", str(tmp_path / "out"), "--device", "cpu"]
    assert main(given) == code
    assert "--resume" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]
    monkeypatch.setattr(Stylizer, "__call__", paint)
    assert main([*given, "--resume"]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "b.png", "c.png"]


def test_sigterm_where_nothing_can_be_saved_leaves_nothing_half_written(pictures, tmp_path, monkeypatch, capsys):
    """While the model is opened; what is half-written then goes, as after Ctrl-C."""
    monkeypatch.setattr(Stylizer, "check_strength", lambda *_: signal.raise_signal(signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert main(["stylize", "brushwork", str(pictures), "-o", str(tmp_path / "out"), "--device", "cpu"]) == 143
    assert capsys.readouterr().err.strip() == "onestroke stylize: interrupted"
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.filterwarnings("error")
def test_a_disk_that_runs_full_between_two_checkpoints_is_one_line(painting, photos, tmp_path, monkeypatch, capsys):
    """TensorBoard writes in a thread of its own, and raises what that met at some later write."""
    write, left = RecordWriter.write, iter(range(3))

    def full(self, data):
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        write(self, data)

    given = ["train", str(painting), "--content", str(photos), "--out", str(tmp_path / "run"), "--steps", "60", *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(RecordWriter, "write", full)
        assert main([*given, "--preview-every", "5"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "No space left on device" in error and "--resume" in error
    assert load_checkpoint(tmp_path / "run" / "last.ckpt")["global_step"] == 0


def test_a_row_of_metrics_that_a_full_disk_cut_is_no_row(tmp_path):
    path = tmp_path / "metrics.csv"
    row = ",".join(["10", "train", *["0.5"] * (len(COLUMNS) - 3), "3.5"])
    path.write_text(f"{','.join(COLUMNS)}\n{row}\n2", newline="")
    Metrics(path).on_train_start(SimpleNamespace(global_step=20), None)
    with path.open(newline="") as file:
        assert [found["step"] for found in csv.DictReader(file)] == ["10"]
    path.write_text(f"{','.join(COLUMNS)}\n{row}\n\n", newline="")
    Metrics(path).on_train_start(SimpleNamespace(global_step=20), None)


def test_a_run_killed_before_its_settings_were_whole_begins_again(painting, photos, tmp_path, unexported):
    (tmp_path / "run").mkdir()
    unfinished(tmp_path / "run" / "config.yaml", 2**22 + 1).write_text("steps: 1")
    given = ["train", str(painting), "--content", str(photos), "--out", str(tmp_path / "run"), "--steps", "1", *SMALL]
    assert main(given) == 0
    assert not list((tmp_path / "run").glob(".*"))


@pytest.mark.slow
def test_a_kill_right_after_a_save_loses_no_row(painting, photos, tmp_path, unexported):
    ends = (
        "import os\nfrom onestroke.training.callbacks import Checkpoint\nsave = Checkpoint.save\n"
        "def killed(self, trainer):\n    save(self, trainer)\n    if trainer.global_step == 10: os._exit(9)\n"
        "Checkpoint.save = killed"
    )
    run = tmp_path / "run"
    given = ["train", str(painting), "--content", str(photos), "--out", str(run), "--steps", "12", "--save-every", "10", *SMALL]
    assert Command(tmp_path / "killed.log", *given, "--preview-every", "10", before=ends).end() == 9
    assert main(["train", "--out", str(run), "--resume"]) == 0
    with (run / "metrics.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file) if row["part"] == "train"] == ["10"]
    assert np.asarray(Image.open(run / "previews" / "step_000010.jpg")).size
