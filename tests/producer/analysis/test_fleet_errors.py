"""Predictions of what a model has not seen, and what their errors ask for."""

from dataclasses import replace

import pytest
from jobs import BEGAN_AT, a_job, a_run, a_trial

from producer.analysis.fleet_errors import Compared, HeldOut, allowance, held_out
from producer.analysis.fleet_inputs import observations
from producer.analysis.fleet_plan import Allowance
from producer.rundir.trials import Kind


def backlog(service_s, jobs=40):
    """Jobs that are all due at once on two slots, which are never idle."""
    return [a_job(0.0, wait_s=(turn // 2) * service_s, service_s=service_s) for turn in range(jobs)]


def steady(service_s, jobs=40):
    """Jobs that come once a second, and wait for nobody."""
    return [a_job(float(turn), service_s=service_s) for turn in range(jobs)]


def a_race(service_s, rounds=2, jobs=40):
    """A race of one lane whose jobs take as long in each trial, and longer by a half from the second round on."""
    parts = []
    for turn in range(rounds):
        took_s = service_s * (1 + turn / 2)
        at = BEGAN_AT + 1000 * turn
        parts += [
            a_trial(trial=2 * turn, kind=Kind.CAPACITY, rate_per_s=None, round=turn, began_at=at, jobs=jobs),
            backlog(took_s, jobs),
            a_trial(trial=2 * turn + 1, kind=Kind.LATENCY, round=turn, began_at=at + 100, jobs=jobs),
            steady(took_s, jobs),
        ]
    return a_run(*parts, settings={"kind": "race"})


def test_each_run_is_predicted_from_the_others():
    """Jobs of 0.125 s on two slots are 16 a second, and those of 0.25 s are 8: each predicts the other wrongly."""
    runs = [a_race(0.125, rounds=1), a_race(0.25, rounds=1)]
    observed = [replace(each, run=f"run {n}") for n, run in enumerate(runs) for each in observations(run)]
    one, other = held_out(observed, runs, ())
    assert (one.run, one.lane, one.nodes, one.slots, one.split) == ("run 0", "threads", 1, 2, False)
    assert one.throughput_per_s.measured == pytest.approx(16)
    assert one.throughput_per_s.predicted == pytest.approx(8, rel=0.01)
    assert one.throughput_per_s.off == pytest.approx(-0.5, abs=0.01)
    assert other.throughput_per_s.off == pytest.approx(1, abs=0.02)
    assert (one.p50_s.measured, one.p50_s.predicted) == pytest.approx((0.125, 0.25))


def test_a_run_alone_is_split():
    """Even rounds had jobs of 0.125 s, and odd ones half as long again."""
    run = a_race(0.125)
    (found,) = held_out(observations(run), [run], ())
    assert found.split
    assert found.p50_s.predicted == pytest.approx(0.125)
    assert found.p50_s.measured == pytest.approx(0.1875)


def test_one_round_alone_has_nothing_to_hold_out():
    run = a_race(0.125, rounds=1)
    assert held_out(observations(run), [run], ()) == []


def test_a_p99_of_few_jobs_is_not_compared():
    few, many = (a_race(0.125, jobs=jobs) for jobs in (40, 1100))
    assert held_out(observations(few), [few], ())[0].p99_s is None
    assert held_out(observations(many), [many], ())[0].p99_s.measured == pytest.approx(0.1875)


def a_prediction(throughput=None, p99=None, *, crowded=False):
    return HeldOut(
        run="r", lane="threads", nodes=1, slots=2, rate_per_s=1.0, p50_s=None, split=False, crowded=crowded,
        throughput_per_s=throughput and Compared(predicted=throughput[0], measured=throughput[1]),
        p99_s=p99 and Compared(predicted=p99[0], measured=p99[1]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("found", "asks"),
    [
        ([], Allowance()),
        ([a_prediction((90, 100), (0.2, 0.1))], Allowance()),
        ([a_prediction((110, 100), (0.1, 0.15), crowded=True)], Allowance()),
        ([a_prediction((110, 100), (0.1, 0.15)), a_prediction((105, 100))], Allowance(slower=1.5, less=1.1)),
    ],
)
def test_only_predictions_that_promised_too_much_are_allowed_for(found, asks):
    got = allowance(found)
    assert (got.slower, got.less) == pytest.approx((asks.slower, asks.less))
