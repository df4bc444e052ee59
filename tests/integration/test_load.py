"""A load on real nodes: what is offered arrives on every lane, and a broken threshold is told by the exit code."""

import json
import math
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from integration.commands import Command, is_of_the_machine, poolrace, until
from integration.commands import load as read_json

from producer.plan.scenario import read_scenario
from producer.rundir.events import EventKind
from producer.rundir.reader import read_run
from producer.rundir.run import Run
from producer.rundir.schema import RUNNING
from producer.rundir.trials import Kind, Trial

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


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict, Path]:
    """One small load on both pools, with a threshold that breaks and one that is kept."""
    return held(
        tmp_path_factory.mktemp("load"), "--threshold", "p50(sojourn) < 1us", "--threshold", "lost == 0"
    )  # fmt: skip


def test_every_lane_gets_the_same_jobs_and_does_them_all(small: tuple[int, dict, Path]) -> None:
    _, summary, path = small
    prefork, threads = summary["load"]["lanes"]
    assert (prefork["lane"], threads["lane"]) == ("prefork", "threads")
    assert prefork["settlement"] == threads["settlement"]
    assert prefork["settlement"]["done"] == prefork["settlement"]["sent"] > 20
    assert read_json(path / "summary.json")["load"] == summary["load"]
    run = read_run(path)
    due = [
        run.sent.filter(trial=trial.trial)["due_at"] - trial.began_at for trial in run.trials if trial.kind is Kind.LOAD
    ]
    assert (due[0] - due[1]).abs().max() < 1e-6


def test_both_workloads_of_a_mix_are_run(small: tuple[int, dict, Path]) -> None:
    *_, path = small
    records = read_run(path).records.filter(trial=read_run(path).trials[-1].trial)
    service_s = records["finished_at"] - records["started_at"]
    # What sleeps 5 ms cannot take less, and what does nothing has no reason to take as long each time.
    slept = (service_s >= 0.005).sum()
    assert slept > 0
    assert service_s.min() < 0.005


def test_a_broken_threshold_is_named_with_when_it_broke(small: tuple[int, dict, Path]) -> None:
    code, summary, _ = small
    broken, kept = summary["load"]["lanes"][0]["thresholds"]
    assert (broken["kept"], broken["since_s"], kept["kept"]) == (False, 0.0, True)
    assert broken["measured"] > broken["limit"]
    assert code == (99 if summary["valid"] else 4)


SCENARIOS = Path(__file__).parents[2] / "scenarios"
SHIPPED = sorted(path.stem for path in SCENARIOS.glob("*.toml"))
SHORT_S = 1.2


def run_small(folder: Path, *words: str) -> tuple[int, dict, Run]:
    """A load from beginning to end, whatever it is of; it leaves nothing."""
    with poolrace(folder, "load", *words, "--json", "--out", str(folder / "runs")) as command:
        code, out, err = command.finish()
        command.assert_nothing_left()
    assert "Traceback" not in err
    (path,) = (folder / "runs").iterdir()
    return code, json.loads(out), read_run(path)


def assert_sound(code: int, summary: dict) -> None:
    """
    Every job came to its end, and the exit code is what the summary says.

    A busy machine makes the generator late or a threshold of time broken, which is told and no fault of the program.
    """
    assert [problem for problem in summary["problems"] if not is_of_the_machine(problem)] == []
    assert summary["settlement"]["done"] == summary["settlement"]["sent"]
    judged = [threshold for lane in summary["load"]["lanes"] for threshold in lane["thresholds"]]
    assert all(threshold["kept"] for threshold in judged if threshold["threshold"] in {"lost == 0", "failed == 0"})
    assert code == (4 if summary["problems"] else 0 if all(threshold["kept"] for threshold in judged) else 99)


def loads(run: Run) -> list[Trial]:
    return [trial for trial in run.trials if trial.kind is Kind.LOAD]


def jobs_of(run: Run, trial: Trial) -> tuple[list[float], list[int]]:
    """When each job was due, from the trial's start on, and which of the mix it was."""
    sent = run.sent.filter(trial=trial.trial).sort("seq")
    return (sent["due_at"] - trial.began_at).to_list(), sent["part"].to_list()


