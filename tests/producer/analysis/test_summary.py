"""A summary says what a run found, whether it is valid, and what to mind."""

import polars as pl
import pytest

from producer.analysis.recommendation import NOT_VALID
from producer.analysis.summary import summarise
from producer.errors import UsageError
from producer.rundir.reader import read_run


def rewrite(path, table, **columns):
    """Change columns of a table in every part of a run."""
    for file in (path / table).glob("*.parquet"):
        frame = pl.read_parquet(file)
        frame.with_columns(**columns).cast(dict(frame.schema)).write_parquet(file)


def test_recomputing_gives_the_very_same(run_maker):
    path = run_maker(speeds={"prefork": 1.3})
    assert summarise(read_run(path)) == summarise(read_run(path))


def test_a_run_in_which_all_went_well_is_valid(run_maker):
    summary = summarise(read_run(run_maker()))
    assert (summary.status, summary.valid, summary.problems, summary.warnings) == ("complete", True, (), ())


@pytest.mark.parametrize(
    ("status", "told", "reason"),
    [
        ("incomplete", "incomplete", "The node prefork@host ended."),
        ("invalid", "invalid", "jobs are missing"),
        ("running", "incomplete", None),
    ],
)
def test_a_run_that_did_not_end_well_is_not_valid(run_maker, status, told, reason):
    summary = summarise(read_run(run_maker(status=status, **({"reason": reason} if reason else {}))))
    assert summary.status == told
    assert not summary.valid
    assert summary.problems[0].startswith(f"The run is {told}: {reason or 'it was cut short'}")


def test_a_run_that_is_not_valid_recommends_nothing(run_maker):
    workloads = summarise(read_run(run_maker(status="incomplete", speeds={"prefork": 1.3}))).workloads
    assert [workload.recommendation for workload in workloads] == [NOT_VALID for _ in workloads]


def test_jobs_without_one_end_are_named_one_by_one(run_maker):
    path = run_maker()
    lost = (pl.col("trial") == 1) & (pl.col("seq") > 1)
    rewrite(path, "records", outcome=pl.when(lost).then(pl.lit("retried")).otherwise(pl.col("outcome")))
    (found,) = summarise(read_run(path)).unsettled
    assert (found.trial, found.lane, found.fate) == (1, "threads", "retried")
    assert found.jobs == tuple(range(2, 12))


def test_a_generator_that_is_a_little_late_is_none(run_maker):
    path = run_maker()
    rewrite(path, "sent", sent_at=pl.col("sent_at") + 0.009)
    assert summarise(read_run(path)).valid


def test_waits_below_zero_are_counted_and_told_with_what_is_known_of_the_clocks(run_maker):
    path = run_maker()
    rewrite(path, "records", received_at=pl.when(pl.col("seq") == 3).then(999.0).otherwise(pl.col("received_at")))
    (warning,) = summarise(read_run(path)).warnings
    assert warning == (
        "12 jobs have a wait below zero: clocks disagree by more than it took (offsets known to within 100 us)."
    )
    assert summarise(read_run(path)).valid


def test_clocks_that_nobody_knows_are_told_as_unknown(run_maker):
    path = run_maker(clocks={"n": {"offset_s": 0.0, "bound_s": None}})
    rewrite(path, "records", received_at=pl.lit(999.0))
    assert "(offsets unknown)" in summarise(read_run(path)).warnings[0]


def test_a_clock_that_was_set_meanwhile_is_told(run_maker):
    path = run_maker()
    rewrite(path, "samples", drift_s=pl.col("at") / 1e9)
    assert summarise(read_run(path)).warnings == ()
    rewrite(path, "samples", drift_s=pl.col("at") / 100)
    assert summarise(read_run(path)).warnings[0].startswith("A node's clock was set while it ran")


def test_jobs_that_failed_are_told_by_their_exception(run_maker):
    path = run_maker()
    failed = pl.col("seq") == 0
    rewrite(
        path,
        "records",
        outcome=pl.when(failed).then(pl.lit("failed")).otherwise(pl.col("outcome")),
        exception=pl.when(failed).then(pl.lit("OSError")).otherwise(None),
    )
    summary = summarise(read_run(path))
    assert summary.warnings == (
        "6 of 72 sleep jobs failed on prefork: 6 OSError.",
        "6 of 72 sleep jobs failed on threads: 6 OSError.",
    )
    assert summary.valid


def test_short_jobs_are_told_to_measure_celery(run_maker):
    summary = summarise(read_run(run_maker(speeds={"prefork": 50.0, "threads": 50.0})))
    assert summary.warnings == ("Jobs shorter than 5 ms measure Celery, not the pool: sleep.",)


def test_a_crowded_machine_is_told(run_maker):
    (warning,) = summarise(read_run(run_maker(others_cores=99.0))).warnings
    assert warning.startswith("Other programs used 99.0 of ")


def test_a_node_whose_slots_differ_in_their_lock_is_mixed(run_maker):
    path = run_maker()
    rewrite(path, "records", gil=(pl.col("lane") == "threads") & (pl.col("seq") % 2 == 0))
    assert [lane.gil_in_slots for lane in summarise(read_run(path)).lanes] == ["off", "mixed"]


def test_a_foreign_folder_is_told(tmp_path):
    with pytest.raises(UsageError, match="is no run directory"):
        summarise(read_run(tmp_path))
