"""
What a container, or any other cgroup, leaves to this process.

Texts of the kernel are parsed by pure functions; reading them is passed in, so that any machine can be described.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

UNLIMITED_BYTES = 1 << 60
"""Where a memory limit of cgroup v1 is none: the kernel rounds the largest number to a page."""

Read = Callable[[str], str | None]
"""The text of a file; None if it cannot be read."""


def read_text(path: str) -> str | None:
    """The text of a file of the kernel; None if there is none, or none for us."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    What a container, or any other cgroup, leaves to this process.

    Attributes:
        cpu_quota: CPU seconds per second; None without a limit.
        memory_bytes: The most memory; None without a limit.
    """

    cpu_quota: float | None = None
    memory_bytes: int | None = None


def parse_self_cgroup(text: str) -> dict[str, str]:
    """
    The paths in /proc/self/cgroup by controller; that of cgroup v2 under the empty name.

    A line is `hierarchy:controllers:path`; controllers that share a hierarchy are joined by commas.
    """
    fields = [line.split(":", 2) for line in text.splitlines() if line.count(":") >= 2]
    return {controller: path for _, controllers, path in fields for controller in controllers.split(",")}


def parse_cpu_max(text: str) -> float | None:
    """CPU seconds per second from `cpu.max` of cgroup v2, e.g. `150000 100000`; None for `max`."""
    quota_us, _, period_us = text.strip().partition(" ")
    return parse_cfs(quota_us, period_us)


def parse_cfs(quota_us: str, period_us: str) -> float | None:
    """CPU seconds per second from a quota and its period; None for none, which v1 writes as -1 and v2 as `max`."""
    try:
        quota, period = int(quota_us), int(period_us)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def parse_memory_limit(text: str) -> int | None:
    """Bytes from `memory.max` of cgroup v2 or `memory.limit_in_bytes` of v1; None for no limit."""
    try:
        limit_bytes = int(text)
    except ValueError:
        return None
    return limit_bytes if limit_bytes < UNLIMITED_BYTES else None


def cgroup_limits(read: Read = read_text) -> Limits:
    """
    The tightest limits of this process's cgroup and of every one above it.

    Both versions are looked at: a machine may have the controllers of v1 beside an empty tree of v2.
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
    """A file of a cgroup and of those above it. From inside a container its own cgroup often is the mount."""
    for folder in _upwards(path or "/"):
        text = read(f"{mount}{folder}/{name}")
        if text is not None:
            yield text


def _upwards(path: str) -> list[str]:
    """`/a/b` gives `/a/b`, `/a` and the mount itself; a path outside a container's view gives the mount."""
    here = PurePosixPath(path)
    inside = [] if ".." in here.parts else [here, *here.parents]
    return list(dict.fromkeys([str(folder).rstrip("/") for folder in inside] + [""]))