def assert_the_very_same(run: Run) -> None:
    (first_s, first_parts), (second_s, second_parts) = (jobs_of(run, trial) for trial in loads(run))
    assert first_s == pytest.approx(second_s, abs=1e-6)
    assert first_parts == second_parts


def hold_small(name: str, folder: Path) -> tuple[int, dict, Run]:
    """A scenario that comes along, in little more than a second; the demo on both lanes."""
    script = read_scenario(SCENARIOS / f"{name}.toml").script
    lanes = ["prefork:2", "threads:2"] if name == "demo" else ["threads:2"]
    folder.mkdir()
    return run_small(
        folder, name, "--scale-time", f"{SHORT_S / script.duration_s:.4f}", "--scale-rate", "0.5",
        "--job-duration", "2ms", *(word for lane in lanes for word in ("--lane", lane)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Future]]:
    """The scenarios by name, some at a time: most of what each takes is to start."""
    folder = tmp_path_factory.mktemp("scenarios")
    with ThreadPoolExecutor(max_workers=3) as pool:
        yield {name: pool.submit(hold_small, name, folder / name) for name in SHIPPED}


@pytest.mark.heavy
@pytest.mark.parametrize("name", SHIPPED)
def test_each_scenario_that_comes_along_can_be_held(name: str, shipped: Mapping[str, Future]) -> None:
    code, summary, run = shipped[name].result()
    assert_sound(code, summary)
    assert run.manifest.settings.load.scenario == name
    assert len(summary["load"]["lanes"]) == len(loads(run)) == len(run.manifest.settings.lanes)
    phases = read_scenario(SCENARIOS / f"{name}.toml").script.phases
    for lane in summary["load"]["lanes"]:
        assert [phase["phase"] for phase in lane["phases"]] == [phase.name for phase in phases]
        assert lane["settlement"]["done"] > 0
        assert len(lane["thresholds"]) > 1


def test_the_demo_gives_both_lanes_the_very_same_jobs(shipped: Mapping[str, Future]) -> None:
    *_, run = shipped["demo"].result()
    assert [trial.lane for trial in loads(run)] == ["prefork", "threads"]
    assert_the_very_same(run)


STEERED_S = 12.0


