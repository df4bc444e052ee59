"""Jobs that count for latency, and which of them resemble each other."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from producer.analysis.analyse import analyse
from producer.analysis.latency import after_lead_in, groups_of
from producer.analysis.settle import Settlement
from producer.rundir.schema import RECORD_SCHEMA, SENT_SCHEMA
from producer.rundir.trials import Kind, Trial

TRIAL = Trial(
    trial=0, kind=Kind.LATENCY, workload="cpu", lane="threads", round=0, jobs=6, rate_per_s=2.0, slots=2,
    began_at=100.0, ended_at=110.0,
)  # fmt: skip


def jobs_of(*due_at, trial=0):
    return pl.DataFrame([(trial, at) for at in due_at], {"trial": pl.UInt32, "due_at": pl.Float64}, orient="row")


def tables(*sojourns_s, trial=0, failed=()):
    """Jobs due every half second from 100 on: what was sent, and a record of each that took so long."""
    sent, records = [], []
    for seq, took_s in enumerate(sojourns_s):
        due_at = 100 + seq / 2
        job = {"trial": trial, "seq": seq, "due_at": due_at, "sent_at": due_at + 0.001}
        sent.append({**job, "part": 0, "accepted_at": due_at + 0.002})
        records.append({
            **job, "lane": "threads", "node": "threads@host", "pool": "threads", "received_at": due_at + 0.003,
            "started_at": due_at + 0.004, "finished_at": due_at + took_s, "cpu_s": 0.001, "attempt": 1,
            "redelivered": False, "gil": True, "outcome": "failed" if seq in failed else "succeeded",
        })  # fmt: skip
    return pl.DataFrame(sent, SENT_SCHEMA), pl.DataFrame(records, RECORD_SCHEMA)


def test_jobs_due_in_the_lead_in_of_their_trial_are_left_out():
    trials = [replace(TRIAL, lead_in_s=0.5), replace(TRIAL, trial=1, began_at=200.0)]
    jobs = pl.concat([jobs_of(100.0, 100.25, 100.5, 101.0), jobs_of(200.0, 200.25, trial=1), jobs_of(1.0, trial=9)])
    assert after_lead_in(jobs, trials).rows() == [(0, 100.5), (0, 101.0), (1, 200.0), (1, 200.25), (9, 1.0)]


def test_without_a_lead_in_all_jobs_count():
    jobs = jobs_of(99.9, 100.0)
    assert after_lead_in(jobs, [TRIAL]) is jobs


def test_the_lead_in_is_settled_and_in_no_figure_of_latency():
    """Six jobs due every half second, the first two in the lead-in of a second: 9 s and 8 s are not seen."""
    sent, records = tables(9.0, 8.0, 1.0, 2.0, 3.0, 4.0)
    found = analyse([replace(TRIAL, lead_in_s=1.0)], sent, records)
    (trial,), (lane,) = found.trials, found.lanes
    assert found.settlement == lane.settlement == Settlement(sent=6, done=6)
    assert (trial.sojourn.n, trial.sojourn.p50, trial.sojourn.max) == (4, pytest.approx(2.0), pytest.approx(4.0))
    for stage in ("sojourn", "queue_wait", "service", "publish_lag", "cpu"):
        assert lane.latency.stage(stage).n == 4
    assert trial.publish_lag.n == 4


def test_jobs_are_known_one_by_one_to_be_held_against_those_of_another_lane():
    sent, records = tables(9.0, 8.0, 1.0, 2.0, 3.0, 4.0, failed=[4])
    (trial,) = analyse([replace(TRIAL, lead_in_s=1.0)], sent, records).trials
    assert trial.sojourns_s == pytest.approx([np.nan, np.nan, 1.0, 2.0, np.nan, 4.0], nan_ok=True)


def test_a_trial_of_which_nothing_came_back_has_a_sojourn_of_no_job():
    sent, records = tables(1.0, 1.0)
    (trial,) = analyse([TRIAL], sent, records.clear()).trials
    assert np.isnan(trial.sojourns_s).tolist() == [True, True]
    (nothing,) = analyse([TRIAL], sent.clear(), records.clear()).trials
    assert nothing.sojourns_s.tolist() == []


def test_a_group_is_a_trial():
    jobs = pl.concat([jobs_of(1.0, 2.0, trial=7), jobs_of(1.0, trial=3), jobs_of(5.0, trial=7)])
    assert groups_of(jobs).tolist() == [1, 1, 0, 1]


def test_a_single_trial_is_cut_into_stretches_by_when_jobs_were_due():
    assert groups_of(jobs_of(100.0, 109.5, 101.9, 102.0, 110.0)).tolist() == [0, 4, 0, 1, 4]


@pytest.mark.parametrize(("jobs", "stretches"), [(2, 5), (1_199, 5), (1_200, 6), (2_000, 10), (9_000, 10)])
def test_a_stretch_has_two_hundred_jobs_or_there_are_five(jobs, stretches):
    found = groups_of(jobs_of(*np.linspace(0.0, 1.0, jobs)))
    assert (found[0], found[-1]) == (0, stretches - 1)


@pytest.mark.parametrize("due_at", [(), (5.0,), (5.0, 5.0, 5.0)])
def test_jobs_due_at_once_are_one_group(due_at):
    assert groups_of(jobs_of(*due_at)).tolist() == [0] * len(due_at)


def test_a_lane_has_intervals_from_its_trials_and_a_single_trial_from_its_stretches():
    trials = [replace(TRIAL, trial=number) for number in range(3)]
    parts = [tables(*1.0 + np.arange(40) % 7, trial=number) for number in range(3)]
    sent, records = (pl.concat(frames) for frames in zip(*parts, strict=True))
    of_three = analyse(trials, sent, records)
    assert None not in of_three.lanes[0].latency.sojourn.interval("p50")
    assert None not in of_three.trials[0].sojourn.interval("p50")
