"""A load on real nodes: what is offered arrives on every lane, and a broken threshold is told by the exit code."""

import json
from pathlib import Path

from integration.commands import load as read_json
from integration.commands import poolrace

from producer.rundir import read_run
from producer.trials import Kind

LOAD = (
    "load", "--concurrency", "2", "--rate", "variable 40:1s,10:1s", "--mix", "sleep=3,noop=1",
    "--job-duration", "5ms", "--json",
)  # fmt: skip


def held(folder: Path, *words: str) -> tuple[int, dict, Path]:
    with poolrace(folder, *LOAD, "--out", str(folder / "runs"), *words) as command:
        code, out, err = command.finish()
        command.assert_nothing_left()
    assert "Traceback" not in err
    (run,) = (folder / "runs").iterdir()
    return code, json.loads(out), run


def test_every_lane_gets_the_same_jobs_and_does_them_all(tmp_path: Path) -> None:
    code, summary, path = held(tmp_path, "--threshold", "lost == 0")
    # A busy machine makes the generator late, which is told and makes no difference to what arrived.
    assert code in {0, 4}
    prefork, threads = summary["load"]
    assert (prefork["lane"], threads["lane"]) == ("prefork", "threads")
    assert prefork["settlement"] == threads["settlement"]
    assert prefork["settlement"]["done"] == prefork["settlement"]["sent"] > 20
    assert read_json(path / "summary.json")["load"] == summary["load"]
    run = read_run(path)
    due = [
        run.sent.filter(trial=trial.trial)["due_at"] - trial.began_at for trial in run.trials if trial.kind is Kind.LOAD
    ]
    assert (due[0] - due[1]).abs().max() < 1e-6


def test_both_workloads_of_a_mix_are_run(tmp_path: Path) -> None:
    *_, path = held(tmp_path)
    records = read_run(path).records.filter(trial=read_run(path).trials[-1].trial)
    service_s = records["finished_at"] - records["started_at"]
    # What sleeps 5 ms cannot take less, and what does nothing has no reason to take as long each time.
    slept = (service_s >= 0.005).sum()
    assert slept > 0
    assert service_s.min() < 0.005


def test_a_broken_threshold_is_named_with_when_it_broke(tmp_path: Path) -> None:
    code, summary, _ = held(tmp_path, "--threshold", "p50(sojourn) < 1us", "--threshold", "lost == 0")
    broken, kept = summary["load"][0]["thresholds"]
    assert (broken["kept"], broken["since_s"], kept["kept"]) == (False, 0.0, True)
    assert broken["measured"] > broken["limit"]
    assert code == (99 if summary["valid"] else 4)
