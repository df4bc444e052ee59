"""The spectrum tells lanes apart without colour, and calls a lane of a sweep by one name at every value."""

from dataclasses import replace

from sweeps import planned, with_plan

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
