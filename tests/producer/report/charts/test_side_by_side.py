"""Two runs as one with twice the lanes: each lane beside itself, and nothing of one run counted as the other's."""

from dataclasses import replace

import polars as pl
import pytest
from msgspec import to_builtins
from sample_run import make_run

from producer.analysis.compare import compare_runs
from producer.analysis.summary import summarise
from producer.report.charts.gallery import pictures_of_both
from producer.report.charts.side_by_side import side_by_side
from producer.report.plain import plain
from producer.rundir.events import Event, EventKind
from producer.rundir.reader import read_run


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Threads do 40 jobs a second in both; prefork 20, and then 30."""
    parent = tmp_path_factory.mktemp("two")
    return [
        make_run(parent, "first", speeds={"threads": 2.0}),
        make_run(parent, "second", speeds={"threads": 2.0, "prefork": 1.5}),
    ]


@pytest.fixture(scope="module")
def both(paths):
    return [plain(summarise(read_run(path))) for path in paths], [read_run(path) for path in paths]


def test_each_lane_stands_beside_itself(both):
    summary, _ = side_by_side(*both)
    assert [lane["key"] for lane in summary["lanes"]] == [
        "prefork before", "prefork after", "threads before", "threads after",
    ]  # fmt: skip
    (workload,) = summary["workloads"]
    assert [(lane["lane"], lane["capacity_per_s"]["median"]) for lane in workload["lanes"]] == [
        ("prefork before", pytest.approx(20, rel=0.02)), ("prefork after", pytest.approx(30, rel=0.02)),
        ("threads before", pytest.approx(40, rel=0.02)), ("threads after", pytest.approx(40, rel=0.02)),
    ]  # fmt: skip


def test_every_trial_keeps_its_own_jobs(both):
    _, run = side_by_side(*both)
    numbers = [trial.trial for trial in run.trials]
    assert len(set(numbers)) == len(numbers) == sum(len(each.trials) for each in both[1])
    assert run.records.height == sum(each.records.height for each in both[1])
    for trial in run.trials:
        assert set(run.records.filter(pl.col("trial") == trial.trial)["lane"]) == {trial.lane}
        assert run.sent.filter(pl.col("trial") == trial.trial).height == trial.jobs


def test_what_happened_to_a_lane_stays_with_it(both):
    summaries, runs = both
    lost, of_none = (Event(at=1.0, lane=lane, node="", kind=EventKind.LOST, detail="") for lane in ("threads", ""))
    _, run = side_by_side(summaries, [replace(runs[0], events=[lost]), replace(runs[1], events=[lost, of_none])])
    assert [event.lane for event in run.events] == ["threads before", "threads after", ""]


def test_the_runs_themselves_stay_as_they_were(both):
    before = [run.records.clone() for run in both[1]], [dict(summary) for summary in both[0]]
    side_by_side(*both)
    assert all(run.records.equals(kept) for run, kept in zip(both[1], before[0], strict=True))
    assert [dict(summary) for summary in both[0]] == before[1]


def test_a_lane_that_one_run_lacks_is_shown_alone(both):
    first, second = both[0]
    fewer = {**second, "workloads": [{**second["workloads"][0], "lanes": second["workloads"][0]["lanes"][:1]}]}
    summary, _ = side_by_side([first, fewer], both[1])
    assert [lane["lane"] for lane in summary["workloads"][0]["lanes"]] == [
        "prefork before", "prefork after", "threads before",
    ]  # fmt: skip


def test_pictures_show_the_lanes_of_both(both, paths):
    drawn = {
        picture.key: picture for picture in pictures_of_both(to_builtins(compare_runs(*map(read_run, paths))), *both)
    }
    assert list(drawn) == ["changes", "throughput", "spectrum", "lanes", "memory", "ping", "cost"]
    assert [row[1] for row in drawn["cost"].table.rows] == [
        "prefork before", "prefork after", "threads before", "threads after",
    ]  # fmt: skip
    assert all(picture.figure is not None for picture in drawn.values())


def test_what_changed_is_told_with_its_interval_and_the_rest_is_counted(both, paths):
    changed = pictures_of_both(to_builtins(compare_runs(*map(read_run, paths))), *both)[0]
    assert changed.shows.startswith(
        "sleep on prefork, capacity: faster, 1.50 (1.50 to 1.50); sleep on prefork, latency"
    )
    assert changed.shows.endswith("2 of 4 figures show no difference, and 0 are open.")
    assert [row[:3] for row in changed.table.rows] == [
        ["sleep", "prefork", "capacity"], ["sleep", "threads", "capacity"],
        ["sleep", "prefork", "latency p50"], ["sleep", "threads", "latency p50"],
    ]  # fmt: skip


def test_runs_of_too_few_pairs_say_what_is_missing(tmp_path):
    paths = [make_run(tmp_path, name, pairs=2) for name in ("first", "second")]
    summaries, runs = [plain(summarise(read_run(path))) for path in paths], [read_run(path) for path in paths]
    changed = pictures_of_both(to_builtins(compare_runs(*map(read_run, paths))), summaries, runs)[0]
    assert changed.figure is None
    assert "3 pairs or more" in changed.missing
