import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from onestroke.cli.main import VERBS, main
from onestroke.cli.progress import TrainingLine
from onestroke.events import Step


def test_help_lists_the_verbs(capsys):
    assert main([]) == main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(verb in printed for verb in VERBS)


def test_an_unknown_verb_is_named(capsys):
    assert main(["paint"]) == 2
    assert "'paint'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stylize", "great_wave", "a.jpg", "--strengh=2"], "unknown argument '--strengh=2'; did you mean --strength?"),
        (["doctor", "gpu"], "unknown argument 'gpu'; `onestroke doctor --help` tells more"),
        (["train", "--steps", "abc"], "argument --steps: invalid int value: 'abc'; `onestroke train --help` tells more"),
        (["export"], "the following arguments are required: run; `onestroke export --help` tells more"),
    ],
)
def test_wrong_flags_are_one_line(arguments, said, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"onestroke {arguments[0]}: {said}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_imports_nothing_heavy(verb):
    code = (
        "import sys\nfrom onestroke.cli.main import main\n"
        f"try: main([{verb!r}, '--help'])\nexcept SystemExit as e: assert e.code == 0\n"
        "heavy = {'torch', 'onnxruntime', 'pytorch_lightning', 'onnx'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--" in done.stdout


@pytest.mark.parametrize("verb", ["train", "export"])
def test_the_scripts_beside_the_readme_are_verbs(verb):
    done = subprocess.run([sys.executable, f"{verb}.py", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and f"usage: onestroke {verb}" in done.stdout


def command(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "onestroke", *arguments], stderr=subprocess.PIPE, stdout=subprocess.PIPE, **options
    )


def test_a_reader_that_leaves_ends_nothing():
    """As `onestroke styles | head -1` does, but with a pipe that is closed before anything is written."""
    with command("styles") as process:
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait() == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_full_output_is_one_line():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "onestroke", "styles"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0
    assert b"No space left" in done.stderr and done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_letters_that_a_terminal_lacks_do_not_cost_the_picture(encoding, tmp_path):
    photo = tmp_path / "\u732b\u00e9.png"
    Image.new("RGB", (40, 30), "teal").save(photo)
    process = command("stylize", "great_wave", str(photo), "--device", "cpu", env=os.environ | {"PYTHONIOENCODING": encoding})
    out, error = process.communicate()
    assert process.returncode == 0 and b"Traceback" not in error
    assert photo.with_name("\u732b\u00e9-great_wave.png").is_file() and b"great_wave.png" in out


def test_a_training_line_tells_means_of_the_last_fifty_steps():
    out = io.StringIO()
    line = TrainingLine(Console(file=out, width=200))
    for step in range(1, 61):
        line.show(Step(step, 60, True, {"total": 9.0, "style": float(step)}, seconds=step, pace=2, left=60 - step))
    assert [text.split()[:4] for text in out.getvalue().splitlines()] == [
        ["step", "50/60", "style", "25.500"],  # of 1 to 50
        ["step", "60/60", "style", "35.500"],  # of 11 to 60
    ]
