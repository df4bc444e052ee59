"""A file is replaced in one step, or left as it was."""

import os
import stat
from contextlib import suppress

import pytest

from producer.files import replaced


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("before", [None, b"old"])
def test_a_file_is_there_once_it_is_whole(tmp_path, before):
    path = tmp_path / "run.json"
    if before:
        path.write_bytes(before)
    with replaced(path) as file:
        file.write(b"new")
        assert names(tmp_path) == (["run.json", "run.json.part"] if before else ["run.json.part"])
    assert (names(tmp_path), path.read_bytes()) == (["run.json"], b"new")


def test_an_error_leaves_the_old_one_and_nothing_beside_it(tmp_path):
    path = tmp_path / "run.json"
    path.write_bytes(b"old")
    with suppress(KeyboardInterrupt), replaced(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert (names(tmp_path), path.read_bytes()) == (["run.json"], b"old")


def test_it_is_on_the_disk_before_it_takes_the_others_place(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append((os.fstat(descriptor).st_size, names(tmp_path))))
    with replaced(tmp_path / "run.json") as file:
        file.write(b"new")
    assert seen == [(3, ["run.json.part"])]


def test_a_private_file_is_readable_by_its_owner_alone_from_its_first_byte(tmp_path):
    path = tmp_path / "password"
    (tmp_path / "password.part").write_text("left behind by a crash, and readable by all")
    with replaced(path, private=True) as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o400
        file.write(b"secret")
    assert (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) == (0o400, b"secret")


def test_where_there_is_no_folder_the_error_is_the_systems(tmp_path):
    with pytest.raises(FileNotFoundError), replaced(tmp_path / "gone" / "run.json"):
        pass
