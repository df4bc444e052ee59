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
    return [trial for trial in run.trials if trial.lane == lane and trial.kind in {Kind.PROBE, Kind.CONFIRMATION}]


def test_the_limit_of_each_lane_is_found_within_the_precision_and_confirmed(limit):
    # A job that finds a free slot takes 1/64 s to the node and then its service: far below 200 ms.
    code, summary, run = limit(World(service_s=SERVICE_S), "--slo", "p99(sojourn) < 200ms", "--precision", "0.05")
    assert (code, summary.problems) == (0, ())
    for lane, capacity_per_s in zip(summary.limit.lanes, (64.0, 32.0), strict=True):
        assert lane.confirmed
        # What is under capacity passes; 1 % over it, the last job of 20 s would wait 200 ms.
        assert capacity_per_s < lane.broke_per_s <= lane.held_per_s * 1.05
        assert lane.held_per_s < capacity_per_s * 1.01
        assert "p99(sojourn) < 200ms" in lane.broken_by
    assert [lane.lane for lane in summary.limit.lanes] == ["prefork", "threads"]
    assert summary.settlement.done == summary.settlement.sent == run.sent.height


def test_every_probe_is_a_trial_at_one_rate_and_the_lanes_take_turns(limit):
    _, summary, run = limit(World(service_s=SERVICE_S), "--slo", "p99(sojourn) < 200ms", "--precision", "0.5")
    for lane in summary.limit.lanes:
        trials = probes_of(run, lane.lane)
        assert [each.trial for each in lane.probes] == [trial.trial for trial in trials]
        assert [trial.round for trial in trials] == list(range(len(trials)))
        assert [trial.kind for trial in trials][-1] is Kind.CONFIRMATION
        passed = [each.rate_per_s for each in lane.probes if each.passed]
        assert lane.held_per_s == max(passed)
        for trial in trials:
            gaps_s = np.diff(run.sent.filter(trial=trial.trial)["due_at"].to_numpy())
            assert gaps_s == pytest.approx(1 / trial.rate_per_s, abs=1e-5)
    shorter = min(len(lane.probes) for lane in summary.limit.lanes)
    turns = [trial.lane for trial in run.trials if trial.kind in {Kind.PROBE, Kind.CONFIRMATION}][: 2 * shorter]
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
    assert 32.0 < lane.broke_per_s <= lane.held_per_s * 1.1


def test_an_slo_that_no_rate_meets_has_no_limit_and_an_exit_code_of_its_own(limit):
    code, summary, _ = limit(
        World(), "--lane", "threads:2", "--slo", "p99(sojourn) < 1ms", "--from", "4/s", "--probe", "2s"
    )  # fmt: skip
    (lane,) = summary.limit.lanes
    assert (code, summary.problems) == (99, ())
    assert (lane.held_per_s, lane.broke_per_s, lane.confirmed) == (None, 1.0, False)
    assert [each.rate_per_s for each in lane.probes] == [4.0, 2.0, 1.0]
    assert lane.broken_by == "p99(sojourn) < 1ms"


def test_a_rate_that_passes_once_and_not_again_is_no_limit(limit):
    """A lane that becomes slow is confirmed at what it still holds."""
    world = World(service_s={"threads": 1 / 64})

    def slower():
        world.service_s["threads"] = 1 / 8

    # 128/s at first, and 16/s after the first probe.
    world.at(30.0, slower)
    code, summary, _ = limit(
        world, "--lane", "threads:2", "--slo", "p99(sojourn) < 300ms", "--precision", "0.05", "--from", "60/s"
    )  # fmt: skip
    (lane,) = summary.limit.lanes
    assert any(each.passed and each.rate_per_s >= 60 for each in lane.probes)
    assert (code, lane.confirmed) == (0, True)
    assert 14 < lane.held_per_s < 17


def test_jobs_that_fail_hold_no_rate_though_they_are_fast(limit):
    # One of four fails; the others are done in no time.
    world = World(outcome=lambda _, seq: Outcome.SUCCEEDED if seq % 4 else Outcome.FAILED)
    code, summary, _ = limit(
        world, "--lane", "threads:2", "--slo", "p50(sojourn) < 1s", "--probe", "4s", "--from", "16/s"
    )  # fmt: skip
    (lane,) = summary.limit.lanes
    assert (code, lane.held_per_s) == (99, None)
    assert "failed == 0" in lane.broken_by


def test_a_generator_that_is_late_makes_the_limit_its_own_and_the_run_invalid(limit):
    # Handing a job over takes 1/32 s, so no more than 32 a second are sent, and the lane would do 256.
    code, summary, _ = limit(
        World(service_s={"threads": 1 / 128}, send_s=1 / 32), "--lane", "threads:2", "--slo", "p99(sojourn) < 100ms",
        "--precision", "0.2",
    )  # fmt: skip
    assert code == 4
    assert any(problem.startswith("The generator was late when threads broke") for problem in summary.problems)
    assert summary.limit.lanes[0].held_per_s < 33
