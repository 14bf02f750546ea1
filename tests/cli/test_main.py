import subprocess
import sys

import pytest

from onestroke.cli.main import VERBS, main


def test_help_lists_the_verbs(capsys):
    assert main([]) == main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(verb in printed for verb in VERBS)


def test_an_unknown_verb_is_named(capsys):
    assert main(["paint"]) == 2
    assert "'paint'" in capsys.readouterr().err


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
