"""Rounds: the order of trials is fair, their sizes are equal, and the slower lane can keep up with the held rate."""

from collections import Counter
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs import a_job, a_trial, tables_of

from producer.analysis.results import TrialResult
from producer.analysis.settle import Settlement
from producer.measure.rounds import MIN_JOBS_A_SLOT, Rounds, backlog_jobs, balanced, score
from producer.plan.jobs import Jobs
from producer.plan.lanes import Lane, parse_lanes
from producer.plan.settings import RaceSettings
from producer.rundir.trials import Kind, rate_per_s

LANES = parse_lanes(["prefork", "threads"], concurrency=8, prefetch=4, acks="early")
JOBS = Jobs.of("sleep", "worker.sleep", (50_000,), expected_s=0.05)


def lanes_of(count):
    return [Lane(key=f"lane-{number}", pool="threads", slots=2) for number in range(count)]


def keys(lanes):
    return [lane.key for lane in lanes]


def test_two_lanes_take_turns_in_mirrored_pairs():
    """A drift of the machine that is steady over four rounds adds as much to one lane as to the other."""
    assert [keys(balanced(LANES, turn)) for turn in range(4)] == [
        ["prefork", "threads"],
        ["threads", "prefork"],
        ["threads", "prefork"],
        ["prefork", "threads"],
    ]


@given(st.integers(2, 6), st.integers(0, 100))
def test_every_lane_runs_once_a_round(count, turn):
    lanes = lanes_of(count)
    assert sorted(keys(balanced(lanes, turn))) == sorted(keys(lanes))


@given(st.integers(2, 6), st.integers(1, 4))
def test_every_lane_is_first_equally_often(count, times):
    lanes = lanes_of(count)
    firsts = Counter(balanced(lanes, turn)[0].key for turn in range(times * count))
    assert set(firsts.values()) == {times}
    assert len(firsts) == count


@given(st.integers(2, 6))
def test_of_any_two_lanes_each_runs_before_the_other_equally_often(count):
    lanes = lanes_of(count)
    orders = [keys(balanced(lanes, turn)) for turn in range(2 * count)]
    for a, b in permutations(keys(lanes), 2):
        assert sum(order.index(a) < order.index(b) for order in orders) == count


def test_a_backlog_lasts_as_long_as_a_trial_on_average():
    # 100/s and 300/s take 10 ms and 3.33 ms a job, 6.67 ms on average: 2 s hold 300 jobs.
    settings = RaceSettings(lanes=LANES, trial_s=2.0)
    assert backlog_jobs(settings, [100.0, 300.0]) == 300


def test_a_backlog_fills_every_slot_several_times_however_slow_the_lanes():
    lanes = parse_lanes(["prefork:2", "threads:32"], concurrency=8, prefetch=4, acks="early")
    assert backlog_jobs(RaceSettings(lanes=lanes, trial_s=0.1), [1.0, 1.0]) == 32 * MIN_JOBS_A_SLOT


@given(st.floats(0.1, 10), st.lists(st.floats(0.5, 1e4), min_size=2, max_size=5))
def test_the_trials_of_a_round_together_last_what_they_should_give_or_take_a_job(trial_s, rates):
    settings = RaceSettings(lanes=LANES, trial_s=trial_s)
    jobs = backlog_jobs(settings, rates)
    mean_s = sum(jobs / rate for rate in rates) / len(rates)
    a_job_s = mean_s / jobs
    assert mean_s >= trial_s - a_job_s
    if jobs > MIN_JOBS_A_SLOT * 8:
        assert mean_s <= trial_s + a_job_s


RECORDS = tables_of(a_trial(), [a_job(wait_s=wait_s) for wait_s in (0.1, 0.3, 0.9)])["records"]
"""Waits of 0.1, 0.3 and 0.9 s."""


