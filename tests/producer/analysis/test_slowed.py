"""A mix that hurts itself: by hand, with sixty jobs a task, twenty in each of three rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from jobs import a_job, a_run, a_trial

from producer.analysis.slowed import slowed_tasks, tasks_apart
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from producer.rundir.run import Run

APP = {
    "app": "shop.celery:app", "folder": "shop", "facts": {}, "shares": {"fetch": 0.5, "shrink": 0.5},
    "timeout_s": 60.0, "backend": "none",
}  # fmt: skip
JOBS, ROUNDS = 20, 3
OF_MIX = {"parts": ("fetch", "shrink"), "workload": "mix", "rate_per_s": 40.0}
OF_FETCH = {"parts": ("fetch",), "workload": "fetch", "rate_per_s": 20.0}


def fetches(times: float = 1.0, wait_s: float = 0.0, **record: Any) -> list[dict[str, Any]]:
    """Twenty jobs that run for 10.0, 10.1, … 11.9 ms, or so many times as long."""
    return [
        a_job(0.05 * number, service_s=times * (0.010 + 0.0001 * number), wait_s=wait_s, part=0, cpu_s=0.001, **record)
        for number in range(JOBS)
    ]


def shrinks(service_s: float = 0.03, cpu_s: float = 0.03) -> list[dict[str, Any]]:
    """Twenty jobs that compute."""
    return [a_job(0.05 * number, service_s=service_s, part=1, cpu_s=cpu_s) for number in range(JOBS)]


def raced(*groups: tuple[dict[str, Any], list[dict[str, Any]]], **settings: Any) -> Run:
    """A race whose trials are those of each group, in three rounds."""
    pairs: list[Any] = []
    for fields, jobs in groups:
        for turn in range(ROUNDS):
            number = len(pairs) // 2
            began_at = 1000.0 + 10.0 * number
            trial = a_trial(**{"trial": number, "kind": Kind.LATENCY, "round": turn, "began_at": began_at, **fields})
            pairs += [trial, jobs]
    return a_run(*pairs, settings={"kind": "race", "app": APP, **settings})


def slowed(run: Run, disturbed: Iterable[int] = ()) -> Any:
    return slowed_tasks(run, set(disturbed))


def test_a_task_that_runs_four_times_as_long_beside_another_is_named_with_the_one_that_takes_the_cpu() -> None:
    # Of sixty values the 30th is the median, and its interval goes from the 22nd to the 39th: 10.7 to 11.2 ms alone,
    # 42.8 to 44.8 ms in the mix.
    (found,) = slowed(raced((OF_FETCH, fetches()), (OF_MIX, fetches(4.0) + shrinks())))
    assert (found.lane, found.task, found.percentile) == ("threads", "fetch", "p50")
    assert (found.alone_s, found.mixed_s) == (pytest.approx(0.0109), pytest.approx(0.0436))
    assert (found.times_low, found.times_high) == (pytest.approx(42.8 / 11.2), pytest.approx(44.8 / 10.7))
    assert found.longer == "run"
    assert (found.by, found.by_share) == ("shrink", pytest.approx(0.03 / 0.031))


def test_a_task_that_waits_for_slots_is_named_with_the_one_that_holds_them() -> None:
    mix = fetches(wait_s=0.1) + shrinks(service_s=0.5, cpu_s=0.0)
    (found,) = slowed(raced((OF_FETCH, fetches()), (OF_MIX, mix)))
    assert found.longer == "slot"
    # 20 times 0.5 s of shrink, and twice the sum of 10.0 to 11.9 ms of fetch, in each round.
    assert (found.by, found.by_share) == ("shrink", pytest.approx(10.0 / (10.0 + 0.219)))


def test_a_task_that_waits_although_a_slot_is_free_lacks_cpu_time() -> None:
    # On fifty slots none of the forty jobs has to wait for one.
    mix = fetches(wait_s=0.1) + shrinks(service_s=0.5, cpu_s=0.03)
    (found,) = slowed(raced(({**OF_FETCH, "slots": 50}, fetches()), ({**OF_MIX, "slots": 50}, mix)))
    assert found.longer == "node"
    assert (found.by, found.by_share) == ("shrink", pytest.approx(0.03 / 0.031))


def test_on_a_single_slot_a_job_that_waits_while_it_is_free_does_not_wait_for_it() -> None:
    # Each waits 20 ms and runs for 4 to 5 ms, 50 ms behind the one before it, which has long left the slot.
    alone = ({**OF_FETCH, "slots": 1}, fetches(0.4))
    mix = ({**OF_MIX, "slots": 1}, fetches(0.4, wait_s=0.02) + shrinks(service_s=0.001, cpu_s=0.001))
    (found,) = slowed(raced(alone, mix))
    assert found.longer == "node"


def test_jobs_that_a_task_starts_take_what_they_take_for_that_task() -> None:
    starts = [a_job(0.05 * number, service_s=0.001, part=1, children=[0.4], cpu_s=0.0) for number in range(JOBS)]
    (found,) = slowed(raced((OF_FETCH, fetches()), (OF_MIX, fetches(wait_s=0.1) + starts)))
    assert found.by == "shrink"
    assert found.by_share > 0.9


@pytest.mark.parametrize("times", [0.5, 1.0, 1.05, 1.12])
def test_one_that_is_not_shown_to_be_slower_by_more_than_a_tenth_is_not_named(times: float) -> None:
    assert slowed(raced((OF_FETCH, fetches()), (OF_MIX, fetches(times) + shrinks()))) == ()


def test_the_blame_is_left_open_where_the_cpu_time_of_jobs_is_not_known() -> None:
    mix = [*fetches(4.0), *shrinks(cpu_s=float("nan"))]
    mix = [{**job, "record": {**job["record"], "cpu_s": float("nan")}} for job in mix]
    (found,) = slowed(raced((OF_FETCH, fetches()), (OF_MIX, mix)))
    assert (found.by, found.by_share) == (None, None)


def test_a_task_that_had_a_lower_rate_alone_had_it_easier_and_is_not_compared() -> None:
    alone = {**OF_FETCH, "rate_per_s": 17.0}  # its part of 40/s is 20/s
    assert slowed(raced((alone, fetches()), (OF_MIX, fetches(4.0) + shrinks()))) == ()


def test_disturbed_trials_and_other_lanes_are_no_part_of_it() -> None:
    groups = [(OF_FETCH, fetches()), (OF_MIX, fetches(4.0) + shrinks())]
    assert slowed(raced(*groups), disturbed=range(3, 6)) == ()
    elsewhere = [({**OF_FETCH, "lane": "prefork"}, fetches()), groups[1]]
    assert slowed(raced(*elsewhere)) == ()


def test_the_demonstrations_own_jobs_have_no_mix_to_hurt() -> None:
    run = raced((OF_FETCH, fetches()), (OF_MIX, fetches(4.0) + shrinks()), app=None)
    assert slowed(run) == ()


def test_apart_a_task_is_compared_with_itself_on_one_lane() -> None:
    groups = [(OF_MIX, fetches(4.0) + shrinks()), ({**OF_MIX, "kind": Kind.APART}, fetches() + shrinks(0.015))]
    fetch, shrink = tasks_apart(raced(*groups, apart=[["shrink", "prefork"]]), set())
    assert (fetch.lane, fetch.task, fetch.taken_by, fetch.percentile) == ("threads", "fetch", "threads", "p50")
    assert (fetch.together_s, fetch.apart_s) == (pytest.approx(0.0436), pytest.approx(0.0109))
    assert (fetch.times_low, fetch.times_high) == (pytest.approx(10.7 / 44.8), pytest.approx(11.2 / 42.8))
    assert (shrink.task, shrink.taken_by) == ("shrink", "prefork")
    assert (shrink.times_low, shrink.times_high) == (pytest.approx(0.5), pytest.approx(0.5))


def test_nothing_is_told_of_what_was_not_tried_or_was_disturbed() -> None:
    groups = [(OF_MIX, fetches(4.0) + shrinks()), ({**OF_MIX, "kind": Kind.APART}, fetches() + shrinks())]
    assert tasks_apart(raced(*groups), set()) == ()
    assert tasks_apart(raced(*groups, apart=[["shrink", "prefork"]]), {3, 4, 5}) == ()
