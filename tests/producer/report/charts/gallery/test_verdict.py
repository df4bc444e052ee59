"""The verdict picture: rows in the order of the report, labels short enough for a phone, an axis with few marks."""

from dataclasses import replace

import pytest
from nouns import verdict as verdict_of

from producer.report.charts.gallery.verdict import verdict


def judged(workload="cpu", word="prefork", **changes):
    return verdict_of(word, workload=workload, **{"ratio": 2.0, "low": 1.5, "high": 3.0, "pairs": 3, **changes})


def drawn(sample, *verdicts):
    summary, run = sample
    (workload,) = summary.workloads
    return verdict(replace(summary, workloads=(replace(workload, verdicts=verdicts),)), run)


def test_rows_stand_in_the_order_of_the_report_and_the_lanes_on_the_axis(sample):
    latency = judged(measure="latency")
    found = drawn(sample, judged("cpu"), latency, judged("io"))
    assert found.figure.layout.yaxis.categoryarray == ("cpu<br>capacity", "cpu<br>latency", "io<br>capacity")
    assert found.figure.layout.xaxis.title.text == "prefork / threads"


def test_where_several_pairs_are_compared_each_row_names_its_own(sample):
    found = drawn(sample, judged(), judged(b="threads-2"))
    assert found.figure.layout.yaxis.categoryarray[1] == "cpu<br>capacity, prefork / threads-2"
    assert found.figure.layout.xaxis.title.text == "ratio"


def test_the_sentence_has_the_numbers(sample):
    assert drawn(sample, judged()).shows == "cpu, capacity, prefork / threads: prefork, settled, 2.00 (1.50 to 3.00)."


def test_of_many_comparisons_it_tells_how_they_came_out_and_the_furthest_from_one(sample):
    many = [judged(str(n), word="open") for n in range(6)]
    found = drawn(sample, *many, judged("io", ratio=0.1, low=0.05, high=0.2, word="threads"))
    assert found.shows == (
        "7 comparisons: 1 settled, 6 open. The furthest from 1 is io, capacity, prefork / threads: threads, settled, "
        "0.1 (0.05 to 0.2)."
    )


@pytest.mark.parametrize(
    ("high", "marks"), [(3.0, [0.8, 1.0, 1.2]), (30.0, [0.5, 1.0, 2.0]), (300.0, [0.1, 1.0, 10.0])]
)
def test_a_wide_axis_has_fewer_marks(sample, high, marks):
    ticks = drawn(sample, judged(high=high)).figure.layout.xaxis.tickvals
    at = ticks.index(1.0)
    assert list(ticks[at - 1 : at + 2]) == marks


def test_an_endless_axis_has_marks_of_plotlys_choice(sample):
    axis = drawn(sample, judged(low=1e-4, high=1e4)).figure.layout.xaxis
    assert (axis.type, axis.tickvals, axis.nticks) == ("log", None, 6)


LIKELY = {"sure": "likely", "probability": 0.934}


def test_settled_likely_and_open_look_different_and_the_legend_says_how(sample):
    rows = [judged("a"), judged("b", **LIKELY), judged("c", "open")]
    traces = drawn(sample, *rows).figure.data
    looks = {}
    for line, mark in zip(traces[0:6:2], traces[1:6:2], strict=True):
        looks[line.y[0]] = (line.line.width > 2, line.line.dash, mark.marker.symbol)
    assert looks == {
        "a<br>capacity": (True, "solid", "circle"),
        "b<br>capacity": (False, "solid", "circle-open"),
        "c<br>capacity": (False, "dot", "circle-open"),
    }
    legend = {trace.name: trace for trace in traces if trace.showlegend is not False}
    assert list(legend) == ["capacity", "settled", "likely", "open"]
    assert (legend["open"].line.dash, legend["likely"].marker.symbol) == ("dot", "circle-open")


def test_a_style_that_no_row_has_is_not_in_the_legend(sample):
    names = [trace.name for trace in drawn(sample, judged(**LIKELY)).figure.data if trace.showlegend is not False]
    assert names == ["capacity", "likely"]


def test_the_line_is_the_interval_that_the_word_rests_on_and_the_caption_says_how_sure_it_is(sample):
    found = drawn(sample, judged(low=1.2, high=3.5, confidence=0.998), judged("io", **LIKELY))
    assert found.figure.data[0].x == (1.2, 3.5, None)
    assert "95 % confidence however often one looks; that of a settled winner with 99.8 %, which" in found.reads
    assert "settled winner with" not in drawn(sample, judged(**LIKELY)).reads


def test_the_table_has_the_interval_its_confidence_and_how_sure_the_verdict_is(sample):
    first, second = drawn(sample, judged(confidence=0.998125), judged("io", **LIKELY)).table.rows
    assert first[1:] == ["2.00", "1.50", "3.00", "99.8 %", "3", "prefork, settled"]
    assert second[4:] == ["95 %", "3", "prefork, likely (93 %)"]
