"""Waiting for a disk."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from worker.workloads import disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_it_writes_the_blocks_and_removes_them(tmp_path: Path) -> None:
    assert disk.write(3, disk_dir=tmp_path) == 3 * 4096
    assert list(tmp_path.iterdir()) == []


def test_all_of_it_is_in_a_file_of_the_directory_when_the_disk_is_waited_for(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def look(descriptor: int) -> None:
        seen.append((os.fstat(descriptor).st_size, len(list(tmp_path.iterdir()))))

    disk.write(64, disk_dir=tmp_path, fsync=look)
    assert seen == [(64 * 4096, 1)]


def test_the_file_is_removed_when_the_disk_fails(tmp_path: Path) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        disk.write(1, disk_dir=tmp_path, fsync=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_missing_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        disk.write(1, disk_dir=tmp_path / "nowhere")


def test_it_gives_up_the_gil(tmp_path: Path, lets_others_run: Callable[..., bool]) -> None:
    assert lets_others_run(lambda: disk.write(1, disk_dir=tmp_path))
