"""Tables: a row for each delivery, with what the job did and what its trial was for."""

import csv as reader
import json
from io import StringIO

import polars as pl
import pytest
from recorded import manifest_of, recorded
from sample_run import make_run

from producer.errors import UsageError
from producer.plan.lanes import parse_lanes
from producer.report.export.rows import COLUMNS, Choice, counted_jobs, counted_successes, csv, deliveries, jsonl
from producer.rundir.reader import read_run
from producer.rundir.run import Run
from producer.rundir.schema import RECORD_SCHEMA, SENT_SCHEMA
from producer.rundir.trials import Kind, Trial

PHASES = [{"name": "settle", "duration_s": 2.0, "counts": False}, {"name": "steady", "duration_s": 2.0, "counts": True}]


@pytest.fixture
def race(tmp_path):
    """Two lanes with two trials of twelve jobs each."""
    return read_run(make_run(tmp_path, pairs=1))


def a_load(tmp_path, *, phases=PHASES, kinds=(Kind.WARM_UP, Kind.LOAD)):
    """Two trials of a cpu and an io job, due at 1 s and 3 s, the io job tried twice; and a record of a stranger."""
    trials = [
        Trial(trial=number, kind=kind, workload="cpu=1,io=1", lane="threads", round=0, jobs=2, rate_per_s=1.0,
              slots=2, began_at=100.0, ended_at=104.0, parts=("cpu", "io"))
        for number, kind in enumerate(kinds)
    ]  # fmt: skip
    sent = [
        {"trial": trial.trial, "seq": seq, "part": seq, "due_at": 101.0 + 2 * seq, "sent_at": 101.0 + 2 * seq}
        for trial in trials
        for seq in (0, 1)
    ]
    ran = {"lane": "threads", "node": "threads@h", "pool": "threads", "pid": 1, "thread_id": 1, "attempt": 1,
           "received_at": 103.0, "started_at": 103.5, "finished_at": 103.75}  # fmt: skip
    records = [
        {**job, **ran, "outcome": outcome}
        for trial in trials
        for job, outcome in zip(
            ({"trial": trial.trial, "seq": seq, "due_at": 101.0, "sent_at": 101.0} for seq in (0, 1, 1, 9)),
            ("succeeded", "retried", "succeeded", "succeeded"),
            strict=True,
        )
    ]
    return Run(
        path=tmp_path,
        manifest=manifest_of(recorded(kind="load", phases=[{"rate": "1/s", "mix": {}, **phase} for phase in phases])),
        trials=trials,
        records=pl.DataFrame(records, RECORD_SCHEMA),
        sent=pl.DataFrame(sent, SENT_SCHEMA),
        children=pl.DataFrame(schema=RECORD_SCHEMA),
        samples=pl.DataFrame(),
        pings=[],
    )


def rows_of(pieces):
    return list(reader.DictReader(StringIO("".join(pieces))))


def test_a_row_has_the_record_the_kind_and_the_workload(race):
    rows = rows_of(csv(race, Choice()))
    assert len(rows) == 4 * 12
    assert tuple(rows[0]) == COLUMNS
    first = rows[0]
    assert (first["trial"], first["seq"], first["kind"], first["workload"]) == ("0", "0", "capacity", "sleep")
    assert (first["lane"], first["phase"], first["counts"]) == ("prefork", "", "true")
    assert float(first["due_at"]) == 1_700_000_000.0
    assert float(first["finished_at"]) == pytest.approx(1_700_000_000.1)


def test_numbers_in_csv_are_never_in_powers_of_ten(race):
    tiny = Run(**{**{name: getattr(race, name) for name in Run.__slots__},
                  "records": race.records.with_columns(cpu_s=pl.lit(0.0000012))})  # fmt: skip
    assert {row["cpu_s"] for row in rows_of(csv(tiny, Choice()))} == {"0.0000012"}


def test_json_lines_say_the_same_as_csv(race):
    lines = [json.loads(line) for piece in jsonl(race, Choice()) for line in piece.splitlines()]
    assert [str(line["seq"]) for line in lines] == [row["seq"] for row in rows_of(csv(race, Choice()))]
    assert lines[0]["exception"] is None
    assert lines[0]["counts"] is True


