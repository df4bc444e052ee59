"""Writes a file whole or not at all: readers see the old one or the new one."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUFFIX = ".part"
"""Added to the name of a file while it is written."""

OWNER_MAY_READ = 0o400


@contextmanager
def replaced(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """
    Write a file beside another, and put it in the other's place once it is whole and on the disk.

    If the block raises, the other file stays as it was.

    Args:
        path: The file to replace; it need not exist.
        private: The new file can be read by its owner alone, and from its first byte.

    Raises:
        OSError: If there is no place for the file.
    """
    draft = path.with_name(f"{path.name}{SUFFIX}")
    try:
        with _opened(draft, private=private) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink()


def _opened(draft: Path, *, private: bool) -> IO[bytes]:
    if not private:
        return draft.open("wb")
    draft.unlink(missing_ok=True)
    return os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_MAY_READ), "wb")
