"""Slots are told by their threads, and where they share one by how many jobs run at once."""

from __future__ import annotations

import polars as pl
import pytest

from producer.measure.slot_proof import SlotProof


def held(*jobs: tuple[int, int, float, float]) -> pl.DataFrame:
    """Records of jobs: process, thread, start and end of each."""
    columns = {"pid": pl.Int64, "thread_id": pl.Int64, "started_at": pl.Float64, "finished_at": pl.Float64}
    return pl.DataFrame(jobs, columns, orient="row").with_columns(node=pl.lit("n"))


def test_threads_are_counted_over_several_looks_even_if_they_never_ran_at_once() -> None:
    proof = SlotProof(2)
    proof.see(held((1, 10, 0.0, 0.2), (1, 10, 0.2, 0.4)))
    assert proof.seen == 1
    proof.see(held((1, 11, 1.0, 1.2)))
    assert (proof.seen, proof.all_at_work_at) == (2, 1.0)


def test_the_last_of_the_first_jobs_counts_not_the_last_job() -> None:
    proof = SlotProof(2)
    proof.see(held((1, 10, 0.0, 0.2), (2, 10, 0.1, 0.3), (1, 10, 0.2, 0.4), (2, 10, 0.3, 0.5)))
    assert (proof.seen, proof.all_at_work_at) == (2, 0.1)


def test_greenlets_of_one_thread_are_as_many_as_run_at_once() -> None:
    proof = SlotProof(3)
    proof.see(held((1, 10, 0.0, 0.2), (1, 10, 0.05, 0.25), (1, 10, 0.2, 0.4)))
    assert proof.seen == 2
    proof.see(held((1, 10, 1.0, 1.2), (1, 10, 1.05, 1.25), (1, 10, 1.1, 1.3), (1, 10, 1.15, 1.35)))
    assert (proof.seen, proof.all_at_work_at) == (3, 1.1)


@pytest.mark.parametrize("second", [0.2, 0.3])
def test_jobs_one_after_the_other_are_one_slot(second: float) -> None:
    proof = SlotProof(2)
    proof.see(held((1, 10, 0.0, 0.2), (1, 10, second, 0.5)))
    assert proof.seen == 1


def test_a_job_without_a_start_proves_nothing() -> None:
    proof = SlotProof(1)
    records = held((1, 10, 0.0, 0.2)).with_columns(started_at=pl.lit(None, pl.Float64))
    proof.see(records)
    assert proof.seen == 0