class Track:
    """A runner of trials whose lanes do a fixed number of jobs a second; notes every trial."""

    def __init__(self, rates_per_s, records=None):
        self.rates_per_s = rates_per_s
        self.records = RECORDS if records is None else records
        self.ran = []
        self.now_s = 0.0

    def monotonic(self):
        return self.now_s

    def warm_up(self, jobs, lane):
        return self._trial(Kind.WARM_UP, jobs, lane, 0, 3 * lane.slots, None), self.records

    def measure_with_records(self, spec):
        plan = spec.plan
        self.ran.append(spec)
        trial = self._trial(spec.kind, spec.jobs, spec.lane, spec.round, plan.jobs, plan.rate_per_s)
        return replace(trial, planned_s=spec.planned_s), RECORDS

    def _trial(self, kind, jobs, lane, round_, count, rate):
        self.now_s += count / self.rates_per_s[lane.key]
        return a_trial(
            trial=len(self.ran),
            kind=kind,
            workload=jobs.workload,
            lane=lane.key,
            round=round_,
            jobs=count,
            rate_per_s=rate,
            slots=lane.slots,
            began_at=1000.0,
            ended_at=1000.0 + count / self.rates_per_s[lane.key],
        )


class Notes:
    """Progress that notes what it is told."""

    def __init__(self):
        self.told = []
        self.scores = []

    def stage(self, text):
        self.told.append(text)

    def trial(self, text):
        self.told.append(text)

    def score(self, score):
        self.scores.append(score)


def result_of(trial, disturbed=""):
    """The figures of a trial in which every job was done at the lane's rate."""
    done = Settlement(sent=trial.jobs, done=trial.jobs)
    return TrialResult(
        trial=trial.trial, kind=trial.kind, workload=trial.workload, lane=trial.lane, round=trial.round,
        settlement=done, rate_per_s=trial.rate_per_s,
        capacity_per_s=rate_per_s(trial) if trial.kind is Kind.CAPACITY else None,
        achieved_per_s=None, sojourn=None, publish_lag=None, cpu_s_per_job=None, negative=0, disturbed=disturbed,
    )  # fmt: skip


RATES = {"prefork": 160.0, "threads": 80.0}


def raced(rates=None, result_of=result_of, pairs=3, workloads=("sleep",), **changes):
    """Rounds of both kinds on each workload; what was run, and what was told."""
    settings = RaceSettings(**{"lanes": LANES, "workloads": workloads, "trial_s": 1.0, **changes})
    track, notes = Track(rates or RATES), Notes()
    rounds = Rounds(settings, track, notes, result_of)
    for kind in (Kind.CAPACITY, Kind.LATENCY):
        for workload in workloads:
            for _ in range(pairs):
                rounds.measure((kind, workload), replace(JOBS, workload=workload), LANES)
    return track.ran, notes, rounds


def test_lanes_alternate_within_the_rounds_of_a_kind():
    ran, *_ = raced()
    assert [(spec.kind.value, spec.lane.key, spec.round) for spec in ran] == [
        ("capacity", "prefork", 0), ("capacity", "threads", 0),
        ("capacity", "threads", 1), ("capacity", "prefork", 1),
        ("capacity", "threads", 2), ("capacity", "prefork", 2),
        ("latency", "prefork", 0), ("latency", "threads", 0),
        ("latency", "threads", 1), ("latency", "prefork", 1),
        ("latency", "threads", 2), ("latency", "prefork", 2),
    ]  # fmt: skip


def test_both_lanes_of_a_round_get_the_same_plan_and_the_same_deal_of_a_mix():
    ran, *_ = raced()
    for kind in (Kind.CAPACITY, Kind.LATENCY):
        for turn in range(3):
            first, second = [spec for spec in ran if (spec.kind, spec.round) == (kind, turn)]
            assert first.plan.due_s.tolist() == second.plan.due_s.tolist()
            assert first.mix_seed == second.mix_seed
    assert len({spec.mix_seed for spec in ran if spec.kind is Kind.CAPACITY}) == 3


def test_rounds_have_arrivals_of_their_own_and_the_seed_decides_them():
    def arrivals(seed):
        return [spec.plan.due_s.tolist() for spec in raced(seed=seed)[0]
                if (spec.kind, spec.lane.key) == (Kind.LATENCY, "prefork")]  # fmt: skip

    first = arrivals(seed=1)
    assert first[0] != first[1]
    assert first == arrivals(seed=1)
    assert first != arrivals(seed=2)


