"""
Control groups of the kernel, which limit the CPU and memory of nodes as Docker and Kubernetes do.

`producer.fleet.processes` makes and removes them, so that its guard removes them, too, if this process is killed.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from poolrace.cgroup import parse_self_cgroup, read_text
from producer.errors import FleetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000
"""As Docker and Kubernetes take it: what has used up its quota stands still until the next period begins."""

CPU, MEMORY = "cpu", "memory"
V1_SIGNS = {CPU: "cpu.cfs_quota_us", MEMORY: "memory.limit_in_bytes"}
"""A file that tells that version 1 limits something; a kernel without CFS quotas lacks the first."""

DELEGATED = "systemd-run --user --scope -p Delegate=yes poolrace ..."
"""How a user has systemd hand over a part of the tree of version 2."""

INSTEAD = (
    "Or give nodes their limits yourself (docker run --cpus, resources.limits in Kubernetes), and race them with "
    "--broker."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """
    What all processes of a group may use together; None for no limit.

    Attributes:
        cpus: CPU seconds per second.
        memory_bytes: Memory.
    """

    cpus: float | None = None
    memory_bytes: int | None = None

    @property
    def controllers(self) -> tuple[str, ...]:
        """The kernel's names of what is limited."""
        limited = {CPU: self.cpus, MEMORY: self.memory_bytes}
        return tuple(name for name, limit in limited.items() if limit is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlGroup:
    """
    A control group.

    Attributes:
        folders: Its folders: one in version 2; in version 1, one for each thing that is limited or counted.
        files: What is written to set its limits, by file, in this order.
    """

    folders: tuple[Path, ...]
    files: Mapping[Path, str]


def why_not(limits: GroupLimits, root: Path = ROOT) -> str:
    """Return why no group can be made with such limits here, and what to do; empty if it can."""
    try:
        new_group(limits, root)
    except FleetError as error:
        return str(error)
    return ""


def new_group(limits: GroupLimits, root: Path = ROOT) -> ControlGroup:
    """
    Return a group that is yet to be made, under a name that no other one has.

    Raises:
        FleetError: If it cannot be made here, with what is missing and what to do.
    """
    name = f"poolrace-{uuid4().hex[:12]}"
    files: dict[Path, str] = {}
    folders: dict[Path, None] = {}
    for controller in limits.controllers:
        is_v1 = (root / controller / V1_SIGNS[controller]).exists()
        first, *others = (parent / name for parent in (_v1 if is_v1 else _v2)(controller, root))
        folders |= dict.fromkeys([first, *others])
        files |= {first / file: text for file, text in _texts(controller, limits, is_v1=is_v1).items()}
    return ControlGroup(folders=tuple(folders), files=files)


def make(group: ControlGroup) -> None:
    """
    Make a group.

    Raises:
        FleetError: If the kernel refuses it; part of it may be there.
    """
    try:
        for folder in group.folders:
            folder.mkdir()
        for file, text in group.files.items():
            file.write_text(text)
    except OSError as error:
        raise FleetError(f"The kernel refuses a control group: {error}. {INSTEAD}") from error


def within(group: ControlGroup, command: Sequence[str]) -> list[str]:
    """Return a command that enters a group, and is the given one from then on: nothing of it runs outside."""
    enter = "".join(f"echo $$ > {shlex.quote(str(folder / 'cgroup.procs'))} && " for folder in group.folders)
    return ["/bin/sh", "-c", f'{enter}exec "$@"', "sh", *command]


def _texts(controller: str, limits: GroupLimits, *, is_v1: bool) -> dict[str, str]:
    """Return what to write to which file for a limit."""
    if controller == MEMORY:
        return {V1_SIGNS[MEMORY] if is_v1 else "memory.max": str(limits.memory_bytes)}
    quota_us = round((limits.cpus or 0.0) * PERIOD_US)
    if is_v1:
        return {"cpu.cfs_period_us": str(PERIOD_US), V1_SIGNS[CPU]: str(quota_us)}
    return {"cpu.max": f"{quota_us} {PERIOD_US}"}


def _v1(controller: str, root: Path) -> list[Path]:
    """Return where version 1 limits something, and where it counts the CPU time, if that is apart."""
    counted = [root / "cpuacct"] if controller == CPU and (root / "cpuacct").is_dir() else []
    found = [root / controller, *(each for each in counted if each.resolve() != (root / controller).resolve())]
    if not all(map(_may_have_groups, found)):
        raise FleetError(_no_right(root / controller, "root"))
    return found


def _v2(controller: str, root: Path) -> list[Path]:
    """Return the nearest group around this process in which version 2 lets us make one with a limit."""
    own = parse_self_cgroup(read_text("/proc/self/cgroup") or "").get("", "/").strip("/")
    around = [root / own, *(root / own).parents] if ".." not in own else [root]
    inside = [each for each in around if each.is_relative_to(root) and (each / "cgroup.subtree_control").exists()]
    if not inside:
        raise FleetError(f"this system has no control groups for {controller}. {INSTEAD}")
    giving = [each for each in inside if controller in (read_text(str(each / "cgroup.subtree_control")) or "").split()]
    if not giving:
        raise FleetError(
            f"no control group here gives {controller} to groups below it. As root of the machine: "
            f"echo +{controller} > {root}/cgroup.subtree_control. {INSTEAD}"
        )
    allowed = [each for each in giving if _may_have_groups(each)]
    if not allowed:
        raise FleetError(_no_right(giving[0], f"root or a group of one's own ({DELEGATED})"))
    return allowed[:1]


def _may_have_groups(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK) and os.access(folder / "cgroup.procs", os.W_OK)


def _no_right(folder: Path, needed: str) -> str:
    return (
        f"no control group can be made in {folder}: that needs {needed}, and a file system that can be written. "
        f"{INSTEAD}"
    )