@pytest.mark.heavy
def test_what_was_steered_on_the_first_lane_holds_on_the_second_at_the_very_same_moments(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    words = (
        "load", "--lane", "threads:2", "--lane", "prefork:2", "--rate", "20/s", "--duration", f"{STEERED_S:g}s",
        "--mix", "sleep=1,noop=1", "--job-duration", "2ms", "--arrivals", "constant", "--out", str(runs),
    )  # fmt: skip
    with poolrace(tmp_path, *words) as command:
        until(lambda: is_running(runs))
        steer(tmp_path, "--pause", "--out", str(runs))
        said = read_until(command, ", paused")
        assert "threads" in said
        steer(tmp_path, "--resume", "--rate", "30/s", "--out", str(runs))
        code, _, err = command.finish()
        command.assert_nothing_left()
    assert "Traceback" not in err
    (path,) = runs.iterdir()
    assert_sound(code, summary := read_json(path / "summary.json"))
    paused, resumed = summary["load"]["changes"]["threads"]
    assert summary["load"]["changes"]["prefork"] == [paused, resumed]
    assert (paused["paused"], paused["rate_per_s"]) == (True, None)
    assert (resumed["paused"], resumed["rate_per_s"]) == (False, 30.0)
    run = read_run(path)
    # 20/s until the pause, nothing in it, and 30/s from its end to that of the load.
    before = [number / 20 for number in range(math.ceil(paused["at_s"] * 20))]
    after_it = range(math.ceil((STEERED_S - resumed["at_s"]) * 30))
    after = [resumed["at_s"] + number / 30 for number in after_it]
    for trial in loads(run):
        assert jobs_of(run, trial)[0] == pytest.approx([*before, *after], abs=1e-5)
    assert_the_very_same(run)
    lanes = [trial.lane for trial in loads(run)]
    assert [(event.lane, event.detail) for event in run.events if event.kind == EventKind.CHANGED] == [
        (lane, detail) for lane in lanes for detail in ("paused", "30/s")
    ]
    code, _, err = steered(tmp_path, str(path), "--pause")
    assert code == 2
    assert "this load is over (complete)" in err


def is_running(runs: Path) -> bool:
    return any(read_json(manifest)["status"] == RUNNING for manifest in runs.glob("*-load-*/manifest.json"))


def steered(folder: Path, *words: str) -> tuple[int, str, str]:
    with poolrace(folder, "steer", *words) as command:
        return command.finish()


def steer(folder: Path, *words: str) -> None:
    code, _, err = steered(folder, *words)
    assert code == 0, err


def read_until(command: Command, word: str) -> str:
    """Read what a command says, to the first line that has a word."""
    said = []
    assert command.process.stderr
    for line in command.process.stderr:
        said.append(line)
        if word in line:
            return line
    raise AssertionError("".join(said))


@pytest.mark.heavy
def test_a_load_ends_early_when_a_threshold_is_broken_and_the_lanes_after_it_are_not_loaded(tmp_path: Path) -> None:
    junit = tmp_path / "load.xml"
    code, summary, run = run_small(
        tmp_path, "--lane", "threads:2", "--lane", "prefork:2", "--rate", "20/s", "--duration", "60s", "--mix", "noop",
        "--threshold", "lost == 0", "--threshold", "p50(sojourn) < 1us", "--abort-on-fail", "1s",
        "--junit", str(junit),
    )  # fmt: skip
    (trial,) = loads(run)
    aborted = summary["load"]["aborted"]
    assert (aborted["lane"], aborted["why"]) == ("threads", "p50(sojourn) < 1us")
    assert 1.0 <= aborted["at_s"] == trial.given_up_s < 60.0
    (lane,) = summary["load"]["lanes"]
    assert lane["given_up_s"] == trial.given_up_s
    assert [threshold["kept"] for threshold in lane["thresholds"]] == [True, False]
    assert trial.jobs < 60 * 20
    assert [(event.lane, event.kind) for event in run.events] == [("threads", EventKind.GIVEN_UP)]
    assert_sound(code, summary)
    suite = ET.parse(junit).getroot()
    failed = [case.get("name") for case in suite if case.find("failure") is not None]
    assert failed == ["the load goes on to its end", "p50(sojourn) < 1us"]
    assert [case.get("classname") for case in suite][1:] == ["poolrace.load.threads"] * 3
    assert suite.get("errors") == ("1" if summary["problems"] else "0")


@pytest.mark.heavy
def test_longer_messages_with_a_priority_arrive(tmp_path: Path) -> None:
    code, summary, run = run_small(
        tmp_path, "--lane", "threads:2", "--rate", "20/s", "--duration", "1s", "--mix", "sleep=1,noop=1",
        "--job-duration", "2ms", "--payload", "64KiB", "--priority", "3", "--threshold", "lost == 0",
    )  # fmt: skip
    assert_sound(code, summary)
    options = run.manifest.settings.load
    assert (options.payload_bytes, options.priority) == (65_536, 3)
    (lane,) = summary["load"]["lanes"]
    assert lane["settlement"]["done"] == lane["settlement"]["sent"] > 5
    assert lane["latency"]["service"]["n"] == lane["settlement"]["done"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--threshold", "p99(sojourn) = 5"), "--threshold 'p99(sojourn) = 5': not a comparison"),
        (("--abort-on-fail", "1s"), "--abort-on-fail: there is no threshold to fail"),
        (("demo", "--rate", "5/s"), "a scenario says these itself"),
        (("dema",), "dema: cannot be read (No such file or directory)"),
        (("--priority", "10"), "--priority '10': must be a whole number from 0 to 9"),
    ],
)
def test_what_cannot_be_held_is_told_before_anything_starts(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with poolrace(tmp_path, "load", *words, "--out", str(tmp_path / "runs")) as command:
        code, out, err = command.finish()
    assert code == 2
    assert said in err
    assert out == ""
    assert not (tmp_path / "runs").exists()