def test_whoever_watches_is_told_what_each_round_gave_on_each_lane():
    _, notes, _ = raced(pairs=1)
    told = [(score.lane, score.workload, score.kind, score.value) for score in notes.scores]
    assert told == [
        ("prefork", "sleep", Kind.CAPACITY, pytest.approx(160.0)),
        ("threads", "sleep", Kind.CAPACITY, pytest.approx(80.0)),
        ("prefork", "sleep", Kind.LATENCY, pytest.approx(0.3)),
        ("threads", "sleep", Kind.LATENCY, pytest.approx(0.3)),
    ]
    assert notes.told[2] == "sleep capacity prefork: 107 jobs, 160/s"


def test_a_trial_whose_jobs_all_vanished_has_no_wait():
    trial = Track({"threads": 80.0})._trial(Kind.LATENCY, JOBS, LANES[1], 0, 3, 40.0)
    assert score(trial, RECORDS.clear()).value is None


def test_the_held_rate_is_a_part_of_the_slower_lanes_capacity_and_all_rounds_share_it():
    # The slower lane does 80 a second.
    ran, *_ = raced(utilisation=0.5)
    assert [spec.plan.rate_per_s for spec in ran if spec.kind is Kind.LATENCY] == pytest.approx([40.0] * 6)


def test_a_held_rate_has_a_lead_in_before_what_counts():
    ran, *_ = raced(arrivals="constant", utilisation=0.5, trial_s=2.0)
    held = [spec for spec in ran if spec.kind is Kind.LATENCY]
    assert {(spec.lead_in_s, spec.plan.jobs) for spec in held} == {(0.5, 40 * 2.5)}
    assert {spec.lead_in_s for spec in ran if spec.kind is Kind.CAPACITY} == {0.0}


def test_constant_arrivals_are_evenly_spaced():
    ran, *_ = raced(arrivals="constant", utilisation=0.5)
    plan = next(spec.plan for spec in ran if spec.kind is Kind.LATENCY)
    assert plan.due_s[:3].tolist() == pytest.approx([0.0, 0.025, 0.05])


def test_a_lane_slower_than_one_job_a_second_still_gets_a_job():
    ran, *_ = raced(rates={"prefork": 0.2, "threads": 0.1}, trial_s=0.1)
    assert all(spec.plan.jobs >= 1 for spec in ran)


def test_nodes_are_pinged_in_trials_of_that_alone():
    """A ping is load, and wakes a node that sleeps although it has work."""
    ran, *_ = raced()
    assert {(spec.kind, spec.ping) for spec in ran} == {(Kind.CAPACITY, False), (Kind.LATENCY, False)}
    # 160 and 80 jobs a second are 80 and 40 in half a second.
    rounds = Rounds(RaceSettings(lanes=LANES, workloads=("sleep",)), track := Track(RATES), Notes(), result_of)
    rounds.measure((Kind.PING, "sleep"), JOBS, LANES)
    assert [(spec.kind, spec.ping, spec.plan.jobs) for spec in track.ran] == [
        (Kind.PING, True, 80), (Kind.PING, True, 40),
    ]  # fmt: skip


def test_each_workload_is_warmed_up_once_on_each_start():
    _, notes, rounds = raced(pairs=2)
    assert sum("warm-up" in text for text in notes.told) == 2
    rounds.start += 1
    rounds.measure((Kind.CAPACITY, "sleep"), JOBS, LANES)
    rounds.measure((Kind.LATENCY, "sleep"), JOBS, LANES)
    assert sum("warm-up" in text for text in notes.told) == 4


def test_a_disturbed_round_ends_at_once_and_is_none_of_the_good_ones():
    def late_in_round_1(trial):
        late = (trial.round, trial.lane) == (1, "threads")  # which runs first in that round
        return result_of(trial, disturbed="the generator was late" if late else "")

    ran, notes, rounds = raced(result_of=late_in_round_1)
    capacity = [(spec.round, spec.lane.key) for spec in ran if spec.kind is Kind.CAPACITY]
    assert capacity == [(0, "prefork"), (0, "threads"), (1, "threads"), (2, "threads"), (2, "prefork")]
    found = rounds.so_far((Kind.CAPACITY, "sleep"), LANES)
    assert (found.tried, found.good) == (3, 2)
    assert "sleep capacity threads: 107 jobs, 80/s: the generator was late, once more" in notes.told


