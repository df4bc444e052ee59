"""Numbers from records: each by hand once, then whatever the values."""

import json
import math
from itertools import product

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producer.analysis.analyse import analyse, capacity_per_s
from producer.analysis.latency import first_successes, latency
from producer.analysis.memory import memory_per_slot_bytes
from producer.analysis.percentiles import Percentiles, Spread, choose_percentile, percentiles
from producer.analysis.settle import Settlement
from producer.rundir.schema import RECORD_SCHEMA
from producer.rundir.trials import Kind, Trial

SENT = {
    "trial": pl.UInt32,
    "seq": pl.UInt32,
    "due_at": pl.Float64,
    "sent_at": pl.Float64,
    "accepted_at": pl.Float64,
}
SAMPLES = {"lane": pl.String, "node": pl.String, "at": pl.Float64, "pss_bytes": pl.Int64}


def delivery(seq, *, trial=0, due=0.0, sent=0.0, received=0.0, started=0.0, finished=1.0, cpu=0.5, **more):
    """One record; only what a test is about need be given."""
    return {
        "trial": trial,
        "seq": seq,
        "lane": "threads",
        "node": "threads@host",
        "pool": "threads",
        "pid": 1,
        "thread_id": 1,
        "due_at": due,
        "sent_at": sent,
        "received_at": received,
        "started_at": started,
        "finished_at": finished,
        "cpu_s": cpu,
        "attempt": 1,
        "redelivered": False,
        "gil": True,
        "outcome": "succeeded",
        "exception": None,
        **more,
    }


def records_of(*deliveries):
    return pl.DataFrame(list(deliveries), schema=RECORD_SCHEMA)


def sent_of(*jobs):
    """Jobs as (trial, seq, due_at, sent_at); the broker took them all."""
    return pl.DataFrame([(*job, job[3]) for job in jobs], schema=SENT, orient="row")


def sent_for(records):
    """A publisher's list that fits the records."""
    jobs = records.select("trial", "seq", "due_at", "sent_at", accepted_at=pl.col("sent_at"))
    return jobs.unique(["trial", "seq"], maintain_order=True)


def trial_of(trial=0, kind=Kind.CAPACITY, **more):
    fields = {"workload": "cpu", "lane": "threads", "round": 0, "jobs": 1, "rate_per_s": None, "slots": 2}
    return Trial(trial=trial, kind=kind, began_at=0.0, ended_at=99.0, **{**fields, **more})


def test_percentiles_are_values_of_the_nearest_rank():
    # 20 values 1..20: p50 is the 10th, p90 the 18th, p99 the ceil(19.8) = 20th, p99.9 the ceil(19.98) = 20th.
    found = percentiles(np.arange(20.0, 0.0, -1.0))
    assert found == Percentiles(n=20, p50=10.0, p90=18.0, p99=20.0, p99_9=20.0, max=20.0, mean=10.5)


def test_percentiles_of_a_thousand_values():
    # 1..1000: ranks 500, 900, 990 and 999, without a float's error in 0.999 x 1000.
    found = percentiles(np.arange(1.0, 1001.0))
    assert (found.p50, found.p90, found.p99, found.p99_9, found.max) == (500.0, 900.0, 990.0, 999.0, 1000.0)


def test_a_single_value_is_every_percentile():
    assert percentiles(np.array([3.0])) == Percentiles(n=1, p50=3.0, p90=3.0, p99=3.0, p99_9=3.0, max=3.0, mean=3.0)


def test_no_values_have_no_percentiles():
    assert percentiles(np.array([])) is None
    assert percentiles(np.array([math.nan])) is None


def test_a_value_that_was_not_taken_is_left_out():
    assert percentiles(np.array([math.nan, 1.0, math.nan])).n == 1


SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}


@settings(deadline=None)
@given(st.lists(st.floats(min_value=-1e6, max_value=1e6), min_size=1, max_size=300))
def test_a_percentile_is_the_smallest_value_with_its_share_at_or_below(values):
    found, taken = percentiles(np.array(values)), np.array(values)
    for name, share in SHARES.items():
        value = found.statistic(name)
        assert value in values
        assert (taken <= value).mean() >= share - 1e-12
        assert (taken < value).mean() < share
    assert found.p50 <= found.p90 <= found.p99 <= found.p99_9 <= found.max == max(values)
    assert found.mean == pytest.approx(sum(values) / len(values), abs=1e-6)


