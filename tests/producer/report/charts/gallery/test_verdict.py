"""The verdict picture: rows in the order of the report, labels short enough for a phone, an axis with few marks."""

import pytest

from producer.report.charts.gallery.verdict import verdict


def judged(workload="cpu", *, ratio=2.0, low=1.5, high=3.0, word="prefork", **changes):
    return {
        "workload": workload, "measure": "capacity", "percentile": None, "a": "prefork", "b": "threads",
        "ratio": ratio, "low": low, "high": high, "word": word, "pairs": 3, **changes,
    }  # fmt: skip


def drawn(sample, *verdicts):
    summary, run = sample
    return verdict({**summary, "workloads": [{"workload": "cpu", "verdicts": list(verdicts)}]}, run)


def test_rows_stand_in_the_order_of_the_report_and_the_lanes_on_the_axis(sample):
    latency = judged(measure="latency", percentile="p99.9")
    found = drawn(sample, judged("cpu"), latency, judged("io"))
    assert found.figure.layout.yaxis.categoryarray == ("cpu<br>capacity", "cpu<br>latency p99.9", "io<br>capacity")
    assert found.figure.layout.xaxis.title.text == "prefork / threads"


def test_where_several_pairs_are_compared_each_row_names_its_own(sample):
    found = drawn(sample, judged(), judged(b="threads-2"))
    assert found.figure.layout.yaxis.categoryarray[1] == "cpu<br>capacity, prefork / threads-2"
    assert found.figure.layout.xaxis.title.text == "ratio"


def test_the_sentence_has_the_numbers(sample):
    assert drawn(sample, judged()).shows == "cpu, capacity, prefork / threads: prefork, 2.00 (1.50 to 3.00)."


def test_of_many_comparisons_it_tells_how_they_came_out_and_the_furthest_from_one(sample):
    many = [judged(str(n), word="no verdict") for n in range(6)]
    found = drawn(sample, *many, judged("io", ratio=0.1, low=0.05, high=0.2, word="threads"))
    assert found.shows == (
        "7 comparisons: 6 no verdict, 1 threads. The furthest from 1 is io, capacity, prefork / threads: threads, "
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
