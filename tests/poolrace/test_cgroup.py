"""Limits of containers are read correctly, the tightest counts, and how often it stopped its group is told."""

import pytest

from poolrace.cgroup import (
    Limits,
    Throttling,
    cgroup_limits,
    cgroup_throttling,
    parse_cfs,
    parse_cpu_max,
    parse_cpu_stat,
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


@pytest.mark.parametrize(
    ("text", "throttling"),
    [
        (
            "usage_usec 9\nnr_periods 40\nnr_throttled 10\nthrottled_usec 1500000\nnr_bursts 0\n",
            Throttling(periods=40, throttled=10, throttled_s=1.5),
        ),
        (
            "nr_periods 40\nnr_throttled 10\nthrottled_time 1500000000\n",
            Throttling(periods=40, throttled=10, throttled_s=1.5),
        ),
        ("usage_usec 9\nuser_usec 4\nsystem_usec 5\n", None),
        ("nr_periods many\nnr_throttled 10\nthrottled_usec 1\n", None),
        ("", None),
    ],
)
def test_how_often_a_group_was_throttled_in_the_units_of_both_versions(text, throttling):
    assert parse_cpu_stat(text) == throttling


def test_throttling_is_that_of_the_group_whose_quota_is_the_tightest():
    read = {
        "/proc/self/cgroup": "0::/pod/container\n",
        "/sys/fs/cgroup/pod/container/cpu.max": "400000 100000\n",
        "/sys/fs/cgroup/pod/container/cpu.stat": "nr_periods 9\nnr_throttled 0\nthrottled_usec 0\n",
        "/sys/fs/cgroup/pod/cpu.max": "200000 100000\n",
        "/sys/fs/cgroup/pod/cpu.stat": "nr_periods 8\nnr_throttled 2\nthrottled_usec 500000\n",
    }.get
    assert cgroup_throttling(read) == Throttling(periods=8, throttled=2, throttled_s=0.5)


def test_without_a_quota_nothing_is_throttled():
    read = {
        "/proc/self/cgroup": "2:cpu:/a\n",
        "/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
        "/sys/fs/cgroup/cpu/a/cpu.stat": "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
    }.get
    assert cgroup_throttling(read) is None


def test_counts_add_up_and_have_a_share_of_the_periods():
    first, second = (
        Throttling(periods=10, throttled=1, throttled_s=0.25),
        Throttling(periods=30, throttled=9, throttled_s=2),
    )
    assert second.since(first) == Throttling(periods=20, throttled=8, throttled_s=1.75)
    assert Throttling.sum([first, second]) == Throttling(periods=40, throttled=10, throttled_s=2.25)
    assert (Throttling.sum([first, second]).share, Throttling(periods=0, throttled=0, throttled_s=0.0).share) == (
        0.25,
        None,
    )
    assert Throttling.sum([]) is None


def test_counts_that_fell_are_those_of_another_group():
    before = Throttling(periods=30, throttled=9, throttled_s=2.0)
    assert Throttling(periods=5, throttled=0, throttled_s=0.0).since(before) is None
