"""The picture over time: rates, backlog, waits and CPU time in bins, with phases and what happened."""

import dataclasses
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from recorded import manifest_of, recorded

from producer.analysis.bins import MOST_BINS
from producer.analysis.load import JudgedThreshold
from producer.analysis.summary import summarise
from producer.plan.lanes import Lane
from producer.report.charts.gallery.timeline import MOST_MARKS, timeline
from producer.rundir.events import Event, EventKind
from producer.rundir.run import Run
from producer.rundir.schema import RECORD_SCHEMA, SAMPLE_SCHEMA, SENT_SCHEMA
from producer.rundir.trials import Kind, Trial

ZERO = 1_700_000_000.0
PHASES = [
    {"name": "calm", "duration_s": 10.0, "counts": False, "rate": "1/s", "mix": {}},
    {"name": "<b>rush</b>", "duration_s": 20.0, "counts": True, "rate": "1/s", "mix": {}},
]


def load(due, wait_s, *, lane="prefork", number=0, planned_s=30.0, service_s=0.5, samples=()):
    """A load of a lane: jobs due and sent then, started after a wait, each of a time."""
    seq = range(len(due))
    job = [{"trial": number, "seq": each, "due_at": ZERO + due[each], "sent_at": ZERO + due[each]} for each in seq]
    waits = wait_s if isinstance(wait_s, list) else [wait_s] * len(due)
    records = [
        {
            **one, "lane": lane, "node": f"{lane}@host", "outcome": "succeeded", "attempt": 1,
            "received_at": one["sent_at"], "started_at": one["sent_at"] + wait,
            "finished_at": one["sent_at"] + wait + service_s,
        }
        for one, wait in zip(job, waits, strict=True)
    ]  # fmt: skip
    seen = [{"lane": lane, "node": node, "at": ZERO + at_s, "cpu_s": cpu_s} for node, at_s, cpu_s in samples]
    trial = Trial(
        trial=number, kind=Kind.LOAD, workload="cpu=1", lane=lane, round=0, jobs=len(due), rate_per_s=None, slots=2,
        began_at=ZERO, ended_at=ZERO + 40, planned_s=planned_s,
    )  # fmt: skip
    sent = [{**one, "part": 0, "accepted_at": one["sent_at"]} for one in job]
    return (
        trial, pl.DataFrame(records, schema=RECORD_SCHEMA), pl.DataFrame(sent, schema=SENT_SCHEMA),
        pl.DataFrame(seen, schema=SAMPLE_SCHEMA),
    )  # fmt: skip


def drawn(*loads, phases=(), events=(), thresholds=(), acks="early"):
    trials, records, sent, samples = zip(*loads, strict=True)
    lanes = [Lane(key=trial.lane, pool="threads", slots=2, acks=acks) for trial in trials]
    run = Run(
        path=Path("run"), manifest=manifest_of(recorded(kind="load", lanes=lanes, phases=phases)), trials=trials,
        records=pl.concat(records), sent=pl.concat(sent), samples=pl.concat(samples), children=records[0].clear(),
        pings=[], events=events,
    )  # fmt: skip
    summary = summarise(run)
    first, *rest = summary.load.lanes
    judged = dataclasses.replace(summary.load, lanes=(dataclasses.replace(first, thresholds=thresholds), *rest))
    return timeline(dataclasses.replace(summary, load=judged), run)


def line(picture, name, nth=0):
    return [trace for trace in picture.figure.data if trace.name == name][nth]


def words(picture):
    return [(each.text, each.x) for each in picture.figure.layout.annotations if each.textangle == 90]


def test_rates_count_the_jobs_of_each_second():
    # Two jobs due in the first second, one in the third; each starts a second later and runs half a second.
    found = drawn(load([0.0, 0.25, 2.0], 1.0))
    assert list(line(found, "offered").y[:5]) == [2, 0, 1, 0, 0]
    assert list(line(found, "started").y[:5]) == [0, 2, 0, 1, 0]
    assert list(line(found, "finished").y[:5]) == [0, 2, 0, 1, 0]
    assert list(line(found, "offered").x[:2]) == [0.5, 1.5]


def backlog(picture):
    return list(line(picture, "ready").y[:6]), list(line(picture, "unacked").y[:6])


def test_the_backlog_is_ready_until_a_node_takes_it_and_unacked_until_a_slot_does():
    trial, records, sent, samples = load([0.0, 0.25, 2.0], 1.8)
    # Taken 0.5 s after they are sent: at 0.5, 0.75 and 2.5 s; started at 1.8, 2.05 and 3.8 s.
    found = drawn((trial, records.with_columns(received_at=pl.col("sent_at") + 0.5), sent, samples))
    # In the first second both were two until its end, by when both were taken; as the third was sent, the second waited
    # for a slot.
    assert backlog(found) == ([0, 0, 1, 0, 0, 0], [2, 2, 1, 1, 0, 0])
    assert found.table.rows[0][5:8] == ["2", "1", "2"]
    assert {line(found, name).stackgroup for name in ("ready", "unacked")} == {"backlog"}
    assert line(found, "ready").fillpattern.shape != line(found, "unacked").fillpattern.shape


