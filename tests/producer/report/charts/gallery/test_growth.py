"""The picture of growth: a line a process, against the time that its lane worked."""

from __future__ import annotations

import pytest
from jobs import a_job, a_run
from soaks import LEVEL, MIB, a_process, table, trials_of, worked_s

from producer.analysis.summary import summarise
from producer.plan.lanes import parse_lanes
from producer.report.charts.gallery.growth import growth


def drawn(processes: object) -> object:
    """Return the picture of a soak by what was sampled of its processes."""
    trials = trials_of("threads")
    parts = [part for trial in trials for part in (trial, [a_job(seq * 0.5) for seq in range(trial.jobs)])]
    settings = {"kind": "soak", "lanes": parse_lanes(["threads:2"], least=1)}
    run = a_run(*parts, settings=settings, processes=processes)
    return growth(summarise(run), run)


def test_each_process_is_a_line_over_the_minutes_of_work_from_what_it_held_at_first() -> None:
    rising = a_process(10, held=lambda at_s: LEVEL + MIB * worked_s(at_s) / 60)
    level = a_process(11, root=False)
    main, child = drawn(table(rising, level)).figure.data
    assert (main.name, child.name) == ("threads, main process", "threads, a child")
    assert main.y[0] == 0.0
    assert main.x[-1] == pytest.approx(4.0)
    assert main.y[-1] == pytest.approx(4.0)
    assert set(child.y) == {0.0}


def test_its_words_are_the_verdict_and_its_table_the_growth() -> None:
    picture = drawn(table(a_process(10)))
    assert picture.shows == "threads: no leak in 4.0 minutes of work."
    assert [row[:2] for row in picture.table.rows] == [["threads", "main"]] * 3


def test_jumps_are_told_beside_the_verdict() -> None:
    picture = drawn(table(a_process(10, held=lambda at_s: LEVEL + 2 * MIB * (worked_s(at_s) >= 150))))
    assert picture.shows == (
        "threads: cannot say in 4.0 minutes of work. Memory of the main process grew in 1 jump, by 2.00 MiB after 2.5 "
        "minutes of work, and besides by 0.0 MiB an hour."
    )


def test_a_run_of_another_kind_is_told_how_to_get_one(sample: object) -> None:
    assert "poolrace soak" in growth(*sample).missing
