"""Waiting for a disk."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from worker.workload import Sizing, Workload

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCK = bytes(4096)


def write(blocks: int, *, disk_dir: Path, fsync: Callable[[int], None] = os.fsync) -> int:
    """
    Write a file, wait until it is on the disk, and remove it, also if that fails.

    Args:
        blocks: Number of blocks of 4 KiB to write.
        disk_dir: An existing directory on the disk to wait for.
        fsync: Returns when all that was written to a file descriptor is on the disk.

    Returns:
        The number of bytes written.

    Raises:
        OSError: If the directory or the disk does not take the file.
    """
    # A file with a name, since some file systems skip work in `fsync` for a file without one.
    with tempfile.NamedTemporaryFile(dir=disk_dir, prefix="poolrace-", buffering=len(BLOCK)) as file:
        written_bytes = sum(file.write(BLOCK) for _ in range(blocks))
        file.flush()
        fsync(file.fileno())
    return written_bytes


WORKLOAD = Workload(
    name="disk",
    function=write,
    needs=("disk_dir",),
    sizing=Sizing.FIXED,
    target_s=None,
    fixed=(64,),
)
