"""
The spectrum tells lanes apart without colour, calls a lane of a sweep by one name at every value, and of a search
draws what was held.
"""

from dataclasses import replace
from types import SimpleNamespace

from nouns import limit_lane
from sweeps import planned, with_plan

from producer.analysis.limit import LimitSummary
from producer.report.charts.gallery.spectrum import spectrum
from producer.rundir.trials import Kind


def test_lanes_differ_by_their_mark_and_stages_by_their_dash(sample):
    lines = spectrum(*sample).figure.data
    assert len({(line.marker.symbol, line.line.dash) for line in lines}) == len(lines) == 8


def test_a_lane_of_a_sweep_has_one_look_and_one_place_in_the_legend(sample):
    summary, run = sample
    found = spectrum(with_plan(summary, planned("1", prefork="pool", threads="pool")), run)
    sojourns = [line for line in found.figure.data if line.name == "pool: sojourn"]
    assert [line.showlegend for line in sojourns] == [True, False]
    assert len({line.marker.symbol for line in sojourns}) == 1


def test_jobs_of_a_lead_in_are_not_drawn(sample):
    """Three trials of 12 jobs, all due as they begin; the first has a lead-in."""
    summary, run = sample
    first = next(trial.trial for trial in run.trials if trial.kind is Kind.LATENCY and trial.lane == "prefork")
    trials = [replace(trial, lead_in_s=0.5) if trial.trial == first else trial for trial in run.trials]
    found = spectrum(summary, replace(run, trials=trials))
    assert [len(line.y) for line in found.figure.data if line.name.endswith(": sojourn")] == [24, 36]


def test_of_a_search_the_probe_at_the_highest_rate_that_passed_is_drawn(sample):
    summary, run = sample
    trials = [replace(trial, kind=Kind.PROBE) for trial in run.trials if trial.lane == "threads"]
    probes = [
        SimpleNamespace(trial=trial.trial, rate_per_s=rate, passed=rate < 25)
        for trial, rate in zip(trials, (10.0, 20.0, 30.0, 15.0, 40.0, 12.0), strict=True)
    ]
    found = replace(summary, limit=LimitSummary(lanes=(limit_lane("threads", 25.0, 20.0, 30.0, probes),)))
    lines = spectrum(found, replace(run, trials=trials)).figure.data
    held = run.records.filter(run.records["trial"] == trials[1].trial).height
    assert {line.name.partition(":")[0] for line in lines} == {"threads"}
    assert {len(line.x) for line in lines} == {held}


def test_of_a_search_in_which_nothing_passed_nothing_is_drawn(sample):
    summary, run = sample
    trials = [replace(trial, kind=Kind.PROBE) for trial in run.trials]
    probes = [SimpleNamespace(trial=trial.trial, rate_per_s=1.0, passed=False) for trial in trials]
    found = replace(summary, limit=LimitSummary(lanes=(limit_lane("threads", None, None, 1.0, probes),)))
    assert "No job was done at a held rate" in spectrum(found, replace(run, trials=trials)).missing
