"""What a search found: which probes passed and why the others did not, and the limit that follows from them."""

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from recorded import manifest_of, recorded

from producer.analysis.limit import LimitSummary, limit_lanes, probe
from producer.analysis.limit_fit import fit
from producer.analysis.search import Search
from producer.analysis.settle import Fate, settle
from producer.plan.script import Phase, Profile, Script, Segment
from producer.plan.thresholds import parse_threshold
from producer.rundir.run import Run
from producer.rundir.schema import RECORD_SCHEMA, SAMPLE_SCHEMA, SENT_SCHEMA
from producer.rundir.trials import Kind, Trial

BEGAN_AT = 1000.0
SLO = ("p99(sojourn) < 500ms", "failed == 0", "lost == 0")
TRIAL = Trial(
    trial=1, kind=Kind.PROBE, workload="sleep=1", lane="threads", round=0, jobs=4, rate_per_s=1.0, slots=2,
    began_at=BEGAN_AT, ended_at=BEGAN_AT + 5.0, parts=("sleep",), planned_s=4.0,
)  # fmt: skip
SERVICE_S = 0.125


def job(at_s, wait_s=0.0, *, service_s=SERVICE_S, lag_s=0.0, outcome="succeeded"):
    """When a job was due, how late it was sent, how long it then waited, and what came of it; None is no record."""
    return at_s, lag_s, wait_s, service_s, outcome


# One in each quarter of the four seconds, a slot always free.
EASY = (job(0.5), job(1.5), job(2.5), job(3.5))
# The same with one job in the middle that waits for a second, so that the wait does not grow from end to end.
SLOW = (job(0.5), job(1.5, 1.0), job(2.5), job(3.5))


def frames(trial, jobs):
    """What a publisher and a node note of a trial's jobs."""
    sent, records = [], []
    for seq, (at_s, lag_s, wait_s, service_s, outcome) in enumerate(jobs):
        due_at = trial.began_at + at_s
        sent_at = due_at + lag_s
        key = {"trial": trial.trial, "seq": seq, "due_at": due_at, "sent_at": sent_at}
        sent.append({**key, "part": 0, "accepted_at": sent_at})
        if outcome:
            records.append(
                {
                    **key, "lane": trial.lane, "node": f"{trial.lane}@host", "received_at": sent_at, "cpu_s": 0.001,
                    "started_at": sent_at + wait_s, "finished_at": sent_at + wait_s + service_s, "outcome": outcome,
                }
            )  # fmt: skip
    return pl.DataFrame(sent, schema=SENT_SCHEMA), pl.DataFrame(records, schema=RECORD_SCHEMA)


def run_of(*trials, slo=SLO, precision=0.5):
    """A run of some trials, each with its jobs."""
    tables = [frames(trial, jobs) for trial, jobs in trials]
    return Run(
        path=Path("run"),
        manifest=manifest_of(recorded(kind="limit", slo=slo, precision=precision)),
        trials=[trial for trial, _ in trials],
        records=pl.concat([records for _, records in tables]),
        sent=pl.concat([sent for sent, _ in tables]),
        children=pl.DataFrame(schema=RECORD_SCHEMA),
        samples=pl.DataFrame(schema=SAMPLE_SCHEMA),
        pings=[],
    )


def fates_of(run):
    return settle(run.sent, run.records, run.trials)


def probed(jobs=EASY, slo=SLO, **changes):
    trial = replace(TRIAL, jobs=len(jobs), **changes)
    run = run_of((trial, jobs), slo=slo)
    return probe(run, trial, fates_of(run), [parse_threshold(text) for text in slo])


def test_a_probe_that_keeps_everything_passes():
    found = probed()
    assert (found.trial, found.rate_per_s) == (1, 1.0)
    assert (found.passed, found.growth_s, found.growing, found.late) == (True, 0.0, False, False)
    assert [each.kept for each in found.thresholds] == [True, True, True]
    assert found.latency.sojourn.p99 == SERVICE_S
    assert (found.offered_per_s, found.finished_per_s, found.settlement.done) == (1.0, 1.0, 4)