@pytest.mark.parametrize(
    ("ns", "name"),
    [
        ([], "p50"),
        ([3, 5], "p50"),
        ([99, 5_000], "p50"),
        ([100, 5_000], "p90"),
        ([999], "p90"),
        ([5_000, 1_000], "p99"),
        ([10_000], "p99.9"),
    ],
)
def test_the_percentile_to_compare_is_the_highest_with_ten_jobs_beyond_it_in_every_trial(ns, name):
    """10 of 20 values rank above the median, 10 of 100 above p90, ...; of one value less it is 9."""
    assert choose_percentile(ns) == name


def capacity_of(jobs, slots):
    """Capacity of jobs as (started, finished)."""
    started_at, finished_at = np.array(jobs, dtype=np.float64).reshape(-1, 2).T
    return capacity_per_s(started_at, finished_at, slots)


def equal_jobs(jobs, slots, took_s, gap_s=0.0):
    """Jobs that each take as long, on slots that all begin at once and idle for as long after each job."""
    starts = np.arange(jobs) // slots * (took_s + gap_s)
    return [(start, start + took_s) for start in starts.tolist()]


def test_a_job_counts_by_the_part_of_it_between_the_start_with_which_the_slots_have_turned_over_and_the_last():
    # 2 slots. The 4th start is at 4, the last at 8, so of the jobs there lie within: nothing of the first and second,
    # 1 of 2 s of the third, all of the fourth and fifth, 1 of 4 s of the sixth, nothing of the last.
    # (1/2 + 1 + 1 + 1/4) / (8 - 4) = 0.6875.
    jobs = [(0, 3), (1, 4), (3, 5), (4, 7), (5, 7), (7, 11), (8, 9)]
    assert capacity_of(jobs, 2) == 0.6875
    # All 9 s later, because the lane was slow to begin, and in another order: the same.
    assert capacity_of([(start + 9, end + 9) for start, end in jobs[::-1]], 2) == 0.6875


def test_a_job_that_outlasts_all_others_counts_by_its_part():
    # 2 slots. From the 4th start, 2, to the last, 10: 8 s of the long one, of 40 s, and eight short ones.
    jobs = [(0, 40), *((n, n + 1) for n in range(11))]
    assert capacity_of(jobs, 2) == pytest.approx((8 / 40 + 8) / 8)


@pytest.mark.parametrize("jobs", [[], [(0, 1)], [(0, 1), (0, 1), (1, 2), (1, 2)]])
def test_capacity_needs_more_than_two_jobs_a_slot(jobs):
    assert capacity_of(jobs, 2) is None


def test_jobs_that_all_started_at_once_have_no_capacity():
    assert capacity_of([(1, 2)] * 9, 2) is None


def test_a_job_that_took_no_time_by_its_clock_is_in_the_window_or_not():
    # From 1 to 3: the job at 1, that from 1 to 2 and that at 2.5; not those before and that at 3.
    assert capacity_of([(0, 0), (0, 0), (0.5, 1), (1, 1), (1, 2), (2.5, 2.5), (3, 3)], 2) == 3 / 2


def test_a_lane_with_a_slot_more_does_as_much_more_whatever_is_left_for_the_last_round():
    """43 jobs: 10 rounds of 4 and three jobs, 8 rounds of 5 and three jobs."""
    four, five = (capacity_of(equal_jobs(43, slots, 0.5), slots) for slots in (4, 5))
    assert (four, five, four / five) == (8.0, 10.0, 0.8)


@settings(deadline=None)
@given(st.data(), st.integers(1, 32), st.floats(min_value=0.001, max_value=10))
def test_equal_jobs_have_the_capacity_of_their_slots_however_many_there_are(data, slots, took_s):
    jobs = data.draw(st.integers(2 * slots + 1, 25 * slots))
    assert capacity_of(equal_jobs(jobs, slots, took_s), slots) == pytest.approx(slots / took_s, rel=1e-9)


