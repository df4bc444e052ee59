"""Throughput of a sweep: one chart over its slots, or over the values of what else it varied."""

import pytest

from producer.report.charts.gallery.throughput import throughput


def swept(summary, axis, values, slots):
    """The summary of a race as one of a sweep of two lanes, where each value does ten times its place, 10, 20, ..."""

    def lane(pool, place):
        capacity = {"n": 3, "median": 10.0 * place, "min": 9.0 * place, "max": 12.0 * place}
        return {"lane": pool, "slots": slots[place - 1], "capacity_per_s": capacity}

    points = [
        {"value": value, "workload": f"cpu {axis}={value}", "lanes": [lane("prefork", n), lane("threads", n)]}
        for n, value in enumerate(values, start=1)
    ]
    settings = {**summary["settings"], "kind": "sweep", "workloads": ["cpu"], "points": []}
    return {**summary, "settings": settings, "workloads": [], "sweep": {"axis": axis, "points": points}}


def test_a_sweep_over_slots_is_one_line_a_lane_with_the_ideal_and_the_cores(sample):
    summary, run = sample
    found = throughput({**swept(summary, "concurrency", ["1", "4"], [1, 4]), "machine": {"cores_available": 2}}, run)
    prefork, threads, ideal = found.figure.data
    assert (prefork.x, prefork.y) == ((1, 4), (10.0, 20.0))
    assert (prefork.error_y.arrayminus, prefork.error_y.array) == ((1.0, 2.0), (2.0, 4.0))
    assert (ideal.x, ideal.y) == ((0, 4), (0, 40.0))
    assert {prefork.marker.symbol, threads.marker.symbol} == {"circle-open", "square-open"}
    assert [shape.x0 for shape in found.figure.layout.shapes] == [2]
    assert found.title == "Throughput against slots"
    assert [row[:4] for row in found.table.rows][-1] == ["cpu", "threads", "4", "20.0"]


def test_a_sweep_over_nodes_is_against_the_slots_that_they_bring(sample):
    summary, run = sample
    found = throughput(swept(summary, "nodes", ["1", "4"], [2, 8]), run)
    prefork, threads, ideal = found.figure.data
    assert (prefork.x, threads.x, ideal.x) == ((2, 8), (2, 8), (0, 8))
    assert found.title == "Throughput against slots"


def test_a_sweep_of_anything_else_has_its_values_for_an_axis_and_no_ideal(sample):
    summary, run = sample
    found = throughput(swept(summary, "acks", ["early", "late"], [2, 2]), run)
    assert [trace.x for trace in found.figure.data] == [("early", "late"), ("early", "late")]
    assert found.figure.layout.xaxis.type == "category"
    assert not found.figure.layout.shapes
    assert found.title == "Throughput against acks"
    assert "20.0 jobs/s: cpu on prefork with 2 slots, acks late, in 3 trials from 18.0 to 24.0" in found.shows
    assert found.table.rows[2][:5] == ["cpu", "prefork", "2", "late", "20.0"]


@pytest.mark.parametrize("axis", ["concurrency", "cpu-share"])
def test_a_sweep_that_measured_no_value_says_so(sample, axis):
    summary, run = sample
    found = throughput(swept(summary, axis, [], []), run)
    assert found.figure is None
    assert "No lane worked off a backlog" in found.missing
