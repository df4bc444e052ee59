"""Makes the folder of a run, named by the time and a word or two."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from producer.errors import UsageError
from producer.interrupts import held

if TYPE_CHECKING:
    from pathlib import Path


def make_folder(parent: Path, name: str) -> Path:
    """
    Make a new folder in a parent folder, with a folder for logs in it.

    Raises:
        UsageError: If it cannot be written to.
    """
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    path = parent / f"{stamp}-{name}"
    try:
        with held():
            (path / "logs").mkdir(parents=True)
    except OSError as error:
        shutil.rmtree(path, ignore_errors=True)
        raise UsageError(
            f"--out {parent}: a folder cannot be made there ({error.strerror}). "
            "Name one where it can, e.g. --out /tmp/runs."
        ) from error
    return path