def test_a_job_that_starts_others_counts_by_the_time_of_all_of_them():
    """40 jobs of 1 s on 4 slots each start one more of 1 s, which come when all have run: 2 s of 4 slots a job."""
    stretches = np.array(equal_jobs(80, 4, 1.0))
    assert capacity_per_s(*stretches.T, 4, np.tile(np.arange(40), 2)) == pytest.approx(2.0)


def test_stretches_of_a_job_are_one_job():
    # 1 slot. From the 2nd start, 0, to the last, 3: number 7 by 1 of 1 s, 8 by 1 + 2 of 1 + 8 s, 9 by 2 of 3 s.
    stretches = np.array([(0, 1), (0, 1), (1, 2), (1, 9), (2, 3), (3, 4)], dtype=float)
    assert capacity_per_s(*stretches.T, 1, np.array([7, 8, 9, 8, 9, 9])) == pytest.approx((1 + 3 / 9 + 2 / 3) / 3)


@given(st.integers(1, 8), st.integers(17, 99), st.floats(min_value=0.001, max_value=1))
def test_time_between_two_jobs_of_a_slot_is_part_of_the_time(slots, jobs, gap_s):
    assert capacity_of(equal_jobs(jobs, slots, 0.5, gap_s), slots) == pytest.approx(slots / (0.5 + gap_s))


def test_a_lane_without_slots_is_refused():
    with pytest.raises(ValueError, match="slots 0: must be 1 or more"):
        capacity_of([(0, 1)], 0)
    with pytest.raises(ValueError, match="slots 0: must be 1 or more"):
        memory_per_slot_bytes(pl.DataFrame(schema=SAMPLES), lane="threads", windows=[], slots=0)


def test_a_spread_has_the_middle_and_both_ends():
    assert Spread.of([3.0, None, 1.0, 2.0, 10.0]) == Spread(n=4, median=2.5, min=1.0, max=10.0)
    assert Spread.of([None]) is None


def test_every_stretch_of_a_job_is_the_difference_of_two_instants():
    records = records_of(delivery(0, due=10.0, sent=10.25, received=11.0, started=13.0, finished=17.0, cpu=3.5))
    found = latency(first_successes(records), sent_for(records))
    assert found.sojourn.max == 7.0  # 17 - 10
    assert found.sojourn_from_sent.max == 6.75  # 17 - 10.25
    assert found.queue_wait.max == 2.75  # 13 - 10.25
    assert found.broker_wait.max == 0.75  # 11 - 10.25
    assert found.slot_wait.max == 2.0  # 13 - 11
    assert found.service.max == 4.0  # 17 - 13
    assert found.cpu.max == 3.5
    assert found.publish_lag.max == 0.25  # 10.25 - 10
    assert found.negative == 0


def test_publish_lag_is_that_of_all_jobs_sent_not_only_of_those_that_came_back():
    sent = sent_of((0, 0, 1.0, 1.5), (0, 1, 2.0, 5.0))
    assert latency(first_successes(records_of(delivery(0))), sent).publish_lag.max == 3.0


def test_negative_waits_are_counted_and_kept():
    """One job with a broker wait below zero, one with a slot wait, one with a slot wait and a service time."""
    records = records_of(
        delivery(0, sent=5.0, received=4.0, started=6.0, finished=7.0),
        delivery(1, sent=5.0, received=6.0, started=5.5, finished=7.0),
        delivery(2, sent=5.0, received=6.0, started=5.75, finished=5.5),
        delivery(3, sent=5.0, received=5.0, started=5.0, finished=5.0),
    )
    found = latency(first_successes(records), sent_for(records))
    assert found.negative == 3
    assert found.broker_wait.n == 4
    assert found.broker_wait.p50 == 0.0  # -1, 0, 1, 1: the second smallest
    assert found.broker_wait.mean == 0.25  # (-1 + 0 + 1 + 1) / 4, neither clamped nor made positive


def test_a_cpu_time_that_the_node_could_not_take_is_no_zero():
    records = records_of(delivery(0, cpu=None), delivery(1, cpu=2.0))
    assert latency(first_successes(records), sent_for(records)).cpu.n == 1
    nothing = records_of(delivery(0, cpu=None))
    assert latency(first_successes(nothing), sent_for(nothing)).cpu is None


