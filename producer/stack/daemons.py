"""
Processes that outlive the command that started them, found again by a later one.

A pid alone does not identify a process: the kernel gives it to another one in time. So the process's birth is noted
with it, and nothing is ever sent to a process with another birth. No guard ends these processes: they are meant to
stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from producer.fleet import guard
from producer.fleet.processes import Child, start_in_session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

STATE, STARTED = 0, 19
"""Places in /proc/PID/stat, counted from behind the program's name."""

REST_S = 1.0
"""How long the children of a process that has ended may take, before they are killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """
    A process that was started, as it is noted.

    Attributes:
        pid: Its process id, which is also that of its session.
        born: A token of its start that no other process with this pid has.
    """

    pid: int
    born: str

    def runs(self) -> bool:
        """Return whether this very process still runs."""
        return birth(self.pid) == self.born


def birth(pid: int) -> str | None:
    """
    Return a token of a process's start, which tells it apart from a later one with the same pid.

    It is the same whenever it is asked for, and None if there is no such process.
    """
    try:
        if not Path("/proc/self/stat").exists():
            process = psutil.Process(pid)
            return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
        # Not psutil's time of creation: it moves when the clock is set. Ticks since the start of the kernel do not.
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except (OSError, psutil.NoSuchProcess):
        return None
    return None if stat[STATE] in "ZX" else f"{boot}:{stat[STARTED]}"


def start(name: str, command: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path) -> tuple[Child, Daemon]:
    """
    Start a process that neither Ctrl-C nor the end of this one reaches.

    Raises:
        FleetError: If the program cannot be started.
    """
    child = start_in_session(name, command, log=log, env=env, cwd=cwd)
    # A process that has ended already has no birth; its end is reported by those that wait for it.
    return child, Daemon(pid=child.process.pid, born=birth(child.process.pid) or "")


def end(daemons: Sequence[Daemon], patience_s: float, waiting: Callable[[float], None]) -> bool:
    """
    End processes together, and their children: SIGTERM, patience, and SIGKILL for what is left.

    Args:
        daemons: The processes.
        patience_s: How long they may take, in seconds.
        waiting: Called again and again with the seconds that have passed.

    Returns:
        True if all ended of their own accord.
    """
    trees = [guard.tree_of(daemon.pid) for daemon in daemons if daemon.runs()]
    return guard.end_trees([tree for tree in trees if tree], patience_s, rest_s=REST_S, waiting=waiting)
