"""What a load found on each lane: by phase, by workload, and what became of its thresholds."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from recorded import manifest_of, recorded

from producer.analysis.load import load_lanes, probe_figures
from producer.analysis.settle import Settlement, settle
from producer.plan.run_settings import PlannedPhase
from producer.rundir.run import Run
from producer.rundir.schema import RECORD_SCHEMA, SAMPLE_SCHEMA, SENT_SCHEMA
from producer.rundir.trials import Kind, Trial

BEGAN_AT = 1000.0
MIB = 2**20
WARM_UP = PlannedPhase(name="warm-up", rate="0.5/s", duration_s=2.0, mix={"sleep": 1.0}, counts=False)
STEADY = replace(WARM_UP, name="steady", duration_s=4.0, counts=True)
DRAIN = replace(WARM_UP, name="drain", counts=True)
TRIAL = Trial(
    trial=1, kind=Kind.LOAD, workload="sleep=1,noop=1", lane="threads", round=0, jobs=6, rate_per_s=0.75, slots=2,
    began_at=BEGAN_AT, ended_at=BEGAN_AT + 9.0, parts=("sleep", "noop"), planned_s=8.0,
)  # fmt: skip
# Offset, part, and how long it took from when it was due: half of that waiting; None for one that failed.
JOBS = ((0.0, 0, 3.0), (1.0, 1, 1.0), (2.0, 0, 0.5), (3.0, 1, 0.25), (4.0, 0, 0.5), (5.0, 1, 1.5))


def frames(trial, jobs):
    """What a publisher and a node note of a trial's jobs."""
    sent, records = [], []
    for seq, (at_s, part, took_s) in enumerate(jobs):
        due_at = trial.began_at + at_s
        job = {"trial": trial.trial, "seq": seq, "due_at": due_at, "sent_at": due_at}
        sent.append({**job, "part": part, "accepted_at": due_at})
        half_s = (took_s or 1.0) / 2
        records.append(
            {
                **job, "lane": trial.lane, "node": f"{trial.lane}@host", "received_at": due_at, "cpu_s": 0.001,
                "started_at": due_at + half_s, "finished_at": due_at + 2 * half_s,
                "outcome": "failed" if took_s is None else "succeeded",
            }
        )  # fmt: skip
    return pl.DataFrame(sent, schema=SENT_SCHEMA), pl.DataFrame(records, schema=RECORD_SCHEMA)


def load_of(*trials, thresholds=(), phases=(WARM_UP, STEADY, DRAIN), samples=()):
    """A run of some trials, each with its jobs."""
    tables = [frames(trial, jobs) for trial, jobs in trials]
    settings = recorded(kind="load", thresholds=thresholds, phases=phases)
    sampled = [
        {"lane": lane, "node": f"{lane}@host", "at": BEGAN_AT + at_s, "pss_bytes": pss} for lane, at_s, pss in samples
    ]
    return Run(
        path=Path("run"),
        manifest=manifest_of(settings),
        trials=[trial for trial, _ in trials],
        records=pl.concat([records for _, records in tables]),
        sent=pl.concat([sent for sent, _ in tables]),
        children=pl.DataFrame(schema=RECORD_SCHEMA),
        samples=pl.DataFrame(sampled, schema=SAMPLE_SCHEMA),
        pings=[],
    )


def lane_of(jobs=JOBS, trial=TRIAL, **what):
    (lane,) = load_lanes(load_of((trial, jobs), **what))
    return lane


def rates(figures):
    return [getattr(figures, name) for name in ("duration_s", "offered_per_s", "sent_per_s", "finished_per_s")]


def test_the_lane_is_told_by_the_phases_that_count():
    """Four jobs are due in the steady phase; with the drain it takes 6 s, and all have ended by 6.5 of 8 s."""
    lane = lane_of()
    assert lane.lane == "threads"
    assert rates(lane) == pytest.approx([6, 4 / 6, 4 / 6, 4 / 6])
    assert (lane.settlement.sent, lane.settlement.done) == (4, 4)
    assert (lane.latency.sojourn.n, lane.latency.sojourn.max) == (4, 1.5)
    assert lane.latency.queue_wait.max == 0.75
    assert lane.given_up_s is None


def test_each_phase_has_the_jobs_that_were_due_in_it():
    warm_up, steady, drain = lane_of().phases
    assert [(each.phase, each.counts, each.settlement.sent) for each in (warm_up, steady, drain)] == [
        ("warm-up", False, 2), ("steady", True, 4), ("drain", True, 0),
    ]  # fmt: skip
    # The warm-up's first job ends at 3 s, so its two jobs were finished over 3 s instead of 2.
    assert rates(warm_up) == pytest.approx([2, 1, 1, 2 / 3])
    # Those of the steady phase end at 6.5 s, 4.5 s after it began.
    assert rates(steady) == pytest.approx([4, 1, 1, 4 / 4.5])
    assert warm_up.latency.sojourn.max == 3.0


def test_a_phase_that_sent_nothing_has_rates_of_none_and_no_times():
    drain = lane_of().phases[2]
    assert rates(drain) == [2, 0, 0, 0]
    assert drain.latency.sojourn is None


def test_each_workload_has_its_jobs_of_the_phases_that_count():
    sleep, noop = lane_of().workloads
    assert [(each.workload, each.settlement.done) for each in (sleep, noop)] == [("sleep", 2), ("noop", 2)]
    assert [each.latency.sojourn.max for each in (sleep, noop)] == [0.5, 1.5]
    assert rates(sleep) == pytest.approx([6, 2 / 6, 2 / 6, 2 / 6])


