"""The run directory that the benchmark of the analysis makes up is one that Poolrace can read."""

from benchmarks.analysis import LANES, PAIRS, make_run
from producer.analysis.summary import summarise
from producer.rundir.reader import read_run


def test_a_made_up_run_is_read_and_all_its_jobs_are_done(tmp_path):
    run = read_run(make_run(tmp_path, 2_000))
    assert run.records.height > 1_500
    assert run.pings
    assert {trial.lane for trial in run.trials} == {lane.key for lane in LANES}
    assert {trial.round for trial in run.trials} == set(range(PAIRS))
    summary = summarise(run)
    assert summary["settlement"]["done"] == summary["settlement"]["sent"] == run.sent.height
