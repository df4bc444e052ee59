"""Gives a Python process a clock of its own, which can be set while it runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOOK = '''"""Has time.time tell the time of a clock that can be set; Python imports this before everything else."""

import time

_time, _offset = time.time, {offset!r}


def _set_time():
    try:
        with open(_offset) as file:
            return _time() + float(file.read())
    except (OSError, ValueError):  # it is being set
        return _time()


time.time = _set_time
'''


class OwnClock:
    """
    The clock of a process: the system's, and some seconds more.

    It is what `time.time` tells, by which kombu judges what is due. The monotonic clock stays the system's, as it does
    where somebody sets the clock of a machine.

    Args:
        folder: A folder for what the process imports; it is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._offset = folder, folder / "offset"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(HOOK.format(offset=str(self._offset)))
        self.set_ahead(0)

    def set_ahead(self, seconds: float) -> None:
        """Set it so many seconds ahead of the system's."""
        self._offset.write_text(f"{seconds:g}\n")

    def added_to(self, environment: Mapping[str, str]) -> dict[str, str]:
        """Return an environment with what gives its process this clock; what is on its path stays there."""
        path = [str(self._folder), *filter(None, [environment.get("PYTHONPATH")])]
        return {**environment, "PYTHONPATH": os.pathsep.join(path)}
