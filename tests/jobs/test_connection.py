import os

import pytest

from onestroke.errors import ConfigError
from onestroke.files import look_again, unfinished
from onestroke.jobs.connection import shared_file

GONE = 2**22 + 1  # more than Linux numbers processes by default


@pytest.mark.skipif(os.name == "nt", reason="there is no asking for processes by number there")
def test_the_file_that_workers_look_for_goes_and_what_a_kill_left_of_it_too(tmp_path):
    left = unfinished(tmp_path / "shared", GONE)
    left.touch()
    look_again()
    with shared_file(tmp_path) as file:
        assert file.is_file() and file.name.startswith(".") and not left.exists()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_made_for_it_goes_where_nothing_came_to_lie_in_it(tmp_path):
    for name, kept in (("empty", False), ("full", True)):
        with shared_file(tmp_path / name):
            if kept:
                (tmp_path / name / "a.png").touch()
        assert (tmp_path / name).exists() == kept


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file: cannot be written"), shared_file(tmp_path / "file"):
        pass
