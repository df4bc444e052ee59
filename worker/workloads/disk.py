"""Waiting for a disk."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOCK = bytes(4096)


def write(blocks: int, *, disk_dir: Path, fsync: Callable[[int], None] = os.fsync) -> int:
    """
    Write a file, wait until the disk has it, and remove it, also when that fails.

    Args:
        blocks: How many blocks of 4 KiB to write.
        disk_dir: An existing directory on the disk to wait for.
        fsync: Returns when the disk has what was written to a file descriptor.

    Returns:
        How many bytes were written.

    Raises:
        OSError: If the directory or the disk does not take the file.
    """
    # A file with a name, since some file systems skip work in `fsync` for a file without one.
    with tempfile.NamedTemporaryFile(dir=disk_dir, prefix="poolrace-", buffering=len(BLOCK)) as file:
        written_bytes = sum(file.write(BLOCK) for _ in range(blocks))
        file.flush()
        fsync(file.fileno())
    return written_bytes
