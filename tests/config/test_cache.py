"""The bound on what is kept."""

import os

from onestroke.config.cache import bound, size


def test_photos_that_were_longest_not_used_make_room(tmp_path):
    for number, name in enumerate(("old", "used", "new")):
        (tmp_path / f"{name}.u8").write_bytes(bytes(1000))
        (tmp_path / f"{name}.json").write_bytes(bytes(10))
        os.utime(tmp_path / f"{name}.u8", (number, number))
    bound(tmp_path, tmp_path / "used.u8", most=2500)
    assert {path.stem for path in tmp_path.iterdir()} == {"used", "new"} and size(tmp_path) == 2020
    bound(tmp_path, tmp_path / "used.u8", most=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["used.json", "used.u8"]