def test_jobs_that_are_acknowledged_late_are_unacked_until_they_end():
    # The first two end at 2.3 and 2.55 s, after the third was sent, which ends at 4.3 s.
    found = drawn(load([0.0, 0.25, 2.0], 1.8), acks="late")
    assert backlog(found) == ([0, 0, 0, 0, 0, 0], [2, 2, 3, 1, 1, 0])


def test_waits_are_the_median_and_the_longest_of_the_jobs_started_in_each_second_and_gaps_where_none_was():
    found = drawn(load([0.0, 0.0, 0.0, 3.0], [0.1, 0.2, 0.9, 0.5]))
    p50, longest = line(found, "queue wait p50").y, line(found, "longest queue wait").y
    assert (p50[0], longest[0], p50[3]) == pytest.approx((200.0, 900.0, 500.0), abs=0.01)
    assert np.isnan(p50[1])


def test_cores_are_cpu_seconds_between_samples_by_node():
    samples = [("a@host", 0.0, 1.0), ("a@host", 2.0, 4.0), ("b@host", 0.0, 0.0), ("b@host", 1.0, 0.5)]
    found = drawn(load([0.0], 0.1, samples=samples))
    first, second = line(found, "CPU of a@host"), line(found, "CPU of b@host")
    assert (list(first.x), list(first.y)) == ([2.0], [1.5])
    assert (list(second.x), list(second.y)) == ([1.0], [0.5])
    assert (first.line.dash, first.marker.symbol) != (second.line.dash, second.marker.symbol)
    assert found.table.rows[0][-2] == "1.50"


def test_a_retry_ends_no_job_and_a_job_that_the_broker_refused_is_no_backlog():
    trial, records, sent, samples = load([0.0, 0.5], 0.1)
    retried = records.with_columns(outcome=pl.when(pl.col("seq") == 0).then(pl.lit("retried")).otherwise("outcome"))
    refused = sent.with_columns(accepted_at=pl.when(pl.col("seq") == 1).then(None).otherwise("accepted_at"))
    assert line(drawn((trial, retried, sent, samples)), "unacked").y[-1] == 1
    found = drawn((trial, records.filter(pl.col("seq") == 0), refused, samples))
    assert (line(found, "ready").y[-1], line(found, "unacked").y[-1]) == (0, 0)


def test_a_job_of_which_no_node_told_is_ready_to_the_end():
    trial, records, sent, samples = load([0.0, 0.5], 0.1)
    found = drawn((trial, records.filter(pl.col("seq") == 0), sent, samples))
    assert (line(found, "ready").y[-1], line(found, "unacked").y[-1]) == (1, 0)


def test_a_job_that_was_revoked_is_unacked_until_it_was_dropped():
    trial, records, sent, samples = load([0.0], 3.0)
    dropped = records.with_columns(started_at=pl.lit(None, pl.Float64), finished_at=pl.col("sent_at") + 2.5)
    other = load([0.0], 0.1, lane="threads", number=1)
    found = drawn((trial, dropped.with_columns(outcome=pl.lit("revoked")), sent, samples), other)
    assert list(line(found, "unacked").y[:4]) == [1, 1, 1, 0]


def test_phases_are_shaded_and_named_as_words():
    found = drawn(load([0.0, 29.0], 0.1), phases=PHASES)
    assert words(found) == [("calm (does not count)", 0.0), ("&lt;b&gt;rush&lt;/b&gt;", 10.0)]
    spans = {(shape.x0, shape.x1) for shape in found.figure.layout.shapes}
    assert spans == {(0.0, 10.0), (10.0, 30.0)}


def test_a_phase_that_was_not_reached_is_not_there():
    found = drawn(load([0.0], 0.1, planned_s=8.0), phases=PHASES)
    assert words(found) == [("calm (does not count)", 0.0)]
    assert {(shape.x0, shape.x1) for shape in found.figure.layout.shapes} == {(0.0, 8.0)}


def event(at_s, kind, detail="", *, lane="threads", node=""):
    return Event(at=ZERO + at_s, lane=lane, node=node, kind=kind, detail=detail)


