"""A search for the limit on lanes whose limit is known, from the command line to the exit code."""

from itertools import pairwise

import numpy as np
import pytest
from world import World

from poolrace.contract import Outcome
from producer.rundir.trials import Kind

SERVICE_S = {"prefork": 1 / 32, "threads": 1 / 16}
"""Two slots do 64 jobs a second on prefork and 32 on threads: at more than that the queue grows and grows."""

WORDS = ("--concurrency", "2", "--mix", "sleep", "--arrivals", "constant", "--probe", "20s")


@pytest.fixture
def limit(command):
    """Search for the limit on a world: exit code, summary, run."""

    def run(world, *words):
        ended = command(world, "limit", *WORDS, *words)
        return ended.code, ended.summary, ended.run

    return run


def probes_of(run, lane):
    return [trial for trial in run.trials if trial.lane == lane and trial.kind is Kind.PROBE]


def test_the_limit_of_each_lane_is_found_within_the_precision(limit):
    # A job that finds a free slot takes 1/64 s to the node and then its service: far below 200 ms.
    code, summary, run = limit(World(service_s=SERVICE_S), "--slo", "p99(sojourn) < 200ms", "--precision", "0.1")
    assert (code, summary.problems) == (0, ())
    for lane, capacity_per_s in zip(summary.limit.lanes, (64.0, 32.0), strict=True):
        # What is under capacity passes; 1 % over it, the last job of 20 s would wait 200 ms.
        assert lane.low_per_s < capacity_per_s * 1.01
        assert lane.high_per_s > capacity_per_s
        assert lane.low_per_s <= lane.limit_per_s <= lane.high_per_s <= lane.low_per_s * 1.1
        # A little above its capacity the queue grows, before the SLO is broken.
        assert "queue wait grew" in lane.broken_by or "p99(sojourn) < 200ms" in lane.broken_by
    assert [lane.lane for lane in summary.limit.lanes] == ["prefork", "threads"]
    assert summary.settlement.done == summary.settlement.sent == run.sent.height


def test_every_probe_is_a_trial_at_one_rate_and_the_lanes_take_turns(limit):
    _, summary, run = limit(World(service_s=SERVICE_S), "--slo", "p99(sojourn) < 200ms", "--precision", "0.5")
    for lane in summary.limit.lanes:
        trials = probes_of(run, lane.lane)
        assert [each.trial for each in lane.probes] == [trial.trial for trial in trials]
        assert [trial.round for trial in trials] == list(range(len(trials)))
        for trial in trials:
            gaps_s = np.diff(run.sent.filter(trial=trial.trial)["due_at"].to_numpy())
            assert gaps_s == pytest.approx(1 / trial.rate_per_s, abs=1e-5)
    shorter = min(len(lane.probes) for lane in summary.limit.lanes)
    turns = [trial.lane for trial in run.trials if trial.kind is Kind.PROBE][: 2 * shorter]
    assert all(first != second for first, second in pairwise(turns))


def test_a_probe_that_cannot_pass_any_more_is_given_up(limit):
    # At 256/s on 64/s the queue is beyond the SLO within the first second; the probe is of 20 s.
    _, summary, run = limit(
        World(service_s=SERVICE_S), "--lane", "prefork:2", "--slo", "p99(sojourn) < 200ms", "--from", "256/s",
        "--precision", "0.5",
    )  # fmt: skip
    first = probes_of(run, "prefork")[0]
    assert (first.rate_per_s, summary.limit.lanes[0].probes[0].passed) == (256.0, False)
    assert first.given_up_s < 10
    assert first.jobs < 10 * 256


def test_a_rate_at_which_the_queue_grows_is_not_held_however_loose_the_slo(limit):
    """Nothing would be broken before the end of a probe; it is judged by all that came of it."""
    code, summary, _ = limit(
        World(service_s=SERVICE_S), "--lane", "threads:2", "--slo", "max(sojourn) < 20s", "--precision", "0.1",
        "--from", "40/s",
    )  # fmt: skip
    (lane,) = summary.limit.lanes
    assert (code, lane.probes[0].passed, lane.broken_by.partition(" by ")[0]) == (0, False, "queue wait grew")
    # The wait may grow by one job in the 15 s from quarter to quarter, and then the rate is 0.4 % above the capacity.
    assert lane.low_per_s < 32.0 * 1.004
    assert 32.0 < lane.high_per_s <= lane.low_per_s * 1.1


