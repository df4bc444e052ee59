"""The accounts of a container are read alike under both versions of cgroups, and the figures are told with promises."""

import pytest

from benchmarks.stack import lines, parse_cpu_s, parse_memory_bytes


@pytest.mark.parametrize(
    ("text", "cpu_s"),
    [("usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n", 1.5), ("1500000000\n", 1.5), ("0\n", 0.0)],
)
def test_cpu_time_of_either_version_is_in_seconds(text, cpu_s):
    assert parse_cpu_s(text) == cpu_s


@pytest.mark.parametrize(
    ("text", "memory_bytes"),
    [
        ("anon 1000\nfile 5000\nshmem 24\ninactive_file 4000\n", 1024),
        ("cache 5000\nrss 7\ntotal_cache 5000\ntotal_rss 1000\ntotal_shmem 24\n", 1024),
        ("cache 5000\ntotal_rss 1000\n", 1000),
    ],
)
def test_memory_is_what_cannot_be_had_from_a_file_again(text, memory_bytes):
    assert parse_memory_bytes(text) == memory_bytes


def test_figures_stand_beside_what_was_promised():
    idle = {"redis": {"cpu_share": 0.01, "bytes": 4 * 2**20}, "flower": {"cpu_share": 0.005, "bytes": 50 * 2**20}}
    told = "\n".join(lines({"image_bytes": 700_000_000, "start_s": 9.94, "idle": idle}, 0.2))
    assert "image      700 MB" in told
    assert "start      9.9 s until jobs run on both pools (promised: 15 s)" in told
    assert "idle       1.5% of one core (promised: 3%)" in told
    assert "54 MiB (promised: 400 MiB)" in told
    assert told.index("flower") < told.index("redis")