def test_what_happened_stands_at_its_second_on_its_lane_as_a_line_and_in_words():
    events = [
        event(5.0, EventKind.CHANGED, "80/s"),
        event(9.0, EventKind.CHILDREN, "pid 7 ended, pid 9 began", node="threads@host"),
        event(12.0, EventKind.GIVEN_UP, "lost == 0; the load ends"),
    ]
    found = drawn(load([0.0], 0.1), load([0.0], 0.1, lane="threads", number=1), events=events)
    assert words(found) == [
        ("load changed: 80/s", 5.0),
        ("children replaced: threads@host, pid 7 ended…", 9.0),
        ("threshold broken: lost == 0; the load ends", 12.0),
    ]
    assert {each.xref for each in found.figure.layout.annotations if each.textangle == 90} == {"x2"}
    lines = [shape for shape in found.figure.layout.shapes if shape.line.dash == "dashdot"]
    assert {shape.x0 for shape in lines} == {5.0, 9.0, 12.0}
    assert found.table.rows[0][-1] == "-"
    assert found.table.rows[1][-1] == (
        "5.0 s load changed: 80/s; 9.0 s children replaced: threads@host, pid 7 ended, pid 9 began; "
        "12.0 s threshold broken: lost == 0; the load ends"
    )


def test_what_happened_to_no_lane_alone_stands_on_every_one():
    found = drawn(
        load([0.0], 0.1), load([0.0], 0.1, lane="threads", number=1), events=[event(3.0, EventKind.REFUSED, lane="")]
    )
    assert [row[-1] for row in found.table.rows] == ["3.0 s jobs refused"] * 2


def test_what_happened_outside_of_the_trials_is_told_below_the_table_alone():
    found = drawn(load([0.0], 0.1), events=[event(99.0, EventKind.LOST, "signal SIGKILL", node="threads@host")])
    assert words(found) == []
    assert found.table.note.endswith("+99.0 s threads node lost: threads@host, signal SIGKILL.")
    assert "Outside" not in drawn(load([0.0], 0.1)).table.note


def test_phases_stand_in_the_table_too_in_order_with_what_happened():
    events = [event(12.5, EventKind.JOINED, lane="prefork", node="second@host")]
    (row,) = drawn(load([0.0, 29.0], 0.1), phases=PHASES, events=events).table.rows
    assert row[-1] == "0.0 s calm (does not count); 10.0 s <b>rush</b>; 12.5 s node joined: second@host"


def test_a_threshold_that_was_not_kept_is_marked_where_it_broke():
    thresholds = (
        JudgedThreshold(threshold="p99(sojourn) < 1s", measured=2.0, limit=1.0, kept=False, unit="s", since_s=4.0),
        JudgedThreshold(threshold="lost == 0", measured=0.0, limit=0.0, kept=True, unit="jobs", since_s=None),
    )
    found = drawn(load([0.0], 0.1), thresholds=thresholds)
    assert words(found) == [("broken since here: p99(sojourn) &lt; 1s", 4.0)]


def test_many_events_leave_room_for_the_lines_and_all_are_counted():
    many = [event(float(at_s), EventKind.CHILDREN, "again", lane="prefork") for at_s in range(30)]
    found = drawn(load([0.0], 0.1), events=many)
    assert len(words(found)) == MOST_MARKS
    assert found.table.rows[0][-1].endswith(f"; {30 - 2 * MOST_MARKS} more are in events.jsonl")


def test_the_sentences_say_who_fell_behind_and_by_how_much():
    late = load([0.0, 25.0], [0.5, 6.0], lane="threads", number=1)
    found = drawn(load([0.0, 25.0], 0.1), late)
    assert found.shows == (
        "The last load trial of cpu=1 in bins of 1.00 s: prefork finished 2 of 2 jobs, with a backlog of 1 and a "
        "queue wait of 100 ms at most; threads finished 2 of 2 jobs, with a backlog of 1 and a queue wait of 6,000 ms "
        "at most."
    )
    assert found.reads.endswith("after the last job was due threads needed 6.00 s to end the rest.")
    assert "every lane ended its last job" in drawn(load([0.0, 25.0], 0.1)).reads


def test_a_long_load_has_few_points():
    samples = [("a@host", float(at_s), float(at_s)) for at_s in range(7200)]
    found = drawn(load([float(due) for due in range(0, 7200, 2)], 0.1, planned_s=7200.0, samples=samples))
    assert all(len(trace.x) <= MOST_BINS + 1 for trace in found.figure.data)
    # One every two seconds, in bins of 20 s.
    assert set(line(found, "offered").y[:-1]) == {0.5}


def test_a_race_shows_a_trial_at_a_held_rate(sample):
    found = timeline(*sample)
    assert found.shows.startswith("The last latency trial of sleep in bins of 0.05 s: prefork finished 12 of 12 jobs")


def test_without_a_job_that_ended_it_says_how_to_get_one(sample):
    summary, run = sample
    found = timeline(summary, dataclasses.replace(run, records=run.records.clear()))
    assert (found.figure, found.table) == (None, None)
    assert "poolrace load" in found.missing


def test_without_a_trial_to_draw_what_happened_is_told_all_the_same(sample):
    summary, run = sample
    lost = event(1.0, EventKind.LOST, "signal SIGKILL", node="threads@host")
    found = timeline(summary, dataclasses.replace(run, records=run.records.clear(), events=[lost]))
    assert found.missing.endswith(" What happened: threads node lost: threads@host, signal SIGKILL.")
