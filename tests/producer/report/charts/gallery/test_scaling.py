"""The picture of scaling: marks, the law through them, and the same in its table; else how to get one."""

import json
from dataclasses import replace

import pytest
from pages import page_of
from sample_run import make_run
from sweeps import capacity, lane_at, point, swept

from producer.analysis.summary import summarise
from producer.analysis.sweep import LaneScaling
from producer.analysis.usl import fit
from producer.plan.axis import parse_axis
from producer.plan.lanes import parse_lanes
from producer.report.charts.gallery.scaling import scaling
from producer.report.formats import number
from producer.rundir.reader import read_run

CAPACITY = {1: 100.0, 2: 160.0, 4: 200.0}
"""With a contention of a quarter four nodes would do 229, so the law lies beside the medians."""


def over_nodes(sample, per_s, *, cores=2, **changes):
    """The sample as a sweep over nodes, with these medians on threads."""
    summary, run = sample
    points = [
        point(str(nodes), lane_at("threads", capacity_per_s=capacity(median, median - 5, median + 5)))
        for nodes, median in per_s.items()
    ]
    law = fit({nodes: [median] * 3 for nodes, median in per_s.items()}, resamples=2)
    scaling = (LaneScaling(lane="threads", law=law),)
    found = swept(summary, *points, axis="nodes", **{"scaling": scaling, **changes})
    return replace(found, machine=cores and replace(summary.machine, cores_available=cores)), run


def sweep_run(folder):
    """The directory of a sweep over 1, 2 and 4 nodes of two slots, on which jobs take longer the more there are."""
    (one,) = parse_lanes(["threads:2"], concurrency=2, prefetch=4, acks="early", least=1)
    axis = parse_axis("nodes=1,2,4")
    lanes = [lane for value in axis.values for lane in axis.lanes(value, [one])]
    points = [
        {"value": value, "workload": f"sleep nodes={value}", "lanes": {lane.key: "threads"}}
        for value, lane in zip(axis.texts, lanes, strict=True)
    ]
    settings = {"kind": "sweep", "axis": "nodes", "points": points, "base": [one], "memory_bytes": None}
    speeds = {"threads-n1": 1.0, "threads-n2": 0.8, "threads-n4": 0.5}
    path = make_run(folder, "sweep", lanes=lanes, jobs=48, speeds=speeds, settings=settings)
    trials = [json.loads(line) for line in (path / "trials.jsonl").read_text().splitlines()]
    named = [{**trial, "workload": f"sleep nodes={trial['lane'].removeprefix('threads-n')}"} for trial in trials]
    (path / "trials.jsonl").write_text("".join(json.dumps(trial) + "\n" for trial in named))
    return path


def test_from_a_run_directory_the_law_is_what_the_trials_say(tmp_path):
    """Two slots of 100 ms do 20/s; with 0.8 and 0.5 of their speed, two nodes do 32/s and four 40/s."""
    found = sweep_run(tmp_path)
    picture = scaling(summarise(read_run(found)), read_run(found))
    # 4 / (1 + 3 a + 12 b) = 2 and 2 / (1 + a + 2 b) = 1.6: a = 1/6, b = 1/24; sqrt((5/6) * 24) is 4.5 nodes.
    assert [row[1:3] for row in picture.table.rows] == [["1", "20.0"], ["2", "32.0"], ["4", "40.0"]]
    assert "of the work 0.167 (" in picture.shows
    assert "each pair of nodes costs 0.042 (" in picture.shows
    assert "throughput peaks beyond the 4 nodes that were measured" in picture.shows


def test_marks_are_medians_with_their_range_and_the_curve_is_the_law(sample):
    found = scaling(*over_nodes(sample, CAPACITY, cores=3))
    marks, curve, ideal = found.figure.data
    assert [shape.x0 for shape in found.figure.layout.shapes] == [3]
    assert (list(marks.x), list(marks.y)) == ([1, 2, 4], [100.0, 160.0, 200.0])
    assert (list(marks.error_y.array), list(marks.error_y.arrayminus)) == ([5.0] * 3, [5.0] * 3)
    law = fit({nodes: [per_s] * 3 for nodes, per_s in CAPACITY.items()}, resamples=2)
    assert (curve.x[0], curve.x[-1]) == (1, 4)
    assert (curve.y[0], curve.y[-1]) == (pytest.approx(law.per_s(1)), pytest.approx(law.per_s(4)))
    # As if each node did the 100/s of the one: not what the law has for one.
    assert (ideal.x, ideal.y) == ((0, 4), (0, 400.0))


def test_the_table_has_what_was_measured_beside_what_the_law_says(sample):
    found = scaling(*over_nodes(sample, CAPACITY))
    assert [row[:6] for row in found.table.rows] == [
        ["threads", "1", "100", "95.0", "105", "3"], ["threads", "2", "160", "155", "165", "3"],
        ["threads", "4", "200", "195", "205", "3"],
    ]  # fmt: skip
    law = fit({nodes: [per_s] * 3 for nodes, per_s in CAPACITY.items()}, resamples=2)
    assert [row[6] for row in found.table.rows] == [number(law.per_s(nodes)) for nodes in CAPACITY]
    assert [row[7] for row in found.table.rows] == ["100 %", "80 %", "50 %"]


