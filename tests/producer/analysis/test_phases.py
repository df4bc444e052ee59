"""The phases of a load by time, as far as it came."""

import polars as pl
import pytest
from jobs import a_run, a_trial

from producer.analysis.phases import PhaseWindow, phase_windows, whole_window
from producer.plan.run_settings import PlannedPhase
from producer.rundir.trials import Kind

SETTLE = PlannedPhase(name="settle", rate="1/s", duration_s=2.0, mix={"cpu": 1.0}, counts=False)
STEADY = PlannedPhase(name="steady", rate="1/s", duration_s=3.0, mix={"cpu": 1.0}, counts=True)


def windows(*phases, planned_s=None, kind=Kind.LOAD):
    trial = a_trial(kind=kind, began_at=100.0, ended_at=104.5, planned_s=planned_s)
    return phase_windows(a_run(trial, [], settings={"phases": phases}), trial), whole_window(trial)


def spans(found):
    return [(each.name, each.begin_s, each.end_s, each.counts, each.alone) for each in found]


def test_phases_follow_one_another_to_the_end_of_the_plan():
    found, whole = windows(SETTLE, STEADY, planned_s=5.0)
    assert spans(found) == [("settle", 0.0, 2.0, False, False), ("steady", 2.0, 5.0, True, False)]
    assert (whole.begin_s, whole.end_s) == (0.0, 5.0)


@pytest.mark.parametrize(("planned_s", "ends_s"), [(1.5, [1.5]), (2.0, [2.0]), (2.5, [2.0, 2.5]), (None, [2.0, 4.5])])
def test_a_load_that_ended_early_has_those_that_it_reached(planned_s, ends_s):
    found, _ = windows(SETTLE, STEADY, planned_s=planned_s)
    assert [each.end_s for each in found] == ends_s
    assert not any(each.alone for each in found)


def test_the_only_phase_is_alone():
    (found,), _ = windows(STEADY, planned_s=3.0)
    assert found.alone


def test_what_is_no_load_has_no_phases():
    assert windows(SETTLE, STEADY, kind=Kind.WARM_UP)[0] == []
    assert windows()[0] == []


def test_a_run_of_another_kind_has_no_phases():
    trial = a_trial(kind=Kind.LATENCY)
    assert phase_windows(a_run(trial, [], settings={"kind": "race"}), trial) == []


def test_a_job_is_in_the_phase_that_begins_as_it_is_due():
    jobs = pl.DataFrame({"offset_s": [-0.1, 0.0, 1.9, 2.0]})
    window = PhaseWindow(name="settle", begin_s=0.0, end_s=2.0)
    assert jobs.filter(window.holds())["offset_s"].to_list() == [0.0, 1.9]
