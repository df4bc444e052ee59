"""The picture of scaling: marks, the law through them, and the same in its table; else how to get one."""

import pytest

from producer.charts.scaling import scaling
from producer.sweep.scaling import fit

CAPACITY = {1: 100.0, 2: 160.0, 4: 200.0}
"""With a contention of a quarter four nodes would do 229, so the law lies beside the medians."""


def lane_at(per_s):
    return {"lane": "threads", "capacity_per_s": {"median": per_s, "min": per_s - 5, "max": per_s + 5, "n": 3}}


def swept(sample, capacity, **changes):
    """The sample as a sweep over nodes, with these medians on threads."""
    summary, run = sample
    points = [
        {
            "value": str(nodes), "workload": f"sleep nodes={nodes}", "verdicts": [],
            "lanes": [lane_at(per_s)],
        }
        for nodes, per_s in capacity.items()
    ]  # fmt: skip
    law = fit({nodes: [per_s] * 3 for nodes, per_s in capacity.items()}, resamples=2)
    found = {
        "axis": "nodes",
        "points": points,
        "scaling": [{"lane": "threads", "law": law and law.to_dict()}],
        **changes,
    }
    return {**summary, "sweep": found}, run


def test_marks_are_medians_with_their_range_and_the_curve_is_the_law(sample):
    found = scaling(*swept(sample, CAPACITY))
    marks, curve, ideal = found.figure.data
    assert (list(marks.x), list(marks.y)) == ([1, 2, 4], [100.0, 160.0, 200.0])
    assert (list(marks.error_y.array), list(marks.error_y.arrayminus)) == ([5.0] * 3, [5.0] * 3)
    law = fit({nodes: [per_s] * 3 for nodes, per_s in CAPACITY.items()}, resamples=2)
    assert (curve.x[0], curve.x[-1]) == (1, 4)
    assert (curve.y[0], curve.y[-1]) == (pytest.approx(law.per_s(1)), pytest.approx(law.per_s(4)))
    assert (ideal.y[0], ideal.y[1]) == (0, pytest.approx(4 * law.one_node_per_s))


def test_the_table_has_what_was_measured_beside_what_the_law_says(sample):
    found = scaling(*swept(sample, CAPACITY))
    assert [row[:6] for row in found.table.rows] == [
        ["threads", "1", "100", "95.0", "105", "3"], ["threads", "2", "160", "155", "165", "3"],
        ["threads", "4", "200", "195", "205", "3"],
    ]  # fmt: skip
    assert all(float(row[6]) > 0 for row in found.table.rows)


def test_it_says_what_the_law_says_and_what_bounds_it(sample):
    found = scaling(*swept(sample, CAPACITY))
    assert "is done by one node at a time (contention)" in found.shows
    assert "no peak up to the 4 nodes that were measured" in found.shows
    assert "cores of this machine" in found.reads


def test_two_numbers_of_nodes_are_drawn_without_a_law(sample):
    found = scaling(*swept(sample, {1: 100.0, 2: 160.0}))
    assert len(found.figure.data) == 1
    assert "no law of scaling: it takes 3 numbers of nodes" in found.shows
    assert [row[6] for row in found.table.rows] == ["-", "-"]


def test_a_run_that_varies_no_nodes_says_how_to_get_one(sample):
    assert "poolrace sweep --over nodes=1,2,4" in scaling(*sample).missing
    assert scaling(*swept(sample, CAPACITY, scaling=None)).figure is None
