"""
Reads the CPU and memory that a container, or any other cgroup, leaves to this process, and how often it was stopped.

Pure functions parse the kernel's files. The reading itself is passed in, so that tests can describe any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

UNLIMITED_BYTES = 1 << 60
"""The least memory limit that means no limit: cgroup v1 reports that as a huge page-aligned number."""

Read = Callable[[str], str | None]
"""A function that returns the text of a file, or None if it cannot be read."""


def read_text(path: str) -> str | None:
    """Return the text of a file, or None if it is missing or unreadable."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    The CPU and memory that a cgroup leaves to this process.

    Attributes:
        cpu_quota: The most CPU seconds per second; None without a limit.
        memory_bytes: The most memory; None without a limit.
    """

    cpu_quota: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttling:
    """
    How often the kernel stopped a cgroup because its CPU quota was used up, since the cgroup was made.

    Attributes:
        periods: Periods of the quota in which it had something to run.
        throttled: Those of them in which it was stopped.
        throttled_s: How long it was stopped, in seconds, summed over cores: on several, more than the clock's time.
    """

    periods: int
    throttled: int
    throttled_s: float

    @property
    def share(self) -> float | None:
        """The part of its periods in which it was stopped; None if it had nothing to run."""
        return self.throttled / self.periods if self.periods else None

    def since(self, before: Throttling) -> Throttling | None:
        """Return what was added since an earlier count; None if it is of another cgroup, whose counts were higher."""
        if self.periods < before.periods or self.throttled < before.throttled:
            return None
        return Throttling(
            periods=self.periods - before.periods,
            throttled=self.throttled - before.throttled,
            throttled_s=self.throttled_s - before.throttled_s,
        )

    @classmethod
    def sum(cls, counts: Iterable[Throttling]) -> Throttling | None:
        """Return the counts of several cgroups, or times, together; None of none."""
        known = list(counts)
        if not known:
            return None
        return cls(
            periods=sum(each.periods for each in known),
            throttled=sum(each.throttled for each in known),
            throttled_s=sum(each.throttled_s for each in known),
        )


def parse_self_cgroup(text: str) -> dict[str, str]:
    """
    Return the paths in /proc/self/cgroup by controller; that of cgroup v2 has the empty name.

    A line is `hierarchy:controllers:path`; controllers that share a hierarchy are joined by commas.
    """
    fields = [line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2]
    return {controller: path for _, controllers, path in fields for controller in controllers.split(",")}


def parse_cpu_max(text: str) -> float | None:
    """Read CPU seconds per second from `cpu.max` of cgroup v2, e.g. `150000 100000`; None for `max`."""
    quota_us, _, period_us = text.strip().partition(" ")
    return parse_cfs(quota_us, period_us)


def parse_cfs(quota_us: str, period_us: str) -> float | None:
    """Divide a quota by its period; None without a quota, which v1 writes as -1 and v2 as `max`."""
    try:
        quota, period = int(quota_us), int(period_us)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def parse_memory_limit(text: str) -> int | None:
    """Read bytes from `memory.max` of cgroup v2 or `memory.limit_in_bytes` of v1; None without a limit."""
    try:
        limit_bytes = int(text)
    except ValueError:
        return None
    return limit_bytes if limit_bytes < UNLIMITED_BYTES else None


def parse_cpu_stat(text: str) -> Throttling | None:
    """Read `cpu.stat` of cgroup v2, which counts microseconds, or of v1, nanoseconds; None if it has no such counts."""
    counts = dict(line.split() for line in text.splitlines() if len(line.split()) == 2)
    try:
        us = int(counts["throttled_usec"]) if "throttled_usec" in counts else int(counts["throttled_time"]) / 1e3
        return Throttling(
            periods=int(counts["nr_periods"]), throttled=int(counts["nr_throttled"]), throttled_s=us / 1e6
        )
    except (KeyError, ValueError):
        return None


def cgroup_limits(read: Read = read_text) -> Limits:
    """
    Return the tightest limits among this process's cgroup and every one above it.

    Both versions are read: a machine may have the controllers of v1 beside an empty tree of v2.
    """
    paths = parse_self_cgroup(read("/proc/self/cgroup") or "")
    memories = [
        *map(parse_memory_limit, _texts(read, "/sys/fs/cgroup", paths.get(""), "memory.max")),
        *map(parse_memory_limit, _texts(read, "/sys/fs/cgroup/memory", paths.get("memory"), "memory.limit_in_bytes")),
    ]
    return Limits(
        cpu_quota=min((quota for quota, _ in _cpu_quotas(read, paths)), default=None),
        memory_bytes=min((memory for memory in memories if memory is not None), default=None),
    )


def cgroup_throttling(read: Read = read_text) -> Throttling | None:
    """Return how often the cgroup with the tightest CPU quota was stopped; None where no quota holds."""
    paths = parse_self_cgroup(read("/proc/self/cgroup") or "")
    tightest = min(_cpu_quotas(read, paths), default=None)
    return parse_cpu_stat(read(f"{tightest[1]}/cpu.stat") or "") if tightest else None


def _cpu_quotas(read: Read, paths: Mapping[str, str]) -> Iterator[tuple[float, str]]:
    """Yield each CPU quota that holds for this process, with the folder of the cgroup that has it."""
    for folder in _folders("/sys/fs/cgroup", paths.get("")):
        if quota := parse_cpu_max(read(f"{folder}/cpu.max") or ""):
            yield quota, folder
    for mount in ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"):
        for folder in _folders(mount, paths.get("cpu")):
            quota_us, period_us = (read(f"{folder}/cpu.cfs_{name}_us") or "" for name in ("quota", "period"))
            if quota := parse_cfs(quota_us, period_us):
                yield quota, folder


def _texts(read: Read, mount: str, path: str | None, name: str) -> Iterator[str]:
    """Read a file of a cgroup and of those above it."""
    for folder in _folders(mount, path):
        text = read(f"{folder}/{name}")
        if text is not None:
            yield text


def _folders(mount: str, path: str | None) -> list[str]:
    """
    Return the folders of a cgroup and of those above it, up to the mount.

    Inside a container its own cgroup often is the mount, and its path is outside what the container sees.
    """
    here = PurePosixPath(path or "/")
    inside = [] if ".." in here.parts else [here, *here.parents]
    return [mount + folder for folder in dict.fromkeys([str(folder).rstrip("/") for folder in inside] + [""])]
