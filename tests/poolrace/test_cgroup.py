"""Limits of containers are read correctly, and the tightest counts."""

import pytest

from poolrace.cgroup import (
    Limits,
    cgroup_limits,
    parse_cfs,
    parse_cpu_max,
    parse_memory_limit,
    parse_self_cgroup,
)

GIB = 1 << 30


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("max 100000\n", None),
        ("150000 100000\n", 1.5),
        ("50000 100000\n", 0.5),
        ("max", None),
        ("", None),
        ("100000", None),
    ],
)
def test_the_cpu_quota_of_cgroup_v2(text, quota):
    assert parse_cpu_max(text) == quota


@pytest.mark.parametrize(
    ("quota_us", "period_us", "quota"),
    [("-1\n", "100000\n", None), ("200000\n", "100000\n", 2.0), ("100000", "0", None), ("", "100000", None)],
)
def test_the_cpu_quota_of_cgroup_v1(quota_us, period_us, quota):
    assert parse_cfs(quota_us, period_us) == quota


@pytest.mark.parametrize(
    ("text", "limit_bytes"),
    [
        ("max\n", None),
        ("536870912\n", 536_870_912),
        ("9223372036854771712\n", None),  # 2**63 - 1, rounded down to a page: how v1 writes no limit
        ("", None),
    ],
)
def test_a_memory_limit(text, limit_bytes):
    assert parse_memory_limit(text) == limit_bytes


def test_the_own_cgroup_has_a_path_for_every_controller():
    text = "4:memory:/jobs/7\n2:cpu,cpuacct:/jobs\n0::/user.slice/a:b\nnonsense\n"
    assert parse_self_cgroup(text) == {"memory": "/jobs/7", "cpu": "/jobs", "cpuacct": "/jobs", "": "/user.slice/a:b"}


def test_without_any_files_there_are_no_limits():
    assert cgroup_limits({}.get) == Limits()


def test_limits_inside_a_container_of_cgroup_v2():
    """Its own cgroup is the mount, whatever path the host gave it."""
    read = {
        "/proc/self/cgroup": "0::/\n",
        "/sys/fs/cgroup/cpu.max": "150000 100000\n",
        "/sys/fs/cgroup/memory.max": "1073741824\n",
    }.get
    assert cgroup_limits(read) == Limits(cpu_quota=1.5, memory_bytes=GIB)


def test_the_tightest_limit_on_the_way_up_counts():
    read = {
        "/proc/self/cgroup": "0::/system.slice/race.service\n",
        "/sys/fs/cgroup/system.slice/race.service/cpu.max": "400000 100000\n",
        "/sys/fs/cgroup/system.slice/race.service/memory.max": "max\n",
        "/sys/fs/cgroup/system.slice/cpu.max": "200000 100000\n",
        "/sys/fs/cgroup/system.slice/memory.max": "2147483648\n",
    }.get
    assert cgroup_limits(read) == Limits(cpu_quota=2.0, memory_bytes=2 * GIB)


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_limits_of_cgroup_v1_beside_an_empty_tree_of_v2(mount):
    read = {
        "/proc/self/cgroup": "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n",
        f"/sys/fs/cgroup/{mount}/docker/abc/cpu.cfs_quota_us": "50000\n",
        f"/sys/fs/cgroup/{mount}/docker/abc/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "1073741824\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    }.get
    assert cgroup_limits(read) == Limits(cpu_quota=0.5, memory_bytes=GIB)


def test_a_path_that_a_container_cannot_see_gives_the_limits_of_the_mount():
    read = {
        "/proc/self/cgroup": "2:cpu:/docker/abc\n4:memory:/../../docker/abc\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
    }.get
    assert cgroup_limits(read) == Limits(cpu_quota=1.0, memory_bytes=GIB)