def test_a_lane_that_needs_longer_than_the_load_finished_less_than_was_offered():
    """The last job ends at 14 s, 12 s after what counts began: 4 jobs in 12 s."""
    lane = lane_of(jobs=(*JOBS[:5], (5.0, 1, 9.0)))
    assert rates(lane) == pytest.approx([6, 4 / 6, 4 / 6, 4 / 12])


def test_jobs_that_failed_or_were_not_taken_are_settled_and_have_no_times():
    run = load_of((TRIAL, (*JOBS[:4], (4.0, 0, None), (5.0, 1, 0.5))))
    refused = pl.when(pl.col("seq") == 5).then(None).otherwise(pl.col("accepted_at")).alias("accepted_at")
    run = replace(run, sent=run.sent.with_columns(refused), records=run.records.filter(pl.col("seq") < 5))
    (lane,) = load_lanes(run)
    assert lane.settlement == Settlement(sent=4, done=2, failed=1, refused=1)
    assert rates(lane) == pytest.approx([6, 4 / 6, 3 / 6, 2 / 6])
    assert lane.latency.sojourn.n == 2
    assert lane.latency.publish_lag.n == 4


def test_a_load_that_was_given_up_ends_in_the_middle_of_a_phase():
    given_up = replace(TRIAL, planned_s=4.0, given_up_s=4.0, jobs=5)
    lane = lane_of(jobs=JOBS[:4], trial=given_up)
    assert [(each.phase, each.duration_s) for each in lane.phases] == [("warm-up", 2), ("steady", 2)]
    # Two jobs in the two seconds of the steady phase that were left, both ended by then.
    assert rates(lane) == pytest.approx([2, 1, 1, 1])
    assert lane.given_up_s == 4.0


def test_a_load_that_was_given_up_before_anything_counted_is_told_as_a_whole():
    given_up = replace(TRIAL, planned_s=1.5, given_up_s=1.5)
    lane = lane_of(jobs=JOBS[1:2], trial=given_up)
    assert [each.phase for each in lane.phases] == ["warm-up"]
    assert (lane.settlement.done, lane.duration_s) == (1, 1.5)


def test_a_run_without_phases_or_a_planned_time_is_told_as_a_whole():
    lane = lane_of(trial=replace(TRIAL, planned_s=None), phases=())
    assert lane.phases == ()
    assert rates(lane)[:2] == [9, 6 / 9]


def test_only_loads_are_told_lane_by_lane_in_the_order_in_which_they_were_loaded():
    warm_up = replace(TRIAL, trial=0, kind=Kind.WARM_UP, began_at=900.0, ended_at=901.0)
    second = replace(TRIAL, trial=2, lane="prefork", began_at=2000.0, ended_at=2009.0)
    lanes = load_lanes(load_of((warm_up, ((0.0, 0, 5.0),)), (TRIAL, JOBS), (second, JOBS[:3])))
    assert [(lane.lane, lane.settlement.sent) for lane in lanes] == [("threads", 4), ("prefork", 1)]


def test_a_run_that_is_no_load_has_no_lanes_under_load():
    assert load_lanes(load_of((replace(TRIAL, kind=Kind.LATENCY), JOBS))) == ()


THRESHOLDS = (
    "max(sojourn) < 1s",
    "p50(sojourn) < 1s",
    "failed == 0",
    "rate(finished) > 0.9 * offered",
    "mem_per_slot < 30MiB",
)


def judged(**what):
    samples = [("threads", 1.0, 40 * MIB), ("threads", 3.0, 50 * MIB), ("prefork", 3.0, 900 * MIB)]
    return lane_of(thresholds=THRESHOLDS, samples=samples, **what).thresholds


def test_each_threshold_is_held_against_what_counts_with_the_unit_of_its_figure():
    """The warm-up's 3 s are not held against the lane; the job due at 5 takes 1.5 s. 45 MiB in two slots: 22.5 each."""
    found = judged()
    assert [each.threshold for each in found] == list(THRESHOLDS)
    assert [each.kept for each in found] == [False, True, True, True, True]
    assert [each.measured for each in found] == pytest.approx([1.5, 0.5, 0, 4 / 6, 22.5 * MIB])
    assert [each.limit for each in found] == pytest.approx([1, 1, 0, 0.6, 30 * MIB])
    assert [each.unit for each in found] == ["s", "s", "jobs", "jobs/s", "bytes"]
    assert [each.since_s for each in found] == [5.0, None, None, None, None]


def test_a_broken_threshold_is_told_with_when_it_broke():
    jobs = (*JOBS[:3], (3.0, 1, None), (4.0, 0, 9.0), (5.0, 1, 9.0))
    found = judged(jobs=jobs)
    assert [(each.kept, each.since_s) for each in found[:3]] == [(False, 4.0), (False, 4.0), (False, 3.0)]


def test_what_does_not_count_breaks_nothing():
    jobs = ((0.0, 0, None), (1.0, 1, 9.0), *((at_s, 0, 0.25) for at_s in (2.0, 3.0, 4.0, 5.0)))
    assert all(each.kept for each in judged(jobs=jobs))


def test_a_probe_has_the_figures_of_its_trial_and_no_others():
    probe = replace(TRIAL, kind=Kind.PROBE, planned_s=6.0)
    other = replace(TRIAL, trial=2, kind=Kind.PROBE, began_at=2000.0, ended_at=2009.0)
    run = load_of((probe, JOBS), (other, JOBS[:1]), samples=[("threads", 1.0, 40 * MIB)])
    figures = probe_figures(run, probe, settle(run.sent, run.records, run.trials))
    assert rates(figures) == pytest.approx([6, 1, 1, 6 / 6.5])
    assert figures.settlement.done == 6
    assert figures.memory_per_slot_bytes == 20 * MIB
