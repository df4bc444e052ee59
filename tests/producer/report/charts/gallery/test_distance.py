"""The picture of distance: capacity and sojourn by measured PING, and the same in its table; else how to get one."""

import pytest
from nouns import percentiles_of
from sweeps import capacity, lane_at, point, swept

from producer.analysis.sweep import LaneAtDistance
from producer.report.charts.gallery.distance import distance

NEAR = LaneAtDistance(lane="threads", near_ping_s=0.0001, near_per_s=1200.0, far_ping_s=0.01, far_per_s=30.0)


def at(ping_s, per_s, p50_s):
    return lane_at("threads", ping_s=ping_s, capacity_per_s=capacity(per_s, per_s - 5, per_s + 5),
                   sojourn=percentiles_of(p50_s))  # fmt: skip


@pytest.fixture
def drawn(sample):
    """The picture of a sweep over two distances, which came in the wrong order."""
    points = [point("10ms", at(0.01, 30.0, 0.08)), point("0", at(0.0001, 1200.0, 0.002))]
    summary, run = sample
    return distance(swept(summary, *points, axis="rtt", distance=(NEAR,)), run)


def test_marks_are_at_the_measured_ping_nearest_first(drawn):
    capacities, sojourns = drawn.figure.data
    assert list(capacities.x) == pytest.approx([0.1, 10.0])
    assert list(capacities.y) == [1200.0, 30.0]
    assert list(sojourns.y) == pytest.approx([2.0, 80.0])


def test_the_table_has_what_is_kept_and_the_jobs_of_a_round_trip(drawn):
    rows = [dict(zip(drawn.table.columns, row, strict=True)) for row in drawn.table.rows]
    assert [row["of nearest"] for row in rows] == ["100 %", "2 %"]
    # 1,200 a second times 0.1 ms, and 30 times 10 ms.
    assert [row["a round trip"] for row in rows] == ["0.12", "0.3"]
    assert [row["jobs/s"] for row in rows] == ["1,200", "30.0"]


def test_it_says_what_each_lane_keeps(drawn):
    assert drawn.shows == (
        "threads: at a PING of 10.0 ms it does 30.0/s, 2 % of the 1,200/s at 0.1 ms; 0.3 jobs a round trip."
    )


def test_another_sweep_has_none_and_is_told_how_to_get_one(sample):
    summary, run = sample
    assert "poolrace sweep --over rtt=" in distance(summary, run).missing
    assert "was not varied" in distance(swept(summary, axis="nodes"), run).missing


def test_a_sweep_that_was_cut_short_is_told(sample):
    summary, run = sample
    assert "two distances" in distance(swept(summary, axis="rtt", distance=()), run).missing
