"""Each picture shows what was measured, says so in a sentence, has it as a table, and says what a run lacks."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from renaming import renamed
from sweeps import capacity

from producer.report.charts.gallery import pictures, pictures_of
from producer.report.charts.gallery.cost import cost
from producer.report.charts.gallery.spectrum import POINTS, nines, spectrum, thinned
from producer.report.charts.gallery.throughput import Point, per_slot, throughput
from producer.report.charts.gallery.verdict import verdict


def traces(picture, **wanted):
    return [
        trace for trace in picture.figure.data if all(getattr(trace, key) == value for key, value in wanted.items())
    ]


def column(picture, name):
    return [row[picture.table.columns.index(name)] for row in picture.table.rows]


def test_every_picture_has_a_chart_two_sentences_and_a_table_of_whole_rows(drawn):
    for found in drawn:
        assert found.missing == ""
        assert len(found.figure.data) > 0
        assert {len(row) for row in found.table.rows} == {len(found.table.columns)}
        for sentence in (found.shows, found.reads):
            assert sentence.endswith(".")
            assert "None" not in sentence


def test_keys_name_files_and_are_not_taken_twice(sample):
    keys = [picture.key for picture in pictures_of(*sample)]
    assert len(set(keys)) == len(keys)
    assert all(key.isalpha() for key in keys)


def test_the_verdict_draws_each_ratio_with_its_interval_and_the_band_of_no_difference(sample):
    summary, _ = sample
    found = verdict(*sample)
    (judged,) = [each for each in summary.workloads[0].verdicts if each.measure == "capacity"]
    line, mark = found.figure.data[:2]
    assert line.x == (judged.low, judged.high, None)
    assert mark.x == (judged.ratio,)
    assert set(mark.y) == {"sleep<br>capacity"} == set(line.y) - {None}
    (band,) = [shape for shape in found.figure.layout.shapes if shape.type == "rect"]
    assert (band.x0, band.x1) == pytest.approx((1 / 1.05, 1.05))
    assert column(found, "ratio")[0] == "0.5"
    assert "sleep, capacity, prefork / threads: threads" in found.shows


def test_throughput_has_a_mark_a_lane_and_a_line_of_what_slots_alone_would_do(sample):
    found = throughput(*sample)
    (threads,) = traces(found, name="threads")
    assert (threads.x, threads.y[0]) == ((2,), pytest.approx(40, rel=0.02))
    (ideal,) = traces(found, name="ideal")
    assert (ideal.x, ideal.y) == ((0, 2), pytest.approx((0, 40), rel=0.02))
    assert column(found, "slots") == ["2", "2"]
    assert "sleep on threads with 2 slots, in 3 trials" in found.shows


def test_where_service_times_are_not_known_the_fewest_slots_say_what_one_does():
    def point(slots, median, service_s=None):
        return Point(workload="cpu", lane="threads", slots=slots, capacity=capacity(median), service_s=service_s)

    assert per_slot([point(2, 30.0), point(8, 60.0)]) == 15.0
    assert per_slot([point(2, 30.0, 0.05), point(2, 30.0, 0.04)]) == 25.0
    assert per_slot([point(2, 30.0)]) is None


def test_the_scale_of_nines_has_a_tenth_the_rest_at_each_step():
    assert nines(np.array([50.0, 90.0, 99.0]), 100).tolist() == pytest.approx([0.30103, 1.0, 2.0])
    assert nines(np.array([100.0]), 100)[0] == pytest.approx(-np.log10(0.005))


@given(st.integers(1, 3000))
def test_a_line_of_a_spectrum_keeps_its_ends_and_never_falls(n):
    places, values = thinned(np.arange(n, 0, -1, dtype=float))
    assert (values[0], values[-1]) == (1.0, float(n))
    assert len(values) <= POINTS
    assert (np.diff(places) > 0).all()
    assert (np.diff(values) > 0).all()


def test_the_spectrum_has_a_line_a_stage_and_lane_in_milliseconds(sample):
    found = spectrum(*sample)
    assert [trace.name for trace in found.figure.data][:4] == [
        "prefork: sojourn", "prefork: sojourn from sent", "prefork: queue wait", "prefork: service",
    ]  # fmt: skip
    (service,) = traces(found, name="threads: service")
    assert set(np.round(service.y, 3)) == {50.0}
    assert column(found, "p50")[3] == "100 [100, 100]"
    assert column(found, "stage")[:4] == ["sojourn", "sojourn from sent", "queue wait", "service"]


def test_the_cost_of_a_million_jobs_is_a_jobs_cpu_time_in_hours(sample):
    found = cost(*sample)
    # 0.012 s for 12 jobs: 1 ms a job, 1,000 s for a million; 50 MiB for 50,000 s at 20 jobs/s.
    assert column(found, "CPU seconds") == ["1,000", "1,000"]
    assert column(found, "MiB-hours")[0] in {"694", "695"}


def test_a_run_that_measured_nothing_has_pictures_that_say_what_is_missing(sample):
    summary, run = sample
    nothing = {
        "records": run.records.clear(), "sent": run.sent.clear(), "samples": run.samples.clear(),
        "children": run.children.clear(), "pings": [], "trials": [],
    }  # fmt: skip
    lanes = tuple(dataclasses.replace(each, memory_per_slot_bytes=None) for each in summary.lanes)
    unknown = dataclasses.replace(summary, workloads=(), lanes=lanes, machine=None)
    found = pictures_of(unknown, dataclasses.replace(run, **nothing))
    assert [picture.figure for picture in found] == [None] * len(pictures())
    assert all(picture.missing.endswith(".") for picture in found)


def test_a_task_named_like_markup_is_text_in_every_label(sample):
    summary, run = sample
    evil = "<script>alert(1)</script>"

    trials = [dataclasses.replace(trial, workload=evil) for trial in run.trials]
    for picture in pictures_of(renamed(summary, "sleep", evil), dataclasses.replace(run, trials=trials)):
        assert picture.figure is None or "<script" not in str(picture.figure.to_dict())