def test_a_probe_that_breaks_one_slo_does_not_pass_and_says_which():
    found = probed(SLOW)
    assert not found.passed
    assert [each.kept for each in found.thresholds] == [False, True, True]
    assert (found.thresholds[0].measured, found.thresholds[0].limit) == (1.125, 0.5)
    assert not found.growing


def test_the_same_probe_passes_where_less_is_asked():
    assert probed(SLOW, slo=("p99(sojourn) < 1200ms",)).passed


@pytest.mark.parametrize(
    ("outcome", "fate", "broken"), [("failed", "failed", "failed == 0"), (None, "lost", "lost == 0")]
)
def test_a_job_that_fails_or_is_lost_is_not_held_however_fast_the_others_were(outcome, fate, broken):
    found = probed((*EASY[:2], job(2.5, outcome=outcome), EASY[3]))
    assert not found.passed
    assert found.settlement.count(Fate(fate)) == 1
    assert [each.threshold for each in found.thresholds if not each.kept] == [broken]


def test_a_probe_of_which_no_job_succeeds_does_not_pass_and_has_no_times():
    found = probed(tuple(job(at_s, outcome="failed") for at_s in (0.5, 1.5, 2.5, 3.5)))
    assert (found.passed, found.growth_s, found.growing, found.late) == (False, None, False, False)
    assert found.latency.sojourn is None
    assert [each.kept for each in found.thresholds] == [False, False, True]


def test_growth_is_the_median_wait_of_the_last_quarter_less_that_of_the_first():
    """Medians of 125, 250 and 375 ms and of 500, 625 and 4,000 ms; what is due in between counts for nothing."""
    first = (job(0.0, 0.375), job(0.25, 0.125), job(0.5, 0.25))
    middle = (job(1.25, 3.0), job(2.75, 3.0))
    last = (job(3.0, 0.5), job(3.5, 4.0), job(3.75, 0.625))
    assert probed((*first, *middle, *last)).growth_s == 0.375


@pytest.mark.parametrize(
    ("last_wait_s", "growing"), [(0.0, False), (SERVICE_S, False), (SERVICE_S + 0.0625, True), (0.3125, True)]
)
def test_a_wait_that_grows_by_more_than_a_job_takes_does_not_pass_though_the_slo_is_kept(last_wait_s, growing):
    found = probed((*EASY[:3], job(3.5, last_wait_s)))
    assert all(each.kept for each in found.thresholds)
    assert (found.growth_s, found.growing, found.passed) == (last_wait_s, growing, not growing)


def test_a_wait_that_shrinks_passes():
    found = probed((job(0.5, 0.25), *EASY[1:]))
    assert (found.growth_s, found.passed) == (-0.25, True)


def test_one_long_job_does_not_allow_the_others_to_wait_longer_and_longer():
    """Three jobs take 125 ms and one 4 s: the wait may grow by the median of them, not by the mean of 1.1 s."""
    jobs = (EASY[0], job(1.5, service_s=4.0), EASY[2], job(3.5, 0.25))
    assert probed(jobs, slo=("p99(sojourn) < 10s",)).growing


def test_a_probe_that_was_given_up_does_not_pass_whatever_was_measured_until_then():
    found = probed(given_up_s=4.0)
    assert (found.given_up_s, found.passed) == (4.0, False)
    assert all(each.kept for each in found.thresholds)


@pytest.mark.parametrize(("lag_s", "late"), [(0.03125, False), (0.0625, True)])
def test_a_generator_is_late_beyond_a_quarter_of_the_median_sojourn(lag_s, late):
    """Of 125 ms, so beyond 31.25 ms; the median is that of the other three jobs."""
    jobs = (EASY[0], job(1.5, lag_s=lag_s), *EASY[2:])
    assert probed(jobs).late is late


