"""The picture of the slots: a bar a job, as full as its share of CPU time, on the row of its process or thread."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from producer.report.charts.gallery.lanes import lanes
from producer.report.charts.slot_bars import COLUMNS
from producer.rundir.trials import Kind


def last_capacity(run, lane="prefork"):
    return [trial for trial in run.trials if trial.kind is Kind.CAPACITY and trial.lane == lane][-1]


def traces(picture, words):
    return [trace for trace in picture.figure.data if trace.name == words]


def corners(trace):
    """Of each box: left, right, low and high."""
    x, y = (np.asarray(values).reshape(-1, 6) for values in (trace.x, trace.y))
    assert np.isnan(x[:, 5]).all()
    assert np.isnan(y[:, 5]).all()
    return x[:, 0], x[:, 1], y[:, 0], y[:, 2]


def with_records(run, **columns):
    return dataclasses.replace(run, records=run.records.with_columns(**columns))


def test_a_bar_is_as_long_as_its_job_ran_and_as_full_as_it_was_on_a_core(sample):
    summary, run = sample
    found = lanes(summary, with_records(run, cpu_s=pl.lit(0.025)))
    whole, full = (corners(traces(found, f"sleep: {words}")[0]) for words in ("runs", "on a core"))
    left, right, low, high = whole
    assert len(left) == 12
    assert right - left == pytest.approx(np.full(12, 0.1), abs=1e-4)
    assert low - high == pytest.approx(np.full(12, 0.8), abs=1e-4)
    # 25 ms of 100 ms: a quarter full, from below.
    assert full[2] == pytest.approx(low)
    assert full[2] - full[3] == pytest.approx(np.full(12, 0.2), abs=1e-4)
    assert set(np.round(low.astype(float), 3)) == {0.4, 1.4}


def test_a_job_with_more_cpu_time_than_it_took_is_full_and_one_without_is_empty(sample):
    summary, run = sample
    part = pl.when(pl.col("seq") == 0).then(None).otherwise(9.0)
    found = lanes(summary, with_records(run, cpu_s=part))
    _, _, low, high = corners(traces(found, "sleep: on a core")[0])
    assert sorted(np.round(low - high, 3)) == [0.0, *[0.8] * 11]


def test_jobs_that_wait_in_their_node_are_a_line_below_the_row(sample):
    found = lanes(*sample)
    waits, _ = traces(found, "waits in the node")
    x = np.asarray(waits.x).reshape(-1, 3)
    # All are fetched at once; the last two start after five others of 100.2 ms, less what their service is shorter.
    assert x[:, 0] == pytest.approx(np.zeros(12), abs=1e-4)
    assert x[-1, 1] == pytest.approx(0.6012 - 0.1, abs=1e-4)


def test_the_sentences_and_the_table_have_the_figures_of_the_drawn_trials(sample):
    found = lanes(*sample)
    # 12 jobs of 1 ms CPU time: 1 % of 100 ms on prefork, 2 % of 50 ms on threads.
    assert found.shows == (
        "The last capacity trial of sleep on each lane, all jobs. "
        "prefork: 12 jobs on 2 slots that were busy 100 % of 0.601 s, 1 % of that on a core; "
        "threads: 12 jobs on 2 slots that were busy 100 % of 0.3 s, 2 % of that on a core."
    )
    assert "jobs of prefork are 1 % full, 0.02 cores in all" in found.reads
    assert list(found.table.rows[0]) == ["prefork", "prefork@host", "10", "0", "6", "100 %", "1 %"]
    assert [row[-1] for row in found.table.rows] == ["1 %", "1 %", "2 %", "2 %"]


def test_threads_of_one_process_are_said_to_share_a_lock_only_if_they_do(sample):
    summary, run = sample
    processes = pl.when(pl.col("lane") == "prefork").then(pl.col("thread_id") + 20).otherwise(10).cast(pl.UInt32)
    found = lanes(summary, with_records(run, pid=processes))
    assert "jobs of threads are 2 % full" in found.reads
    assert found.reads.endswith("and 2 threads in one process share one interpreter lock (GIL).")
    free = lanes(summary, with_records(run, pid=processes, gil=pl.lit(value=False)))
    assert "jobs of prefork are 1 % full" in free.reads
    assert "lock (GIL)" not in free.reads


def test_greenlets_are_rows_and_no_cpu_time_is_told_of_jobs_that_share_a_thread(sample):
    summary, run = sample
    greenlets = with_records(run, pool=pl.lit("gevent"), thread_id=pl.lit(7, pl.UInt32), cpu_s=pl.lit(None, pl.Float64))
    found = lanes(summary, greenlets)
    assert [list(row)[3:6] for row in found.table.rows[:2]] == [
        ["greenlet 1", "6", "100 %"],
        ["greenlet 2", "6", "100 %"],
    ]
    assert "on a core" not in found.shows
    assert "jobs of prefork share a thread, so that none has a CPU time of its own" in found.reads
    assert found.figure.layout.yaxis.ticktext == ("greenlet 1", "greenlet 2")


def test_the_workload_that_holds_the_cpu_most_is_drawn(sample):
    summary, run = sample
    hungry = [trial.trial for trial in run.trials if trial.kind is Kind.CAPACITY and trial.round == 0]
    trials = [dataclasses.replace(t, workload="cpu") if t.trial in hungry else t for t in run.trials]
    cpu_s = pl.when(pl.col("trial").is_in(hungry)).then(0.04).otherwise(0.001)
    found = lanes(summary, dataclasses.replace(with_records(run, cpu_s=cpu_s), trials=trials))
    assert found.shows.startswith("The last capacity trial of cpu on each lane")


def test_workloads_of_a_mix_have_bars_of_different_heights(sample):
    summary, run = sample
    trials = [dataclasses.replace(trial, parts=("cpu", "sleep")) for trial in run.trials]
    sent = run.sent.with_columns(part=(pl.col("seq") % 2).cast(run.sent.schema["part"]))
    found = lanes(summary, dataclasses.replace(run, trials=trials, sent=sent))
    heights = [
        corners(traces(found, f"{name}: runs")[0])[2] - corners(traces(found, f"{name}: runs")[0])[3]
        for name in ("cpu", "sleep")
    ]
    assert heights[0] == pytest.approx(np.full(6, 0.8), abs=1e-4)
    assert heights[1] == pytest.approx(np.full(6, 0.64), abs=1e-4)


def test_a_hundred_thousand_jobs_are_few_traces_and_what_is_drawn_is_told(sample):
    summary, run = sample
    trial = last_capacity(run)
    one = run.records.filter(pl.col("trial") == trial.trial).head(1)
    many = pl.concat([one] * 100_000).with_columns(seq=pl.int_range(100_000, dtype=pl.UInt32))
    found = lanes(summary, dataclasses.replace(run, records=many))
    (shaded,) = found.figure.data
    assert (shaded.type, len(shaded.z), len(shaded.x)) == ("heatmap", 1, COLUMNS)
    assert not found.figure.layout.shapes
    assert "all jobs, those of prefork as shades of a row's time on a core, being more than 5,000." in found.shows
    assert "the darker the more" in found.reads
    assert found.table.rows[0][4] == "100,000"


def test_names_that_look_like_tags_are_words(sample):
    summary, run = sample
    trials = [dataclasses.replace(trial, workload="<b>x</b>") for trial in run.trials]
    found = lanes(summary, dataclasses.replace(run, trials=trials))
    assert traces(found, "&lt;b&gt;x&lt;/b&gt;: runs")
    assert "<b>" not in str([trace.name for trace in found.figure.data])


def test_without_a_job_that_ran_it_says_what_to_do(sample):
    summary, run = sample
    found = lanes(summary, with_records(run, finished_at=pl.lit(None, dtype=pl.Float64)))
    assert (found.figure, found.table) == (None, None)
    assert "Race for longer" in found.missing