def test_a_round_goes_on_behind_those_of_an_earlier_part():
    ran, _, rounds = raced(pairs=2)
    again = Rounds(
        RaceSettings(lanes=LANES, workloads=("sleep",)), Track({"prefork": 1.0, "threads": 1.0}), Notes(), result_of
    )
    again.take_up(rounds.trials, rounds.results)
    again.measure((Kind.LATENCY, "sleep"), JOBS, LANES)
    added = again.trials[len(rounds.trials) :]
    assert {trial.round for trial in added} == {2}
    held = [spec.plan.rate_per_s for spec in ran if spec.kind is Kind.LATENCY]
    assert {trial.rate_per_s for trial in added} == set(held)


def test_a_trial_that_took_no_time_has_a_rate_all_the_same():
    trial, _ = Track({"threads": float("inf")}).warm_up(JOBS, LANES[1])
    assert rate_per_s(trial) == pytest.approx(24 / 1e-3)


def long_jobs(trial_s=1.0):
    """Rounds of a user's own jobs, of 10 s each on 8 slots, and the track that they run on."""
    records = tables_of(a_trial(), [a_job(service_s=10.0)])["records"]
    track = Track({"prefork": 0.8, "threads": 0.8}, records)
    rounds = Rounds(RaceSettings(lanes=LANES, workloads=("sleep",), trial_s=trial_s), track, Notes(), result_of)
    return rounds, replace(JOBS, timeout_s=60.0, expected_s=0.0), track


def test_the_length_of_a_users_own_jobs_is_found_before_anything_is_measured():
    rounds, jobs, track = long_jobs()
    assert rounds.find_lengths("sleep", jobs, LANES) == pytest.approx(10)
    assert track.ran == []


@pytest.mark.parametrize(("trial_s", "is_lengthened"), [(79.0, True), (81.0, False)])
def test_trials_are_lengthened_by_jobs_of_which_eight_a_slot_do_not_fit(trial_s, is_lengthened):
    rounds, jobs, _ = long_jobs(trial_s)
    rounds.find_lengths("sleep", jobs, LANES)
    assert rounds.is_lengthened("sleep") is is_lengthened


def test_how_long_rounds_of_long_jobs_take_is_known_before_them():
    rounds, jobs, _ = long_jobs()
    rounds.find_lengths("sleep", jobs, LANES)
    # Eight jobs a slot are 64 jobs, at 0.8/s 80 s on each lane.
    assert rounds.expected_s((Kind.CAPACITY, "sleep"), LANES) == pytest.approx(160)
    # Four lengths of a job, and a lead-in of a quarter of that, on each lane.
    assert rounds.expected_s((Kind.LATENCY, "sleep"), LANES) == pytest.approx(100)


def test_a_trial_of_long_jobs_holds_a_rate_that_the_lanes_can_do_for_several_lengths_of_a_job():
    rounds, jobs, track = long_jobs()
    rounds.find_lengths("sleep", jobs, LANES)
    rounds.measure((Kind.LATENCY, "sleep"), jobs, LANES)
    assert [spec.lead_in_s for spec in track.ran] == [10.0, 10.0]
    assert [spec.plan.rate_per_s for spec in track.ran] == [pytest.approx(0.7 * 0.8)] * 2
    assert all(20 < spec.plan.duration_s <= 50 for spec in track.ran)


def test_a_trial_that_is_asked_to_be_longer_is():
    rounds, jobs, track = long_jobs(trial_s=100.0)
    rounds.find_lengths("sleep", jobs, LANES)
    rounds.measure((Kind.LATENCY, "sleep"), jobs, LANES)
    assert [spec.lead_in_s for spec in track.ran] == [25.0, 25.0]


def test_a_round_apart_has_the_jobs_of_its_round_of_the_mix_though_a_later_start_found_longer_jobs():
    rounds, jobs, track = long_jobs()
    rounds.find_lengths("sleep", jobs, LANES)
    rounds.measure((Kind.LATENCY, "sleep"), jobs, LANES)
    track.records = tables_of(a_trial(), [a_job(service_s=12.0)])["records"]
    rounds.start += 1
    rounds.measure((Kind.APART, "sleep"), jobs, LANES[:1])
    together, apart = track.ran[0], track.ran[-1]
    assert (together.kind, apart.kind) == (Kind.LATENCY, Kind.APART)
    assert apart.plan.due_s.tolist() == together.plan.due_s.tolist()
    assert (apart.planned_s, apart.lead_in_s) == (together.planned_s, together.lead_in_s) == (50.0, 10.0)