def test_only_the_first_success_of_a_job_counts():
    records = records_of(
        delivery(0, finished=9.0),
        delivery(0, finished=3.0),
        delivery(0, finished=1.0, outcome="retried"),
        delivery(1, finished=2.0),
        delivery(2, finished=0.5, outcome="failed"),
        delivery(0, trial=1, finished=4.0),
    )
    found = first_successes(records).select("trial", "seq", "finished_at")
    assert found.rows() == [(0, 1, 2.0), (0, 0, 3.0), (1, 0, 4.0)]


def test_a_trial_in_numbers():
    # 2 slots, six jobs all due at 10, sent a little later; done at 11 11 12 12 13 14, one more fails.
    finished = [11.0, 11.0, 12.0, 12.0, 13.0, 14.0]
    records = records_of(
        *(
            delivery(i, due=10.0, sent=10.25, received=10.5, started=at - 1, finished=at)
            for i, at in enumerate(finished)
        ),
        delivery(6, due=10.0, sent=10.25, outcome="failed", exception="ValueError"),
    )
    trial = trial_of(jobs=7, cpu_s=3.0, round=4)
    found = analyse([trial], sent_for(records), records).trials[0]
    assert (found.trial, found.kind, found.workload, found.lane, found.round) == (0, Kind.CAPACITY, "cpu", "threads", 4)
    assert found.settlement == Settlement(sent=7, done=6, failed=1)
    assert found.capacity_per_s == 1.5  # from the 4th start to the last 3 jobs in 2 s
    assert found.achieved_per_s == 1.5  # 6 / (14 - 10)
    assert found.sojourn.n == 6
    assert found.sojourn.mean == pytest.approx(13 / 6)  # (1 + 1 + 2 + 2 + 3 + 4) / 6
    assert found.publish_lag.n == 7
    assert found.cpu_s_per_job == 0.5  # 3 / 6 jobs done
    assert found.negative == 2  # the two that started at 10, before they were received


def test_only_a_backlog_has_a_capacity():
    records = records_of(*(delivery(i, finished=float(i)) for i in range(9)))
    for kind in (Kind.LATENCY, Kind.WARM_UP):
        assert analyse([trial_of(kind=kind)], sent_for(records), records).trials[0].capacity_per_s is None


def test_a_trial_of_which_nothing_came_back_has_no_numbers():
    sent = sent_of((0, 0, 1.0, 1.0))
    found = analyse([trial_of(cpu_s=1.0)], sent, records_of())
    assert found.trials[0].settlement == Settlement(sent=1, lost=1)
    for name in ("capacity_per_s", "achieved_per_s", "sojourn", "cpu_s_per_job"):
        assert getattr(found.trials[0], name) is None
    assert found.trials[0].disturbed == "a job was lost"
    # No round is good, so the disturbed one is all that there is to show.
    assert [lane.settlement for lane in found.lanes] == [Settlement(sent=1, lost=1)]


def test_the_figures_of_a_lane_are_those_of_its_good_rounds():
    """In the second round the other lane lost a job, so this lane's trial does not count either."""
    trials = [trial_of(n, lane=lane, round=turn) for n, (turn, lane) in enumerate(product(range(3), "ab"))]
    records = records_of(*(delivery(0, trial=n) for n in (0, 1, 2, 4, 5)))
    found = analyse(trials, sent_of(*((n, 0, 0.0, 0.0) for n in range(6))), records)
    assert [each.disturbed for each in found.trials] == ["", "", "", "a job was lost", "", ""]
    assert [(lane.lane, lane.settlement) for lane in found.lanes] == [
        (lane, Settlement(sent=2, done=2)) for lane in "ab"
    ]
    assert found.settlement == Settlement(sent=6, done=5, lost=1)


@pytest.mark.parametrize("kind", [Kind.LOAD, Kind.PROBE, Kind.WARM_UP])
def test_a_trial_that_is_in_no_pair_is_not_set_aside(kind):
    """A limit or a load must see the jobs that it lost."""
    found = analyse([trial_of(kind=kind)], sent_of((0, 0, 1.0, 1.0)), records_of())
    assert found.trials[0].disturbed == ""


