"""How much of a machine's cores is used, by whatever runs on it, as any process of it can read."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass

import psutil

from poolrace.cgroup import Read, read_text

BOOT_ID = "/proc/sys/kernel/random/boot_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineUse:
    """
    What all programs of a machine together have used of its cores.

    Attributes:
        machine: Tells machines apart, and is the same in every container of one.
        cores: The cores that it has.
        at_s: When this was read, in seconds on the machine's monotonic clock.
        busy_s: CPU seconds that were used until then; those that a hypervisor kept count, too.
    """

    machine: str
    cores: int
    at_s: float
    busy_s: float


def machine_use(read: Read = read_text) -> MachineUse:
    """Read how much of this machine's cores has been used since it began."""
    boot_id = (read(BOOT_ID) or "").strip()
    return MachineUse(
        machine=boot_id or platform.node(), cores=os.cpu_count() or 1, at_s=time.monotonic(), busy_s=_busy_s()
    )


def _busy_s() -> float:
    times = psutil.cpu_times()
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    # The kernel counts the time of guests within that of their hosts.
    guests_s = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle_s - guests_s)
