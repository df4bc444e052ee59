"""Limits the memory of nodes by a control group of the kernel, as Docker and Kubernetes do."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from producer.deadlines import until
from producer.errors import FleetError

if TYPE_CHECKING:
    from types import TracebackType

MIB = 2**20
END_S = 5.0

ROOTS = (
    (Path("/sys/fs/cgroup"), "cgroup.subtree_control", "memory.max"),
    (Path("/sys/fs/cgroup/memory"), "memory.use_hierarchy", "memory.limit_in_bytes"),
)
"""Where groups are made by version 2 and by version 1, a file that tells which it is, and the file of the limit."""


def why_not() -> str:
    """Return why no memory can be limited here; empty if it can."""
    for root, sign, _ in ROOTS:
        if (root / sign).exists():
            if sign == "cgroup.subtree_control" and "memory" not in (root / sign).read_text().split():
                continue
            return (
                ""
                if os.access(root / "cgroup.procs", os.W_OK)
                else f"no group can be made in {root}: that needs root, and a file system that can be written"
            )
    return "this system has no control groups for memory"


class MemoryLimit:
    """
    A control group with a limit. Use it as a context manager; its processes have ended when it is left.

    Args:
        name: The name of the group.
        limit_mib: What all its processes may use together, in MiB.

    Raises:
        FleetError: If it cannot be made.
    """

    def __init__(self, name: str, limit_mib: int) -> None:
        self._name, self._limit_mib = name, limit_mib

    def __enter__(self) -> Self:
        if reason := why_not():
            raise FleetError(f"Memory cannot be limited: {reason}.")
        root, _, limit = next(each for each in ROOTS if (each[0] / each[1]).exists())
        self._group = root / self._name
        try:
            self._group.mkdir()
            (self._group / limit).write_text(str(self._limit_mib * MIB))
        except OSError as error:
            with suppress(OSError):
                self._group.rmdir()
            raise FleetError(f"Memory cannot be limited: {error}.") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        until(self._removed, END_S, every_s=0.02)

    def add(self, pid: int) -> None:
        """Put a process into the group; what it starts from then on is in it, too."""
        (self._group / "cgroup.procs").write_text(str(pid))

    def _removed(self) -> bool:
        # A process stays in its group until its parent has waited for it.
        with suppress(OSError):
            self._group.rmdir()
        return not self._group.exists()
