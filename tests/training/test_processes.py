"""Training in two processes on this machine, which Lightning starts, and what they do together."""

import csv

import pytest
from forks import Command

from onestroke.cli.main import run as cli
from onestroke.training.checkpoint import load_checkpoint

SMALL = ["--size", "32", "--batch", "4", "--style-size", "48", "--style-layers", "relu1_2", "relu2_1", "--content-layers",
         "relu2_1", "--precision", "fp32", "--device", "cpu", "--val-every", "3", "--preview-every", "9", "--save-every",
         "2"]  # fmt: skip
# Without the export; in the second process the loss is no number, once, where a marker says so.
CHANGED = """
import os, pathlib, sys
from onestroke import api
from onestroke.training.step import TrainingStep
marker, learn = pathlib.Path(sys.argv[0] + ".once"), TrainingStep.terms
def terms(self, net, batch, step):
    found = learn(self, net, batch, step)
    if step == 5 and os.environ.get("LOCAL_RANK") == "1" and marker.exists():
        marker.unlink()
        found["total"] = found["total"] * float("nan")
    return found
TrainingStep.terms = terms
api._finish = lambda trained: api.Run(trained.folder, trained.steps, trained.objective, trained.folder, trained.folder)
"""
# What Lightning starts the second process with: the command that the first one seems to be.
SCRIPT = f"{CHANGED}\nfrom onestroke.cli.main import run\nsys.exit(run('train', sys.argv[1:]))\n"


def rows(run):
    with (run / "metrics.csv").open(newline="") as file:
        return [(row["step"], row["part"], row["total"], row["seconds"] and "") for row in csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.usefixtures("unexported")
def test_two_processes_do_what_one_does(tmp_path, painting, photos):
    script = tmp_path / "train_small.py"
    script.write_text(SCRIPT)
    out, reference = tmp_path / "two", tmp_path / "one"
    given = [str(painting), "--content", str(photos), *SMALL, "--steps", "3"]

    def run(*more):
        seeming = f"import sys\nsys.argv = {[str(script), *more]}\n{CHANGED}"
        command = Command(tmp_path / "said.log", "train", *more, before=seeming)
        assert command.end(300) == 0, command.said
        return command.said

    assert cli("train", [*given, "--out", str(reference)]) == 0
    run(*given, "--out", str(out), "--devices", "2")
    assert len(rows(out)) == len(rows(reference)) > 0  # one writer
    for mine, due in zip(rows(out), rows(reference), strict=True):
        assert mine[:2] == due[:2] and float(mine[2]) == pytest.approx(float(due[2]), rel=1e-3)

    (tmp_path / "train_small.py.once").touch()
    said = run("--out", str(out), "--resume", "--steps", "8", "--devices", "2")
    assert said.count("going back to step 4 with half the rate") == 1
    saved = load_checkpoint(out / "last.ckpt")
    assert saved["global_step"] == 8 and saved["rate_scale"] == 0.5
    # With another number of processes.
    assert cli("train", ["--out", str(out), "--resume", "--steps", "9", "--devices", "1"]) == 0
    assert load_checkpoint(out / "last.ckpt")["global_step"] == 9


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--devices", "2"], "--out"),
        (["--devices", "2", "--out", "new", "--config", "batch.yaml"], "use a multiple of 4"),
        (["--nodes", "0"], "nodes: 0 is too small"),
    ],
)
def test_what_processes_cannot_share_is_one_line(tmp_path, painting, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch.yaml").write_text("batch: 6\nsize: 64\n")
    assert cli("train", [str(painting), "--device", "cpu", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not (tmp_path / "new").exists()
