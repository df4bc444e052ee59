"""What a soak found on each lane: its verdict, and what the replacement of children costs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from jobs import BEGAN_AT, a_job, a_run, a_trial
from soaks import LEVEL, MIB, a_process, noisy, table, trials_of, worked_s

from producer.analysis.growth import Growing
from producer.analysis.soak import SoakSummary, replaced
from producer.analysis.summary import summarise
from producer.plan.lanes import parse_lanes
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    import polars as pl

    from producer.analysis.soak import LaneSoak
    from producer.analysis.summary import Summary

LANES = parse_lanes(["threads:2"], least=1)


def summary_of(processes: pl.DataFrame) -> Summary:
    """Return the summary of a soak of a lane of threads, by what was sampled of its processes."""
    trials = trials_of("threads")
    jobs = [[a_job(seq * 0.5, part=0) for seq in range(trial.jobs)] for trial in trials]
    parts = [part for pair in zip(trials, jobs, strict=True) for part in pair]
    return summarise(a_run(*parts, settings={"kind": "soak", "lanes": LANES}, processes=processes))


def lane(processes: pl.DataFrame) -> LaneSoak:
    """Return what was found on it."""
    summary = summary_of(processes)
    assert summary.soak is not None
    (found,) = summary.soak.lanes
    return found


def leaking(at_s: float) -> float:
    """Return what a process holds that leaks 20 kB a second of work."""
    return LEVEL + 20_000 * worked_s(at_s)


def test_a_lane_leaks_if_any_of_its_processes_does() -> None:
    found = lane(table(a_process(10), a_process(11, root=False, held=leaking)))
    assert found.growing is Growing.LEAK
    assert [(each.what, each.root) for each in found.leaks] == [("memory", False)]
    assert found.worked_s == 240.0


def test_a_lane_does_not_leak_if_nothing_of_it_does() -> None:
    assert lane(table(a_process(10), a_process(11, root=False))).growing is Growing.NO_LEAK


def test_one_unknown_leaves_it_open() -> None:
    assert lane(table(a_process(10), a_process(11, root=False, held=noisy(2 * MIB)))).growing is Growing.UNKNOWN


def test_a_lane_of_which_nothing_was_sampled_is_unknown() -> None:
    found = lane(table())
    assert (found.growing, found.growths) == (Growing.UNKNOWN, ())


@pytest.mark.parametrize(("held", "met"), [(leaking, False), (lambda _at_s: LEVEL, True)])
def test_a_leak_is_what_a_soak_is_asked_not_to_find(held: Any, met: bool) -> None:
    assert summary_of(table(a_process(10, held=held))).met is met


def test_jobs_are_told_by_the_slot_and_hour_of_work() -> None:
    # 30 trials of 8 jobs on 2 slots in 240 s of work.
    assert lane(table(a_process(10))).jobs_per_h == 30 * 8 / 2 / 240 * 3600


def pairs(kept_s: float, recycled_s: float) -> Summary:
    """Return the summary of rounds of backlogs and of held rates on a lane and on the same one that recycles."""
    both = parse_lanes(["prefork:2"], least=1)
    both = (*both, replace(both[0].with_setting("max-tasks", "4"), key="prefork-recycled"))
    parts: list[Any] = []
    for number, (kind, key, turn) in enumerate(
        (kind, each.key, turn) for turn in range(4) for kind in (Kind.CAPACITY, Kind.LATENCY) for each in both
    ):
        service_s = (kept_s if key == "prefork" else recycled_s) * (1 + turn / 100)
        begin = BEGAN_AT + 20.0 * number
        trial = a_trial(trial=number, round=turn, kind=kind, lane=key, jobs=16, began_at=begin, ended_at=begin + 16)
        waits = [(seq // 2) * service_s if kind is Kind.CAPACITY else 0.0 for seq in range(16)]
        jobs = [
            a_job(
                0.0 if kind is Kind.CAPACITY else float(seq), wait_s=wait_s, service_s=service_s,
                pid=100 + seq % 2 + (10 * (seq // 4) if "recycled" in key else 0),
            )
            for seq, wait_s in enumerate(waits)
        ]  # fmt: skip
        parts += [trial, jobs]
    settings = {"kind": "soak", "lanes": both, "recycled": {"prefork-recycled": "prefork"}, "recycle_jobs": 4}
    return summarise(a_run(*parts, settings=settings))


def test_the_lane_that_recycles_is_told_beside_the_one_that_does_not() -> None:
    summary = pairs(0.5, 1.0)
    assert isinstance(summary.soak, SoakSummary)
    (found,) = summary.soak.lanes
    assert found.lane == "prefork"
    assert found.recycling is not None
    assert (found.recycling.lane, found.recycling.jobs) == ("prefork-recycled", 4)
    assert found.recycling.capacity == pytest.approx(0.5, rel=0.01)
    assert found.recycling.kept is not None
    assert found.recycling.recycled is not None
    assert found.recycling.recycled.p50 == pytest.approx(2 * found.recycling.kept.p50, rel=0.02)


def test_children_beyond_the_first_of_each_slot_have_replaced_others() -> None:
    trial = a_trial(lane="prefork")
    run = a_run(trial, [a_job(0.5 * seq, pid=100 + seq // 2) for seq in range(10)], settings={"kind": "soak"})
    assert replaced(run, "prefork") == 5 - 2


def test_a_lane_without_one_that_recycles_has_no_price() -> None:
    assert lane(table(a_process(10))).recycling is None