def test_a_generator_is_late_where_it_sent_less_than_was_offered_however_long_jobs_take():
    """The last of four is sent a second after the end: 4 in 5 s. Beside 100 s a lag of 1.5 s is nothing."""
    jobs = (*(job(at_s, service_s=100.0) for at_s in (0.5, 1.5, 2.5)), job(3.5, service_s=100.0, lag_s=1.5))
    found = probed(jobs, ended_at=BEGAN_AT + 110.0)
    assert (found.offered_per_s, found.generator_per_s) == (1.0, 0.8)
    assert found.late


def test_a_probe_has_its_own_jobs_and_no_others():
    other = replace(TRIAL, trial=2, began_at=2000.0, ended_at=2005.0)
    run = run_of((TRIAL, EASY), (other, SLOW))
    slo = [parse_threshold(text) for text in SLO]
    assert probe(run, TRIAL, fates_of(run), slo).passed
    assert not probe(run, other, fates_of(run), slo).passed


def search_of(*rates_and_jobs, lane="threads", begin=0, kinds=()):
    """The trials of a search: each with its rate and its jobs; the kinds of the first ones may be named."""
    return [
        (
            replace(
                TRIAL, trial=begin + place, lane=lane, rate_per_s=rate, began_at=BEGAN_AT * (begin + place + 1),
                ended_at=BEGAN_AT * (begin + place + 1) + 5.0, kind=kinds[place] if place < len(kinds) else Kind.PROBE,
            ),
            jobs,
        )
        for place, (rate, jobs) in enumerate(rates_and_jobs)
    ]  # fmt: skip


def lanes_of(*trials, **what):
    run = run_of(*trials, **what)
    return limit_lanes(run, fates_of(run))


def lane_of(*rates_and_jobs, **what):
    (lane,) = lanes_of(*search_of(*rates_and_jobs), **what)
    return lane


def ends(lane):
    return lane.low_per_s, lane.limit_per_s, lane.high_per_s


def test_the_limit_is_what_all_probes_say_together():
    walk = ((10.0, EASY), (20.0, SLOW), (14.0, EASY), (17.0, SLOW), (14.0, SLOW), (14.0, EASY))
    lane = lane_of(*walk)
    found = fit([(rate, jobs is EASY) for rate, jobs in walk])
    assert ends(lane) == (found.low_per_s, found.limit_per_s, found.high_per_s)
    assert [(each.rate_per_s, each.passed) for each in lane.probes] == [(rate, jobs is EASY) for rate, jobs in walk]
    assert lane.width == lane.high_per_s / lane.low_per_s - 1 == found.width
    assert LimitSummary(lanes=(lane,)).met


def test_a_lane_that_passes_nothing_holds_nothing_down_to_the_lowest_rate():
    lane = lane_of((2.0, SLOW), (1.0, SLOW))
    assert (ends(lane), lane.width, lane.holds_a_rate) == ((None, None, 1.0), None, False)
    assert lane.broken_by == "p99(sojourn) < 500ms"
    assert not LimitSummary(lanes=(lane, lane_of((1.0, EASY)))).met


def test_a_lane_that_nothing_breaks_has_its_limit_above_the_highest_rate():
    lane = lane_of((10_000.0, EASY), (20_000.0, EASY))
    assert (ends(lane), lane.width, lane.holds_a_rate) == ((20_000.0, None, None), None, True)
    assert (lane.broken_by, lane.generator_late) == (None, False)


def test_lanes_come_in_the_order_of_their_first_probe_each_with_its_own():
    prefork = search_of((10.0, EASY), lane="prefork", begin=10)
    (first, second), (third,) = search_of((5.0, SLOW), (2.5, SLOW), begin=20), prefork
    found = lanes_of(first, third, second)
    assert [(lane.lane, *ends(lane)) for lane in found] == [
        ("threads", None, None, 2.5), ("prefork", 10.0, None, None),
    ]  # fmt: skip


def test_warm_ups_are_no_probes():
    (lane,) = lanes_of(*search_of((None, SLOW), (10.0, EASY), kinds=(Kind.WARM_UP,)))
    assert [each.rate_per_s for each in lane.probes] == [10.0]


