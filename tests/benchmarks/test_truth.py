"""What is said is held against what is known: each check with few runs, and what it does with a disagreement."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from sample_run import make_run

from benchmarks.truth import capacity, lead_in, observer, percentiles
from benchmarks.truth.queues import QUEUES, Queue
from producer.errors import FleetError
from producer.rundir.reader import read_run
from producer.rundir.trials import Kind


def test_jobs_on_slots_of_their_own_begin_when_one_is_free(monkeypatch):
    monkeypatch.setattr(capacity, "SLOTS", 2)
    started_at, finished_at = capacity.apart(np.array([1.0, 3.0, 1.0, 1.0]), 0.5)
    assert (started_at.tolist(), finished_at.tolist()) == ([0, 0, 1.5, 3], [1, 3, 2.5, 4])


def test_jobs_that_share_a_core_share_it_in_equal_parts(monkeypatch):
    """Work of 1 and 2 s on 2 slots: the first ends at 2 s; the third, of 1 s, then shares with what is left, 1 s."""
    monkeypatch.setattr(capacity, "SLOTS", 2)
    started_at, finished_at = capacity.shared(np.array([1.0, 2.0, 1.0]))
    assert (started_at.tolist(), finished_at.tolist()) == ([0, 0, 2], [2, 4, 4])


@pytest.mark.parametrize("world", capacity.WORLDS, ids=lambda world: world.name)
def test_the_capacity_of_a_race_is_near_the_truth_and_the_rate_of_finishes_is_not(world):
    found = capacity.off_by(world, 67, runs=100)
    assert abs(found["from s_2w"][0]) < 0.01 + 3 * found["from s_2w"][1] / 10
    assert world.shares_core or found["finishes"][0] < -0.03


def test_a_queue_has_the_sojourns_of_its_arrivals(monkeypatch):
    """One slot, jobs of 1 s: the second comes while the first runs."""
    queue = Queue(name="M/D/1", slots=1, service_s=1.0, equal=True)
    due_s, sojourns_s = queue.trials(np.random.default_rng(1), 3, 2)
    assert sojourns_s[:, 0] == pytest.approx(1.0)
    assert sojourns_s[:, 1] == pytest.approx(1.0 + np.maximum(0.0, 1.0 - np.diff(due_s)[:, 0]))


def test_a_lead_in_takes_away_what_an_idle_start_hides():
    queue = QUEUES[0]
    (truth, *_) = lead_in.true_s(queue, runs=100)
    without, half = (lead_in.measured_s(queue, lead_s, runs=200)[0] / truth for lead_s in (0.0, 0.5))
    assert without < half
    assert half == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("world", percentiles.WORLDS, ids=lambda world: world.name)
def test_intervals_hold_the_truth(world):
    """At least 93 of 100, less what 60 runs are off by."""
    for trials, jobs, found in percentiles.rows(world, runs=60):
        assert min(each.holds for each in found) > 0.93 - 3 * (0.93 * 0.07 / 30) ** 0.5, (trials, jobs)


RACE = replace(observer.RACES[0], name="r")


@pytest.fixture
def run(tmp_path):
    return read_run(make_run(tmp_path, pairs=2))


def told_of(run, late_s=0.0):
    """What tasks would have told that saw what the nodes have recorded, but ended later."""
    jobs = run.records.select(number="seq", began_at="started_at", ended_at=pl.col("finished_at") + late_s)
    return jobs.sample(fraction=1.0, shuffle=True, seed=1)


def test_an_observer_that_has_seen_the_same_agrees(run):
    found = list(observer.figures(RACE, run, told_of(run)))
    assert [(each.lane, each.figure) for each in found] == [
        (lane, figure) for lane in ("prefork", "threads") for figure in ("capacity", "p50", "p99")
    ]
    assert all(each.agrees for each in found)
    assert [each.off for each in found] == pytest.approx([0.0] * 6, abs=1e-6)


def test_an_observer_that_has_seen_jobs_end_later_does_not(run):
    found = list(observer.figures(RACE, run, told_of(run, late_s=0.003)))
    assert {each.figure for each in found if not each.agrees} == {"p50", "p99"}
    assert [line for line in observer.table(found) if line.endswith("TOO MUCH")]


def test_a_job_that_was_not_seen_once_is_told(run):
    told = told_of(run)
    first = next(trial for trial in run.trials if trial.kind is Kind.CAPACITY)
    unseen = told.filter((pl.col("number") != 3) | (pl.col("began_at") > first.ended_at))
    with pytest.raises(FleetError, match="12 jobs were sent, and the tasks saw 11, of which 11 differ"):
        list(observer.figures(RACE, run, unseen))
    with pytest.raises(FleetError, match="the tasks saw 24, of which 12 differ"):
        list(observer.figures(RACE, run, pl.concat([told, told])))
