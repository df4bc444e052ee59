"""Counts the work of a broker and of processes, from their own statistics."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

    import psutil

SCRIPT_COMMANDS = frozenset({"rpop", "hset", "zadd", "hdel", "zrem"})
"""The commands in the atomic transport's script; its channel sends none of them while it has an event loop."""

OURS = frozenset({"info", "llen", "rpush", "hello", "auth", "client|setinfo"})
"""The commands of the benchmark, of its jobs, and of connecting. With one queue the script asks for no lengths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    The work of a broker, since its start or between two readings.

    Attributes:
        sent: Commands that clients sent, by the broker's own count.
        scripted: Commands that scripts ran for them.
        cpu_s: CPU time of its process, in seconds.
    """

    sent: int
    scripted: int
    cpu_s: float

    @classmethod
    def of(cls, client: Any, *, atomic: bool) -> Self:
        """Read the statistics of a broker whose nodes all use one transport."""
        calls = {name[8:]: stats["calls"] for name, stats in client.info("commandstats").items()}
        scripted = sum(calls.get(name, 0) for name in SCRIPT_COMMANDS) if atomic else 0
        cpu = client.info("cpu")
        return cls(
            sent=sum(count for name, count in calls.items() if name not in OURS) - scripted,
            scripted=scripted,
            cpu_s=cpu["used_cpu_user"] + cpu["used_cpu_sys"],
        )

    @property
    def commands(self) -> int:
        """All commands, those in scripts too."""
        return self.sent + self.scripted

    def since(self, earlier: Account) -> Account:
        """Return the work since an earlier reading."""
        return Account(
            sent=self.sent - earlier.sent,
            scripted=self.scripted - earlier.scripted,
            cpu_s=self.cpu_s - earlier.cpu_s,
        )


def cpu_s(processes: Iterable[psutil.Process]) -> float:
    """Return the CPU seconds, user and system, of processes and their children so far."""
    trees = [one for process in processes for one in (process, *process.children(recursive=True))]
    return sum(_cpu_s(process) for process in trees)


def _cpu_s(process: psutil.Process) -> float:
    # The CPU clock of a process, as clock_getcpuclockid(3) makes it on Linux: /proc counts in hundredths of a second,
    # of which an idle node uses only a few.
    try:
        return time.clock_gettime(~process.pid << 3 | 2)
    except OSError:
        times = process.cpu_times()
        return float(times.user + times.system)
