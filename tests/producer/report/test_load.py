"""What a report of a load says: rates by lane, phase and workload, what was changed, and an early end."""

from dataclasses import replace

import pytest
from nouns import figures_of, load_lane, percentiles_of, shallow

from producer.analysis.load import JudgedThreshold, LoadPhase, LoadSummary, LoadWorkload
from producer.analysis.settle import Settlement
from producer.analysis.summary import summarise
from producer.plan.script import Change
from producer.report.document import document
from producer.report.load import judged_sentence
from producer.report.parts import Prose, Table
from producer.rundir.manifest import Aborted
from producer.rundir.reader import read_run

KEPT = JudgedThreshold(threshold="lost == 0", measured=0, limit=0.0, kept=True, unit="jobs", since_s=None)
DONE = Settlement(sent=1500, done=1490, failed=10)
TIMES = percentiles_of(0.1, p99=0.25, max=0.5)
FIGURES = {name: value for name, value in shallow(figures_of(DONE, sojourn=TIMES, finished_per_s=0.5)).items()
           if name != "memory_per_slot_bytes"}  # fmt: skip
STEADY = LoadPhase(**FIGURES, phase="steady", counts=True)
WARM_UP = LoadPhase(**FIGURES, phase="warm-up", counts=False)
NEVER = LoadPhase(**{**FIGURES, "settlement": Settlement(sent=0)}, phase="drain", counts=True)


@pytest.fixture
def said(run_maker):
    """The parts of the report on a load, by the first words of their titles."""
    summary = summarise(read_run(run_maker(settings={"kind": "load", "profile": "10/s"})))

    def parts(*lanes, aborted=None, changes=None):
        load = LoadSummary(lanes=lanes, aborted=aborted, changes=changes or {})
        return {part.title.partition(":")[0]: part for part in document(replace(summary, load=load))}

    return parts


def rows(part):
    return [dict(zip(part.columns, row, strict=True)) for row in part.rows]


def test_lanes_are_loaded_one_after_the_other_and_the_heading_says_so(said):
    heading = next(iter(said().values()))
    assert heading.title.startswith("Load of 2023-11-14")
    assert "acks early), then threads (2 slots" in heading.lines[0]
    assert ", load 10/s, poisson arrivals, seed 1." in heading.lines[0]


def test_each_lane_has_its_rates_and_what_became_of_its_jobs(said):
    lane = replace(load_lane("threads", settlement=DONE), offered_per_s=12.0, finished_per_s=0.5)
    assert rows(said(lane)["Load"]) == [
        {
            "lane": "threads", "offered/s": "12.0", "sent/s": "1.00", "finished/s": "0.5", "jobs": "1,500",
            "done": "1,490", "failed": "10", "lost": "0", "refused": "0",
        }
    ]  # fmt: skip


def test_the_answer_says_first_which_thresholds_were_broken(said):
    broken = replace(KEPT, kept=False, measured=3)
    lanes = [load_lane("prefork", thresholds=(KEPT,)), load_lane("threads", thresholds=(broken,))]
    parts = list(said(*lanes).values())
    assert [part.title.partition(":")[0] for part in parts[1:3]] == ["Thresholds", "Load"]
    assert [line.split(":")[0] for line in parts[1].lines] == ["threads", "prefork"]


def test_phases_have_a_row_each_and_those_without_a_job_have_none(said):
    found = rows(said(load_lane("threads", phases=(WARM_UP, STEADY, NEVER)))["By phase"])
    assert [row["phase"] for row in found] == ["warm-up (does not count)", "steady"]
    assert {name: found[1][name] for name in ("offered/s", "finished/s", "p50", "p99", "max", "jobs", "failed")} == {
        "offered/s": "1.00", "finished/s": "0.5", "p50": "100 [-, -]", "p99": "250 [-, -]", "max": "500",
        "jobs": "1,500", "failed": "10",
    }  # fmt: skip


def test_workloads_have_a_row_each_where_there_are_several(said):
    one, other = (LoadWorkload(**FIGURES, workload=name) for name in ("cpu", "io"))
    assert "By workload" not in said(load_lane("threads", workloads=(one,)))
    found = rows(said(load_lane("threads", workloads=(one, other)))["By workload"])
    assert [(row["lane"], row["workload"]) for row in found] == [("threads", "cpu"), ("threads", "io")]


def test_what_was_changed_is_said_lane_by_lane_with_its_instant(said):
    changes = (Change(at_s=2.0, rate_per_s=80.0), Change(at_s=5.25, paused=True))
    changed = said(changes={"prefork": changes, "threads": changes})["Changed while it ran"]
    assert changed.lines == [
        "prefork: at 2.0 s 80/s; at 5.2 s paused.",
        "threads: at 2.0 s 80/s; at 5.2 s paused.",
    ]


def test_lanes_that_were_changed_differently_did_not_get_the_same_jobs(said):
    changed = said(changes={"prefork": (), "threads": (Change(at_s=1.0, mix={"cpu": 1.0, "io": 3.0}),)})
    first, second = changed["Changed while it ran"].lines
    assert first == "threads: at 1.0 s the script's rate, cpu=1,io=3."
    assert second.startswith("Lanes did not get the same jobs")


def test_an_early_end_comes_before_the_figures(said):
    parts = said(load_lane("prefork"), aborted=Aborted(lane="prefork", at_s=12.4, why="lost == 0"))
    assert list(parts)[1:3] == ["Ended early", "Load"]
    (line,) = parts["Ended early"].lines
    assert line == (
        "prefork: lost == 0 was broken after 12 s; no more was sent from then on, and the lanes after it were not "
        "loaded."
    )


def test_a_load_that_nothing_happened_to_has_neither(said):
    assert {"Ended early", "Changed while it ran", "By phase", "Thresholds"}.isdisjoint(said(load_lane("threads")))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "lost == 0: kept, 0 against 0 jobs."),
        ({"kept": False, "measured": 3, "since_s": 12.0}, "lost == 0: BROKEN, 3 against 0 jobs; since second 12."),
        ({"kept": False, "measured": None}, "lost == 0: BROKEN, unknown against 0 jobs."),
    ],
)
def test_a_threshold_is_said_with_by_how_much_and_since_when(said, changes, sentence):
    judged = replace(KEPT, **changes)
    assert judged_sentence(judged) == sentence
    assert said(load_lane("threads", thresholds=(judged,)))["Thresholds"].lines == [f"threads: {sentence}"]


def test_every_table_has_as_many_cells_as_columns_and_all_of_it_is_text(said):
    parts = said(load_lane("threads", phases=(WARM_UP, STEADY), thresholds=(KEPT,))).values()
    for part in parts:
        if isinstance(part, Table):
            assert {len(row) for row in part.rows} <= {len(part.columns)}
            assert all(isinstance(cell, str) for row in part.rows for cell in row)
        assert not isinstance(part, Prose) or all(isinstance(line, str) for line in part.lines)