def test_it_says_what_the_law_says_and_what_bounds_it(sample):
    found = scaling(*over_nodes(sample, CAPACITY, cores=3))
    assert "is done by one node at a time (contention)" in found.shows
    assert "throughput peaks beyond the 4 nodes that were measured" in found.shows
    assert "all nodes shared the 3 cores of this machine" in found.reads


@pytest.mark.parametrize("trials", [(0.98, 1.0, 1.02), (0.99, 1.0, 1.01)])
def test_a_peak_that_the_values_show_is_marked_on_the_curve_with_its_interval(sample, trials):
    """The square root of 0.9 / 0.1 is 3 nodes."""
    exact = {nodes: 100 * nodes / (1 + 0.1 * (nodes - 1) + 0.1 * nodes * (nodes - 1)) for nodes in (1, 2, 4, 8)}
    law = fit({nodes: [per_s * off for off in trials] for nodes, per_s in exact.items()})
    found = scaling(*over_nodes(sample, exact, scaling=(LaneScaling(lane="threads", law=law),)))
    _, _, peak, _ = found.figure.data
    assert (peak.x[0], peak.y[0]) == (pytest.approx(3, rel=0.01), pytest.approx(law.per_s(law.peak.value)))
    (above,), (below,) = peak.error_x.array, peak.error_x.arrayminus
    assert (above, below) == pytest.approx((law.peak.high - law.peak.value, law.peak.value - law.peak.low))
    assert "a bar across a curve is its peak" in found.reads


def test_without_a_peak_none_is_marked_or_told(sample):
    found = scaling(*over_nodes(sample, CAPACITY))
    assert [trace.name for trace in found.figure.data] == ["threads", "threads: law", "threads: ideal"]
    assert "peak" not in found.reads


@pytest.mark.parametrize(("cores", "drawn"), [(1, False), (2, True), (4, True), (5, False), (None, False)])
def test_cores_are_drawn_and_told_only_where_more_than_one_of_them_and_as_many_nodes_were_measured(
    sample, cores, drawn
):
    found = scaling(*over_nodes(sample, CAPACITY, cores=cores))
    assert len(found.figure.layout.shapes) == ("upright line" in found.reads) == drawn


def test_the_ideal_goes_by_the_fewest_nodes_that_were_measured(sample):
    found = scaling(*over_nodes(sample, {2: 160.0, 4: 200.0, 8: 240.0}))
    assert found.figure.data[2].y == (0, 640.0)
    assert [row[7] for row in found.table.rows] == ["100 %", "62 %", "38 %"]


def test_two_numbers_of_nodes_are_drawn_without_a_law(sample):
    found = scaling(*over_nodes(sample, {1: 100.0, 2: 160.0}))
    assert [trace.name for trace in found.figure.data] == ["threads", "threads: ideal"]
    assert "no scaling fit: measure at least 3 node counts" in found.shows
    assert [row[6] for row in found.table.rows] == ["-", "-"]


def test_a_run_that_varies_no_nodes_says_how_to_get_one(sample):
    assert "poolrace sweep --over nodes=1,2,4" in scaling(*sample).missing
    assert "Nodes were not varied" in scaling(*over_nodes(sample, CAPACITY, scaling=None)).missing


def test_a_sweep_that_was_cut_short_before_its_first_value_says_so(sample):
    found = scaling(*over_nodes(sample, {}))
    assert found.figure is None
    assert "No number of nodes was measured to the end" in found.missing


def test_in_a_browser_every_median_has_its_mark_and_the_legend_is_above_the_chart(browser, tmp_path):
    from pictures import browser as browsers  # needs what drives a browser, as this test alone does

    found = sweep_run(tmp_path)
    summary, run = summarise(read_run(found)), read_run(found)
    picture = scaling(summary, run)
    path = tmp_path / "report.html"
    path.write_text(page_of(summary, run), encoding="utf-8")
    errors = []
    with browsers.opened(browser, "file:///") as window:
        window.on("pageerror", lambda error: errors.append(str(error)))
        window.goto(path.as_uri())
        chart = window.locator("#scaling-chart")
        assert chart.locator(".scatterlayer .point").count() == 3
        assert chart.locator(".scatterlayer .js-line").count() == 2  # the law and the ideal
        assert chart.locator(".legendtext").all_text_contents() == ["threads", "threads: law"]
        legend, plot = (chart.locator(name).first.bounding_box() for name in (".legend", ".nsewdrag"))
        assert legend["y"] + legend["height"] <= plot["y"]
        section = window.locator("section[aria-labelledby=scaling]")
        section.locator("summary").press("Enter")
        assert [row.split("\t") for row in section.locator("tbody tr").all_inner_texts()] == [
            list(row) for row in picture.table.rows
        ]
    assert errors == []