def test_a_run_that_is_no_search_has_no_limits():
    assert lanes_of((replace(TRIAL, kind=Kind.LATENCY), EASY)) == ()


def test_all_that_broke_it_is_named_and_what_it_kept_is_not():
    """The last job waits 875 ms more than the first and ends after a second."""
    growing = (*EASY[:3], job(3.5, 0.875))
    lane = lane_of((10.0, EASY), (20.0, growing))
    assert lane.broken_by == "p99(sojourn) < 500ms, queue wait grew by 875 ms"
    assert lane_of((10.0, EASY), (20.0, growing), slo=("p99(sojourn) < 2s",)).broken_by == ("queue wait grew by 875 ms")


FAILING = (*EASY[:2], job(2.5, outcome="failed"), EASY[3])


def test_what_broke_is_told_of_the_lowest_rate_above_the_limit_that_did():
    """The limit is near 12; what failed at 2, for another reason, did not break the lane there."""
    walk = ((10.0, EASY), (11.0, EASY), (10.0, EASY), (40.0, SLOW), (14.0, FAILING), (2.0, SLOW), (14.0, SLOW))
    assert lane_of(*walk).broken_by == "failed == 0"


def test_where_nothing_failed_above_the_limit_it_is_told_of_the_highest_that_did():
    lane = lane_of((2.0, SLOW), (4.0, FAILING), *[(50.0, EASY)] * 6)
    assert lane.limit_per_s > 50
    assert lane.broken_by == "failed == 0"


def test_a_probe_that_was_given_up_with_every_slo_kept_until_then_says_so():
    trials = search_of((10.0, EASY), (20.0, EASY))
    trials[1] = (replace(trials[1][0], given_up_s=4.0), EASY)
    (lane,) = lanes_of(*trials)
    assert lane.broken_by == "too many jobs over the threshold"


LATE = (EASY[0], job(1.5, lag_s=0.75), *EASY[2:])


@pytest.mark.parametrize(
    ("walk", "late"),
    [
        (((10.0, EASY), (20.0, LATE)), True),
        (((10.0, EASY), (20.0, SLOW)), False),
        # What failed far above the limit says nothing of it.
        (((200.0, LATE), (10.0, SLOW), (5.0, EASY), (9.0, SLOW), (6.0, EASY)), False),
        # One of two near the limit is half of them; one of three is not.
        (((10.0, EASY), (20.0, LATE), (20.0, SLOW)), True),
        (((10.0, EASY), (20.0, LATE), (20.0, SLOW), (20.0, SLOW)), False),
        # One that passed.
        (((10.0, (EASY[0], job(1.5, lag_s=0.0625), *EASY[2:])), (20.0, SLOW)), False),
    ],
)
def test_the_generator_is_late_where_at_least_half_of_what_failed_near_the_limit_was(walk, late):
    lane = lane_of(*walk)
    assert lane.generator_late is late
    assert any(each.late for each in lane.probes) == any(jobs not in (EASY, SLOW) for _, jobs in walk)


@pytest.mark.parametrize("capacity", [0.5, 1.0, 47.0, 3210.0, 25_000.0])
def test_what_is_recomputed_is_what_the_search_had_found(capacity):
    """Trials note the rate of their plan, which has gone through a number of jobs and back."""
    search, walk = Search(13.7, precision=0.2), []
    while not search.over:
        rate = search.next_per_s()
        held = Segment(begin_per_s=rate, end_per_s=rate, duration_s=3.3)
        script = Script(phases=(Phase(name="probe", profile=Profile(text="", segments=(held,)), mix={"sleep": 1.0}),))
        walk.append((script.mean_per_s, EASY if rate <= capacity else SLOW))
        search.tell(rate, passed=rate <= capacity)
    lane = lane_of(*walk)
    assert lane.limit_per_s == (search.fit and pytest.approx(search.fit.limit_per_s))
    if search.fit:
        assert (lane.low_per_s, lane.high_per_s) == pytest.approx((search.fit.low_per_s, search.fit.high_per_s))