def test_unknown_cpu_time_of_a_node_stays_unknown():
    records = records_of(delivery(0), delivery(0, trial=1))
    trials = [trial_of(0, cpu_s=2.0), trial_of(1, cpu_s=None)]
    found = analyse(trials, sent_for(records), records)
    assert [trial.cpu_s_per_job for trial in found.trials] == [2.0, None]
    assert found.lanes[0].backlog_cpu_s_per_job is None


def test_a_lane_pools_raw_records_and_never_averages_percentiles():
    """Trial 0 has sojourns 1..9, trial 1 only 100: the pooled median is the 5th of 10, not (5 + 100) / 2."""
    records = records_of(
        *(delivery(i, finished=float(i + 1)) for i in range(9)),
        delivery(0, trial=1, finished=100.0),
    )
    trials = [trial_of(n, Kind.LATENCY, rate_per_s=3.0) for n in (0, 1)]
    (lane,) = analyse(trials, sent_for(records), records).lanes
    assert lane.latency.sojourn.n == 10
    assert lane.latency.sojourn.p50 == 5.0
    assert lane.rate_per_s == 3.0
    assert lane.backlog is None


def test_a_lane_keeps_backlog_held_rate_and_warm_up_apart():
    records = records_of(
        *(delivery(i, trial=0, finished=50.0) for i in range(3)),
        *(delivery(i, trial=1, started=float(i), finished=float(i + 1)) for i in range(6)),
        *(delivery(i, trial=2, finished=7.0) for i in range(4)),
    )
    trials = [trial_of(0, Kind.WARM_UP), trial_of(1, cpu_s=3.0), trial_of(2, Kind.LATENCY, rate_per_s=1.0, cpu_s=1.0)]
    (lane,) = analyse(trials, sent_for(records), records).lanes
    assert lane.settlement == Settlement(sent=10, done=10)
    assert lane.backlog.sojourn.n == 6
    assert lane.latency.sojourn.n == 4
    assert lane.latency.sojourn.max == 7.0
    assert lane.capacity_per_s == Spread(n=1, median=1.0, min=1.0, max=1.0)  # a job a second from 3 to 5
    assert lane.backlog_cpu_s_per_job == 0.5  # 3 / 6
    assert lane.latency_cpu_s_per_job == 0.25  # 1 / 4


def test_lanes_are_told_apart_by_workload_and_key():
    trials = [
        trial_of(0, lane="b"),
        trial_of(1, lane="a"),
        trial_of(2, lane="b", workload="io"),
        trial_of(3, lane="b"),
    ]
    records = records_of(*(delivery(0, trial=n) for n in range(4)))
    lanes = analyse(trials, sent_for(records), records).lanes
    assert [(lane.workload, lane.lane, lane.settlement.sent) for lane in lanes] == [
        ("cpu", "b", 2),
        ("cpu", "a", 1),
        ("io", "b", 1),
    ]


def test_failures_are_counted_once_a_job_and_add_up():
    records = records_of(
        delivery(0, outcome="failed", exception="ValueError"),
        delivery(1, outcome="failed", exception="KeyError"),
        delivery(2, outcome="failed", exception="KeyError"),
        delivery(3, outcome="rejected"),
        delivery(4, outcome="rejected"),
        delivery(4, outcome="failed", exception="OSError"),
        delivery(5, outcome="failed", exception="KeyError"),  # ran twice, so it is a duplicate and no failure
        delivery(5),
        delivery(6, outcome="retried", exception="TimeoutError"),
        delivery(6),
    )
    (lane,) = analyse([trial_of(kind=Kind.LOAD)], sent_for(records), records).lanes
    assert lane.failures == {"KeyError": 2, "OSError": 1, "ValueError": 1, "rejected": 1}
    assert sum(lane.failures.values()) == lane.settlement.failed == 5
    assert next(iter(lane.failures)) == "KeyError"


def test_records_of_jobs_never_sent_are_in_no_number_but_their_own():
    records = records_of(delivery(0), delivery(1, finished=77.0), delivery(0, trial=9))
    sent = sent_of((0, 0, 0.0, 0.0))
    found = analyse([trial_of(kind=Kind.LATENCY)], sent, records)
    assert found.unknown_records == 2
    assert found.settlement == Settlement(sent=1, done=1)
    assert found.lanes[0].latency.sojourn.max == 1.0


def test_a_run_without_trials_is_empty():
    found = analyse([], sent_of(), records_of())
    assert (found.trials, found.lanes, found.unknown_records) == ((), (), 0)