def test_an_slo_that_no_rate_meets_has_no_limit_and_an_exit_code_of_its_own(limit):
    code, summary, _ = limit(
        World(), "--lane", "threads:2", "--slo", "p99(sojourn) < 1ms", "--from", "4/s", "--probe", "2s"
    )  # fmt: skip
    (lane,) = summary.limit.lanes
    assert (code, summary.problems) == (99, ())
    assert (lane.low_per_s, lane.limit_per_s, lane.high_per_s) == (None, None, 1.0)
    assert [each.rate_per_s for each in lane.probes] == [4.0, 2.0, 1.0, 1.0]
    assert lane.broken_by == "p99(sojourn) < 1ms"


def test_a_search_ends_after_so_many_probes_of_a_lane(limit):
    _, summary, run = limit(
        World(service_s=SERVICE_S), "--slo", "p99(sojourn) < 200ms", "--precision", "0.005", "--probes", "6"
    )  # fmt: skip
    assert [len(probes_of(run, lane.lane)) for lane in summary.limit.lanes] == [6, 6]
    assert all(lane.width > 0.005 for lane in summary.limit.lanes)


def test_a_rate_that_passes_once_and_not_again_is_no_limit(limit):
    """A lane that becomes slow has its limit at what it still holds."""
    world = World(service_s={"threads": 1 / 64})

    def slower():
        world.service_s["threads"] = 1 / 8

    # 128/s at first, and 16/s after the first probe.
    world.at(30.0, slower)
    code, summary, _ = limit(
        world, "--lane", "threads:2", "--slo", "p99(sojourn) < 300ms", "--precision", "0.1", "--from", "60/s",
        "--probes", "40",
    )  # fmt: skip
    (lane,) = summary.limit.lanes
    assert any(each.passed and each.rate_per_s >= 60 for each in lane.probes)
    assert code == 0
    assert 14 < lane.low_per_s < lane.high_per_s < 18


def test_one_probe_that_fails_by_chance_does_not_cap_the_search(limit):
    """The node loses all that it is given for a second of one probe far below what it holds."""
    world = World(service_s={"threads": 1 / 64})
    bad = iter([True])
    world.outcome = lambda _, seq: Outcome.FAILED if seq == 900 and next(bad, False) else Outcome.SUCCEEDED
    code, summary, _ = limit(
        world, "--lane", "threads:2", "--slo", "p99(sojourn) < 300ms", "--precision", "0.2", "--from", "50/s",
    )  # fmt: skip
    (lane,) = summary.limit.lanes
    assert (code, lane.probes[0].rate_per_s, lane.probes[0].passed) == (0, 50.0, False)
    assert lane.low_per_s < 128 * 1.02
    assert lane.high_per_s > 128


def test_jobs_that_fail_hold_no_rate_though_they_are_fast(limit):
    # One of four fails; the others are done in no time.
    world = World(outcome=lambda _, seq: Outcome.SUCCEEDED if seq % 4 else Outcome.FAILED)
    code, summary, _ = limit(
        world, "--lane", "threads:2", "--slo", "p50(sojourn) < 1s", "--probe", "4s", "--from", "16/s"
    )  # fmt: skip
    (lane,) = summary.limit.lanes
    assert (code, lane.low_per_s) == (99, None)
    assert "failed == 0" in lane.broken_by


def test_a_generator_that_is_late_makes_the_limit_its_own_and_the_run_invalid(limit):
    # Handing a job over takes 1/32 s, so no more than 32 a second are sent, and the lane would do 256.
    code, summary, _ = limit(
        World(service_s={"threads": 1 / 128}, send_s=1 / 32), "--lane", "threads:2", "--slo", "p99(sojourn) < 100ms",
        "--precision", "0.2",
    )  # fmt: skip
    assert code == 4
    assert any(problem.startswith("The generator was late when threads broke") for problem in summary.problems)
    assert summary.limit.lanes[0].limit_per_s < 34
