"""
Reads the CPU and memory that a container, or any other cgroup, leaves to this process.

Pure functions parse the kernel's files. The reading itself is passed in, so that tests can describe any machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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


def cgroup_limits(read: Read = read_text) -> Limits:
    """
    Return the tightest limits among this process's cgroup and every one above it.

    Both versions are read: a machine may have the controllers of v1 beside an empty tree of v2.
    """
    paths = parse_self_cgroup(read("/proc/self/cgroup") or "")
    quotas = [*_cpu_quotas_v2(read, paths), *_cpu_quotas_v1(read, paths)]
    memories = [
        *map(parse_memory_limit, _texts(read, "/sys/fs/cgroup", paths.get(""), "memory.max")),
        *map(parse_memory_limit, _texts(read, "/sys/fs/cgroup/memory", paths.get("memory"), "memory.limit_in_bytes")),
    ]
    return Limits(
        cpu_quota=min((quota for quota in quotas if quota is not None), default=None),
        memory_bytes=min((memory for memory in memories if memory is not None), default=None),
    )


def _cpu_quotas_v2(read: Read, paths: Mapping[str, str]) -> Iterator[float | None]:
    return map(parse_cpu_max, _texts(read, "/sys/fs/cgroup", paths.get(""), "cpu.max"))


def _cpu_quotas_v1(read: Read, paths: Mapping[str, str]) -> Iterator[float | None]:
    mounts = ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct")
    for mount in mounts:
        quotas = _texts(read, mount, paths.get("cpu"), "cpu.cfs_quota_us")
        yield from map(parse_cfs, quotas, _texts(read, mount, paths.get("cpu"), "cpu.cfs_period_us"))


def _texts(read: Read, mount: str, path: str | None, name: str) -> Iterator[str]:
    """Read a file of a cgroup and of those above it. Inside a container its own cgroup often is the mount."""
    for folder in _upwards(path or "/"):
        text = read(f"{mount}{folder}/{name}")
        if text is not None:
            yield text


def _upwards(path: str) -> list[str]:
    """Return `/a/b`, `/a` and the mount for `/a/b`; the mount alone for a path outside a container's view."""
    here = PurePosixPath(path)
    inside = [] if ".." in here.parts else [here, *here.parents]
    return list(dict.fromkeys([str(folder).rstrip("/") for folder in inside] + [""]))
