"""
The table of stages is the only one: on one run, whatever reads a stage finds the same durations.

The run has jobs that start others, so that service and sojourn differ with and without these. Every instant is exact in
binary and every figure is compared to the last digit.
"""

from types import SimpleNamespace

import numpy as np
import pytest
from jobs import BEGAN_AT, a_job, a_run, a_trial

from producer.analysis.early_stop import RunningFigures
from producer.analysis.latency import Latency, first_successes, latency
from producer.analysis.load import load_lanes
from producer.analysis.summary import summarise
from producer.plan.stages import STAGES
from producer.plan.thresholds import parse_threshold
from producer.report.charts.gallery.spectrum import spectrum
from producer.report.export.hgrm import stage_s
from producer.report.export.openmetrics import openmetrics
from producer.report.export.rows import Choice
from producer.report.plain import plain

TRIAL = a_trial(ended_at=BEGAN_AT + 64.0, planned_s=8.0, parts=("sleep",))
# Of each job: due, lag, in broker, waits for slot, service, and how long after it the last of its children ended.
JOBS = ((0.0, 0.5, 1.0, 2.0, 4.0, 8.0), (1.0, 0.25, 1.5, 1.0, 2.0, 0.0), (2.0, 0.125, 0.5, 4.0, 8.0, 2.0),
        (3.0, 0.0625, 0.25, 0.5, 1.0, 32.0))  # fmt: skip
EXPECTED_S = {
    "publish_lag": [0.5, 0.25, 0.125, 0.0625],
    "broker_wait": [1.0, 1.5, 0.5, 0.25],
    "slot_wait": [2.0, 1.0, 4.0, 0.5],
    "queue_wait": [3.0, 2.5, 4.5, 0.75],
    "service": [4.0, 2.0, 8.0, 1.0],
    "service_with_children": [12.0, 2.0, 10.0, 33.0],
    "sojourn_without_children": [7.5, 4.75, 12.625, 1.8125],
    "sojourn_from_sent": [15.0, 4.5, 14.5, 33.75],
    "sojourn": [15.5, 4.75, 14.625, 33.8125],
}


def run():
    jobs = [
        a_job(
            due_s, lag_s=lag_s, broker_s=broker_s, wait_s=wait_s, service_s=service_s, cpu_s=0.5,
            # Two children: one ends long before the other.
            children=[part * after_s for part in (0.25, 1.0) if after_s],
        )
        for due_s, lag_s, broker_s, wait_s, service_s, after_s in JOBS
    ]  # fmt: skip
    return a_run(TRIAL, jobs, settings={"thresholds": [f"max({name}) < 1ms" for name in STAGES]})


RUN = run()


def test_the_table_names_the_fields_of_a_latency():
    assert set(STAGES) == set(EXPECTED_S) == set(Latency.__dataclass_fields__) - {"cpu", "negative"}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_what_its_name_says(name):
    jobs = RUN.sent if STAGES[name].of_all_sent else first_successes(RUN.records, RUN.children).sort("seq")
    assert STAGES[name].durations_s(jobs).tolist() == EXPECTED_S[name]


@pytest.mark.parametrize("name", STAGES)
def test_figures_thresholds_and_exports_agree(name):
    took_s = EXPECTED_S[name]
    found = getattr(latency(first_successes(RUN.records, RUN.children), RUN.sent), name)
    assert (found.max, found.mean) == (max(took_s), np.mean(took_s))
    (lane,) = load_lanes(RUN)
    judged = {each.threshold: each for each in lane.thresholds}
    assert judged[f"max({name}) < 1ms"].measured == max(took_s)
    assert judged[f"max({name}) < 1ms"].since_s == 0.0
    assert stage_s(RUN, Choice(), name).tolist() == sorted(took_s)


@pytest.mark.parametrize("name", STAGES)
def test_a_load_that_runs_finds_what_its_report_will(name):
    figures = RunningFigures(
        [parse_threshold(f"max({name}) < 1ms")], slots=2, counts=lambda due_s: np.full(len(due_s), fill_value=True)
    )
    figures.add(
        SimpleNamespace(began_at=BEGAN_AT, of=4, records=RUN.records, children=RUN.children, samples=RUN.samples)
    )
    assert figures.broken("threads").measured == max(EXPECTED_S[name])


def test_every_histogram_sums_up_the_stage_that_it_is_named_after():
    text = "".join(openmetrics(RUN, Choice()))
    sums = {
        line.split("_seconds_sum")[0].removeprefix("poolrace_run_"): float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if "_seconds_sum" in line
    }
    assert set(sums) >= {"sojourn", "queue_wait"}
    assert sums == {name: sum(EXPECTED_S[name]) for name in sums}


def test_the_spectrum_draws_the_stages():
    lines = {line.name: max(line.y) / 1000 for line in spectrum(plain(summarise(RUN)), RUN).figure.data}
    names = {stage.title: name for name, stage in STAGES.items()}
    assert len(lines) >= 4
    assert lines == {line: max(EXPECTED_S[names[line.removeprefix("threads: ")]]) for line in lines}