def test_what_an_analysis_finds_is_plain_json_and_comes_back_from_it():
    records = records_of(*(delivery(i, finished=float(i)) for i in range(9)), delivery(9, outcome="failed"))
    trials = [trial_of(0), trial_of(1, Kind.LATENCY, rate_per_s=2.0)]
    found = analyse(trials, sent_for(records), records)
    for noun in (*found.lanes, found.settlement):
        text = json.dumps(msgspec.to_builtins(noun), allow_nan=False)
        assert msgspec.json.decode(text, type=type(noun)) == noun


def test_memory_per_slot_is_the_median_over_time_summed_over_nodes():
    # Node x: 100, 900, 200 -> 200. Node y: 40, 60 -> 50. (200 + 50) / 5 slots = 50.
    rows = [("threads", "x", at, pss) for at, pss in [(1.0, 100), (2.0, 900), (3.0, 200)]]
    rows += [("threads", "y", at, pss) for at, pss in [(1.0, 40), (2.0, 60)]]
    rows += [("prefork", "z", 2.0, 9_999)]  # another lane
    samples = pl.DataFrame(rows, schema=SAMPLES, orient="row")
    assert memory_per_slot_bytes(samples, lane="threads", windows=[(0.0, 9.0)], slots=5) == 50.0


def test_memory_is_taken_only_while_the_lane_works():
    rows = [("threads", "x", at, pss) for at, pss in [(0.5, 1), (1.0, 100), (2.0, 300), (2.5, 9_999), (4.0, 200)]]
    samples = pl.DataFrame(rows, schema=SAMPLES, orient="row")
    # Both ends of a window count: 100, 300 and 200, so 200.
    windows = [(1.0, 2.0), (3.0, 4.0)]
    assert memory_per_slot_bytes(samples, lane="threads", windows=windows, slots=2) == 100.0


def test_memory_of_a_lane_of_which_a_node_was_never_sampled_at_work_is_unknown():
    rows = [("threads", "x", 1.0, 100), ("threads", "y", 7.0, 100)]
    samples = pl.DataFrame(rows, schema=SAMPLES, orient="row")
    assert memory_per_slot_bytes(samples, lane="threads", windows=[(0.0, 2.0)], slots=2) is None
    assert memory_per_slot_bytes(samples, lane="threads", windows=[], slots=2) is None
    assert memory_per_slot_bytes(samples, lane="other", windows=[(0.0, 2.0)], slots=2) is None


def test_a_system_that_cannot_tell_its_memory_gives_none_not_zero():
    samples = pl.DataFrame([("threads", "x", 1.0, None)], schema=SAMPLES, orient="row")
    assert memory_per_slot_bytes(samples, lane="threads", windows=[(0.0, 2.0)], slots=2) is None


JOBS = st.tuples(st.integers(0, 2), st.integers(0, 8))
OUTCOMES = st.sampled_from(["succeeded", "failed", "retried", "revoked", "ignored", "rejected"])
OFFSETS = st.floats(min_value=-5, max_value=5)


@settings(deadline=None)
@given(
    st.lists(st.tuples(JOBS, OUTCOMES, OFFSETS, OFFSETS), max_size=30),
    st.sets(JOBS, max_size=20),
)
def test_whatever_comes_back_the_parts_add_up(deliveries, jobs):
    records = records_of(
        *(
            delivery(seq, trial=trial, outcome=outcome, started=started, finished=finished)
            for (trial, seq), outcome, started, finished in deliveries
        )
    )
    sent = sent_of(*((trial, seq, 0.0, 0.0) for trial, seq in jobs))
    kinds = [Kind.CAPACITY, Kind.LATENCY, Kind.LATENCY]
    found = analyse([trial_of(n, kind) for n, kind in enumerate(kinds)], sent, records)
    assert Settlement.sum(trial.settlement for trial in found.trials) == found.settlement
    for lane in found.lanes:
        assert sum(lane.failures.values()) == lane.settlement.failed
    succeeded = {job for job, outcome, *_ in deliveries if outcome == "succeeded" and job in jobs}
    assert sum(trial.sojourn.n for trial in found.trials if trial.sojourn) == len(succeeded)