def test_rows_come_in_pieces_and_none_is_lost_between_them(race, monkeypatch):
    monkeypatch.setattr("producer.report.export.rows.SLICE_ROWS", 5)
    pieces = list(csv(race, Choice()))
    assert len(pieces) == 1 + 10  # the names, and 48 rows
    assert len(rows_of(pieces)) == 48


def test_a_job_has_the_workload_of_its_part_and_each_delivery_is_a_row(tmp_path):
    table = deliveries(a_load(tmp_path), Choice())
    assert table.select("trial", "seq", "workload", "outcome").rows() == [
        (1, 0, "cpu", "succeeded"),
        (1, 1, "io", "retried"),
        (1, 1, "io", "succeeded"),
        (1, 9, None, "succeeded"),
    ]


def test_warm_up_trials_are_left_out_unless_asked_for(tmp_path):
    run = a_load(tmp_path)
    assert deliveries(run, Choice())["kind"].unique().to_list() == ["load"]
    assert deliveries(run, Choice(warm_up=True)).height == 8
    assert deliveries(run, Choice(kind=Kind.WARM_UP))["trial"].unique().to_list() == [0]


def test_a_job_has_the_phase_in_which_it_was_due(tmp_path):
    table = deliveries(a_load(tmp_path), Choice())
    assert table["phase"].to_list() == ["settle", "steady", "steady", None]
    assert table["counts"].to_list() == [False, True, True, None]


def test_figures_are_made_from_phases_that_count(tmp_path):
    run = a_load(tmp_path)
    assert counted_jobs(run, Choice())["seq"].to_list() == [1]
    assert counted_successes(run, Choice())["workload"].to_list() == ["io"]
    assert counted_jobs(run, Choice(warm_up=True)).height == 4


def test_where_no_phase_counts_all_do(tmp_path):
    phases = [{**phase, "counts": False} for phase in PHASES]
    assert counted_jobs(a_load(tmp_path, phases=phases), Choice()).height == 2


def test_a_job_due_just_before_the_start_is_of_the_first_phase(tmp_path):
    run = a_load(tmp_path)
    early = run.sent.with_columns(due_at=pl.lit(99.999))
    run = Run(**{**{name: getattr(run, name) for name in Run.__slots__}, "sent": early})
    assert set(deliveries(run, Choice(workload="io"))["phase"]) == {"settle"}


def test_a_part_of_the_run_is_taken_by_lane_workload_and_kind(race, tmp_path):
    chosen = deliveries(race, Choice(lane="threads", kind=Kind.LATENCY))
    assert (chosen.height, set(chosen["lane"]), set(chosen["kind"])) == (12, {"threads"}, {"latency"})
    assert deliveries(a_load(tmp_path), Choice(workload="io")).height == 2


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (Choice(lane="gevent"), "--lane gevent: the run has none of it. It has: prefork, threads."),
        (Choice(workload="cpu"), "--workload cpu: the run has none of it. It has: sleep."),
        (Choice(kind=Kind.LOAD), "--kind load: the run has none of it. It has: capacity, latency."),
    ],
)
def test_what_the_run_does_not_have_is_refused_with_what_it_has(race, choice, said):
    with pytest.raises(UsageError) as refused:
        deliveries(race, choice)
    assert str(refused.value) == said


def test_a_run_of_warm_up_trials_alone_has_nothing_to_export(tmp_path):
    with pytest.raises(UsageError, match="--warm-up"):
        deliveries(a_load(tmp_path, kinds=(Kind.WARM_UP,)), Choice())


def test_a_trial_without_records_has_the_names_alone(tmp_path):
    lanes = parse_lanes(["threads:2", "prefork:2"], concurrency=2, prefetch=4, acks="early")
    run = read_run(make_run(tmp_path, pairs=1, lanes=lanes))
    run = Run(**{**{name: getattr(run, name) for name in Run.__slots__}, "records": run.records.clear()})
    assert "".join(csv(run, Choice())) == ",".join(COLUMNS) + "\n"
    assert "".join(jsonl(run, Choice())) == ""
