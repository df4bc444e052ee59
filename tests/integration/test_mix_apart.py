"""A mix of which another lane takes a task: the same jobs at the same times, each on the node of its lane."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from producer.analysis.analyse import analyse
from producer.rundir.reader import read_run
from producer.rundir.schema import KEY
from producer.rundir.trials import Kind

APP = Path(__file__).parents[1] / "apps" / "crowded"
POOLRACE = str(Path(sys.executable).with_name("poolrace"))
LANES = ("--lane", "threads:2", "--lane", "prefork:2")
PATIENCE_S = 200
GENERATOR_LATE = 4


def race(*words):
    return subprocess.run(
        [POOLRACE, "race", "--app", "bakery:app", "--jobs", "jobs.jsonl", *LANES, *words],
        cwd=APP, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """A race of the mix with kneading apart: its summary and its run directory."""
    out = tmp_path_factory.mktemp("out")
    words = ("--workload", "mix", "--workload", "order", "--pairs", "2", "--duration", "0.5s", "--rate", "20/s")
    done = race(*words, "--apart", "knead=prefork", "--json", "--out", str(out))
    assert done.returncode in {0, GENERATOR_LATE}, done.stderr
    summary = json.loads(done.stdout)
    return summary, read_run(out / summary["run"]["directory"])


def trials(run, kind):
    found = [trial for trial in run.trials if trial.kind is kind and trial.workload == "mix"]
    return {(trial.lane, trial.round): trial for trial in found}


@pytest.mark.heavy
def test_only_the_lane_that_is_relieved_has_trials_apart(raced):
    _, run = raced
    assert {lane for lane, _ in trials(run, Kind.APART)} == {"threads"}


@pytest.mark.heavy
def test_each_task_runs_on_the_node_of_its_lane(raced):
    _, run = raced
    numbers = [trial.trial for trial in trials(run, Kind.APART).values()]
    jobs = run.records.filter(pl.col("trial").is_in(numbers)).join(run.sent.select(*KEY, "part"), on=KEY)
    parts = next(iter(trials(run, Kind.APART).values())).parts
    ran_on = {(parts[part], lane) for part, lane in jobs.select("part", "lane").iter_rows()}
    assert ran_on == {("knead", "prefork"), ("order", "threads")}
    assert jobs.height == run.sent.filter(pl.col("trial").is_in(numbers)).height > 0


@pytest.mark.heavy
def test_its_jobs_are_those_of_the_same_round_of_the_mix_due_at_the_same_times(raced):
    _, run = raced
    apart, together = trials(run, Kind.APART), trials(run, Kind.LATENCY)
    results = analyse(run.trials, run.sent, run.records, run.children).trials
    disturbed = {
        kind: {each.round for each in results if (each.kind, each.workload) == (kind, "mix") and each.disturbed}
        for kind in (Kind.APART, Kind.LATENCY)
    }
    # A disturbed round of the mix ends early; one of the mix apart is made up for by one more, with jobs of its own.
    alone = {turn for _, turn in apart.keys() - together.keys()} - disturbed[Kind.LATENCY]
    assert len(alone) <= len(disturbed[Kind.APART])
    assert apart.keys() & together.keys()
    for key in apart.keys() & together.keys():
        planned = [
            run.sent.filter(pl.col("trial") == each.trial).select("seq", "part", due_s=pl.col("due_at") - each.began_at)
            for each in (apart[key], together[key])
        ]
        assert planned[0].select("seq", "part").equals(planned[1].select("seq", "part"))
        assert planned[0]["due_s"].to_list() == pytest.approx(planned[1]["due_s"].to_list(), abs=1e-6)


@pytest.mark.heavy
def test_the_summary_has_each_task_together_and_apart(raced):
    summary, _ = raced
    assert {(each["lane"], each["task"], each["taken_by"]) for each in summary["apart"]} == {
        ("threads", "knead", "prefork"), ("threads", "order", "threads"),
    }  # fmt: skip
    assert summary["settings"]["race"]["apart"] == [["knead", "prefork"]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--apart", "kneed=prefork"), "no task 'kneed' in the jobs. Allowed: knead, order (did you mean knead?)."),
        (("--apart", "knead=prefrok"), "no lane 'prefrok'. Allowed: knead=threads, prefork (did you mean prefork?)."),
        (("--apart", "knead"), "no lane ''. Allowed: knead=threads, prefork."),
        (("--workload", "order", "--apart", "knead=prefork"), "there is no mix."),
    ],
)
def test_what_cannot_be_apart_is_refused_with_what_can(words, message, tmp_path):
    done = race(*words, "--out", str(tmp_path))
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr
    assert list(tmp_path.iterdir()) == []
