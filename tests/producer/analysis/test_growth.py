"""By how much processes grow, and while which jobs: of processes that are made up by hand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from jobs import BEGAN_AT, a_job, a_run, a_trial
from soaks import LEVEL, MIB, OPTIONS, a_process, noisy, table, trials_of, worked_s

from producer.analysis.growth import Growing, Growth, Work, followed, growths_of, surely, tasks_of
from producer.analysis.trend import Trend

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

TRIALS = trials_of("threads")


def found(processes: pl.DataFrame, what: str = "memory", *, root: bool = True) -> Growth:
    """Return the growth of one thing."""
    work = Work(TRIALS)
    growths = growths_of(followed(processes, work), work, OPTIONS)
    return next(each for each in growths if each.what == what and each.root is root)


def test_work_is_the_time_of_the_trials_alone() -> None:
    work = Work([a_trial(began_at=10.0, ended_at=14.0), a_trial(began_at=20.0, ended_at=21.0)])
    assert work.total_s == 5.0
    assert work.until_s(np.array([5.0, 10.0, 12.0, 17.0, 20.5, 30.0])).tolist() == [0.0, 0.0, 2.0, 4.0, 4.5, 5.0]


def test_growth_is_told_by_the_hour_of_work_and_not_of_the_clock() -> None:
    grown = found(table(a_process(10, held=lambda at_s: LEVEL + 10_000 * worked_s(at_s))))
    assert grown.per_h == pytest.approx(36e6, rel=0.01)
    assert grown.growing is Growing.LEAK
    assert grown.last > grown.first


def test_what_stays_is_no_leak() -> None:
    steady = found(table(a_process(10, held=noisy(20_000))))
    assert steady.growing is Growing.NO_LEAK
    assert steady.high_per_h is not None
    assert 0 < steady.high_per_h < OPTIONS.tolerated_bytes_per_h


def test_of_what_is_too_noisy_nothing_is_said_but_how_long_it_would_take() -> None:
    grown = found(table(a_process(10, held=noisy(2 * MIB))))
    assert grown.growing is Growing.UNKNOWN
    assert grown.needed_s is not None
    assert grown.needed_s > OPTIONS.for_s


def test_what_fills_a_cache_grows_at_first_and_is_no_leak() -> None:
    filled = found(table(a_process(10, held=lambda at_s: LEVEL + min(40 * MIB, 300_000 * worked_s(at_s)))))
    assert filled.slows
    assert filled.growing is Growing.UNKNOWN


def test_what_grows_in_the_first_quarter_alone_is_no_growth() -> None:
    filled = found(table(a_process(10, held=lambda at_s: LEVEL + min(20 * MIB, 400_000 * worked_s(at_s)))))
    assert filled.per_h == pytest.approx(0.0, abs=1.0)
    assert filled.growing is Growing.NO_LEAK


def test_children_are_told_as_one_of_them_on_average() -> None:
    fast = a_process(11, root=False, held=lambda at_s: LEVEL + 20_000 * worked_s(at_s))
    slow = a_process(12, root=False, held=lambda _at_s: 2 * LEVEL)
    grown = found(table(a_process(10), fast, slow), root=False)
    assert grown.processes == 2
    assert grown.per_h == pytest.approx(36e6, rel=0.01)


def test_a_child_that_has_replaced_another_is_not_followed() -> None:
    ended = a_process(11, root=False, until_s=150.0)
    came = a_process(12, root=False, begin_s=152.0)
    work = Work(TRIALS)
    assert [each.root for each in followed(table(a_process(10), ended, came), work)] == [True]


def test_files_that_are_never_closed_are_a_leak_though_they_are_few() -> None:
    grown = found(table(a_process(10, files=lambda at_s: 10 + worked_s(at_s) / 20)), "files")
    assert grown.growing is Growing.LEAK
    assert grown.per_h == pytest.approx(180, rel=0.05)


def test_a_process_is_followed_however_seldom_it_is_sampled() -> None:
    samples = a_process(10, held=lambda at_s: LEVEL + 50_000 * worked_s(at_s))[::9]
    grown = found(table(samples))
    assert grown.growing is Growing.LEAK
    assert grown.per_h == pytest.approx(180e6, rel=0.1)


def test_what_the_system_does_not_tell_is_left_out() -> None:
    processes = table(a_process(10)).with_columns(rss_bytes=None)
    work = Work(TRIALS)
    assert {each.what for each in growths_of(followed(processes, work), work, OPTIONS)} == {"files", "sockets"}


@pytest.mark.parametrize(
    ("low", "high", "growing"),
    [(1.0, 3.0, Growing.NO_LEAK), (3.5, 5.0, Growing.UNKNOWN), (4.5, 6.0, Growing.LEAK), (None, None, Growing.UNKNOWN)],
)
def test_an_interval_on_one_side_of_what_is_tolerated_decides(
    low: float | None, high: float | None, growing: Growing
) -> None:
    assert surely(Trend(slope=4.2, low=low, high=high), 4.0) is growing


def rising_at(*jumps: tuple[float, float], slope: float = 0.0) -> Callable[[float], float]:
    """Return what a process holds that gains so many MiB after so many seconds of work, and some in each second."""
    return lambda at_s: (
        LEVEL + MIB * (slope * worked_s(at_s) + sum(mib for after_s, mib in jumps if worked_s(at_s) >= after_s))
    )


def test_what_grew_in_two_jumps_is_no_leak_that_is_known() -> None:
    # 3.7 MiB in three minutes are 73 in an hour; between the jumps there is nothing.
    grown = found(table(a_process(10, held=rising_at((132, 1.83), (180, 1.83)))))
    assert grown.growing is Growing.UNKNOWN
    assert grown.per_h == pytest.approx(0.0, abs=1.0)
    assert [each.by / MIB for each in grown.jumps] == [pytest.approx(1.83), pytest.approx(1.83)]
    # A block has 7.5 s.
    assert [each.after_s for each in grown.jumps] == [pytest.approx(132, abs=7.5), pytest.approx(180, abs=7.5)]
    assert grown.needed_s == pytest.approx(6.68 / 2 * OPTIONS.for_s, rel=0.01)


def test_noise_between_jumps_may_need_longer_than_jumps_do() -> None:
    def with_slope(mib_per_s: float) -> Growth:
        rising, noise = rising_at((150, 20.0), slope=mib_per_s), noisy(MIB, level=0)
        return found(table(a_process(10, held=lambda at_s: rising(at_s) + noise(at_s))))

    # Between its jumps it grows by hardly more than is tolerated, so that only very much time would tell.
    away = OPTIONS.tolerated_bytes_per_h - with_slope(0.0).per_h
    grown = with_slope(1.01 * away / MIB / 3600)
    assert (grown.growing, len(grown.jumps)) == (Growing.UNKNOWN, 1)
    assert grown.needed_s is not None
    assert grown.needed_s > 1.5 * 6.68 * OPTIONS.for_s


def test_a_leak_is_found_though_a_jump_is_beside_it_and_told_without_it() -> None:
    rising, noise = rising_at((150, 20.0), slope=0.02), noisy(MIB / 10, level=0)
    grown = found(table(a_process(10, held=lambda at_s: rising(at_s) + noise(at_s))))
    assert grown.growing is Growing.LEAK
    assert grown.per_h / MIB == pytest.approx(72, rel=0.05)
    assert len(grown.jumps) == 1


def test_a_leak_that_comes_in_chunks_is_a_leak() -> None:
    grown = found(table(a_process(10, held=rising_at(*((10 + 20 * number, 1.0) for number in range(12))))))
    assert grown.growing is Growing.LEAK
    assert grown.jumps == ()


def test_a_jump_in_the_first_quarter_is_of_what_fills_then() -> None:
    grown = found(table(a_process(10, held=rising_at((50, 20.0)))))
    assert (grown.growing, grown.jumps) == (Growing.NO_LEAK, ())


def test_memory_that_is_filled_and_freed_does_not_jump() -> None:
    grown = found(table(a_process(10, held=lambda at_s: LEVEL + 8 * MIB * (worked_s(at_s) / 30 % 1.0))))
    assert grown.growing is not Growing.LEAK
    assert grown.jumps == ()


def test_each_process_is_judged_by_its_own_jumps() -> None:
    # Together they grow six times, as a leak would.
    children = [
        a_process(11 + number, root=False, held=rising_at((80 + 20 * number, 3.0), (140 + 20 * number, 3.0)))
        for number in range(3)
    ]
    grown = found(table(a_process(10), *children), root=False)
    assert grown.growing is Growing.UNKNOWN
    assert [each.process for each in grown.jumps] == [0, 1, 2, 0, 1, 2]
    assert grown.needed_s == pytest.approx(6.68 / 2 * OPTIONS.for_s, rel=0.01)


def test_files_that_were_opened_at_once_are_jumps_too() -> None:
    grown = found(table(a_process(10, files=lambda at_s: 10 + 5 * (worked_s(at_s) > 120))), "files")
    assert grown.growing is Growing.UNKNOWN
    assert [each.by for each in grown.jumps] == [pytest.approx(5.0)]


def of_tasks(names: Sequence[str], per_job: dict[str, float]) -> dict[str, tuple[float, float | None]]:
    """Return by how much processes grow with a job of each task, and the lower end, where tasks take turns."""
    turns = [(trial, names[number % len(names)], number // len(names)) for number, trial in enumerate(TRIALS)]
    trials = [a_trial(**{**_fields(trial), "workload": name, "round": turn}) for trial, name, turn in turns]
    gained = {trial.trial: per_job[name] * trial.jobs for trial, name, _ in turns}

    def held(at_s: float) -> float:
        at = BEGAN_AT + at_s
        parts = [min(1.0, max(0.0, (at - t.began_at) / (t.ended_at - t.began_at))) * gained[t.trial] for t in trials]
        return LEVEL + sum(parts)

    run = a_run(*(part for trial in trials for part in (trial, [a_job(0.1 * seq) for seq in range(trial.jobs)])))
    work = Work(trials)
    processes = followed(table(a_process(10, held=held)), work)
    return {each.workload: (each.bytes_per_job, each.low) for each in tasks_of(run, processes, trials, work)}


def _fields(trial: object) -> dict[str, object]:
    return {name: getattr(trial, name) for name in ("trial", "kind", "lane", "jobs", "began_at", "ended_at")}


def test_growth_has_the_name_of_the_task_that_ran() -> None:
    grown = of_tasks(["clean", "leaky"], {"clean": 0.0, "leaky": 50_000.0})
    assert grown == {"clean": (0.0, 0.0), "leaky": (50_000.0, 50_000.0)}


def test_two_rounds_have_no_interval() -> None:
    grown = of_tasks([f"task {number}" for number in range(10)], {f"task {number}": 1.0 for number in range(10)})
    assert {low for _, low in grown.values()} == {None}


def test_rest_is_between_a_trial_and_its_neighbour() -> None:
    work = Work([a_trial(began_at=10.0, ended_at=14.0), a_trial(began_at=20.0, ended_at=21.0)])
    edges = (10.0, 14.0, 20.0, 21.0)
    assert [work.rest_around(edge) for edge in edges] == [
        (-math.inf, 10.0),
        (14.0, 20.0),
        (14.0, 20.0),
        (21.0, math.inf),
    ]


def test_a_lane_that_never_rests_grows_between_two_samples() -> None:
    trials = [
        a_trial(
            trial=n, workload="ab"[n % 2], round=n // 2, began_at=BEGAN_AT + 9.0 * n, ended_at=BEGAN_AT + 9.0 * (n + 1)
        )
        for n in range(30)
    ]
    run = a_run(*(part for trial in trials for part in (trial, [a_job()] * 9)))
    work = Work(trials)
    rising = followed(table(a_process(10, held=lambda at_s: LEVEL + 1_000 * at_s)), work)
    for grown in tasks_of(run, rising, trials, work):
        assert grown.bytes_per_job == pytest.approx(1_000, rel=0.15)


def test_a_gain_that_is_tiny_is_no_leak_however_sure_it_is() -> None:
    grown = found(table(a_process(10, held=lambda at_s: LEVEL + 3_000 * worked_s(at_s))))
    assert grown.low_per_h is not None
    assert grown.low_per_h > OPTIONS.tolerated_bytes_per_h
    assert grown.growing is Growing.UNKNOWN
