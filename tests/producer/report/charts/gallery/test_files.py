"""The picture of open files: a line a process, against the time that its lane worked."""

from __future__ import annotations

from jobs import a_job, a_run
from soaks import a_process, table, trials_of, worked_s

from producer.analysis.summary import summarise
from producer.plan.lanes import parse_lanes
from producer.report.charts.gallery.files import files


def drawn(*processes: object) -> object:
    """Return the picture of a soak by what was sampled of its processes."""
    trials = trials_of("threads")
    parts = [part for trial in trials for part in (trial, [a_job(seq * 0.5) for seq in range(trial.jobs)])]
    settings = {"kind": "soak", "lanes": parse_lanes(["threads:2"], least=1)}
    run = a_run(*parts, settings=settings, processes=table(*processes))
    return files(summarise(run), run)


def test_a_process_that_opens_files_and_closes_none_rises() -> None:
    picture = drawn(a_process(10, files=lambda at_s: 10 + worked_s(at_s)))
    (line,) = picture.figure.data
    assert (line.y[0], line.y[-1]) == (10, 250)
    assert picture.shows == "threads: files leak."


def test_one_that_holds_as_many_as_at_first_is_told_with_how_many() -> None:
    picture = drawn(a_process(10), a_process(11, root=False, files=lambda _at_s: 30))
    assert [set(line.y) for line in picture.figure.data] == [{10}, {30}]
    assert picture.shows == "threads: at most 30 a process at the end."


def test_a_run_of_another_kind_is_told_how_to_get_one(sample: object) -> None:
    assert "poolrace soak" in files(*sample).missing
