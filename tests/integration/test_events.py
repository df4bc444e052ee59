"""What happens to real nodes under a load stands in the run directory, and beside the lines of its picture."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from integration.commands import Command, only_run, poolrace, until

from producer.analysis.summary import summarise
from producer.fleet.embedded import start_embedded
from producer.fleet.environment import inherited_environment
from producer.fleet.processes import Child, Processes
from producer.report.charts.gallery.timeline import timeline
from producer.rundir.events import Event, EventKind
from producer.rundir.reader import read_run
from producer.rundir.run import Run

ROOT = Path(__file__).parents[2]
LOAD = (
    "load", "--rate", "20/s", "--duration", "3s", "--mix", "sleep=1", "--job-duration", "5ms", "--no-live",
)  # fmt: skip


QUIET_OR_NOT = (0, 4)
"""On a busy machine the generator is late, which is told and no fault of the program."""


def under_load(command: Command, lane: str) -> None:
    """Wait until a lane is under load: a line a second says so."""
    assert command.process.stderr
    for line in command.process.stderr:
        if line.lstrip().startswith(lane) and "/s" in line:
            return
    raise AssertionError(f"{lane} was never under load")


def recorded(tmp_path: Path) -> tuple[Run, list[str]]:
    """A run, and what its picture over time says in the table: beside each lane that is drawn, and below."""
    path = only_run(tmp_path)
    run = read_run(path)
    picture = timeline(summarise(read_run(path)), run)
    assert picture.table is not None
    return run, [*(str(row[-1]) for row in picture.table.rows), picture.table.note]


def of_kind(run: Run, kind: EventKind) -> list[Event]:
    return [event for event in run.events if event.kind == kind]


@pytest.mark.heavy
def test_a_child_of_a_prefork_node_that_is_killed_stands_there_with_the_one_in_its_place(tmp_path: Path) -> None:
    with poolrace(
        tmp_path, *LOAD, "--duration", "5s", "--lane", "prefork:2", "--out", str(tmp_path / "runs")
    ) as command:
        under_load(command, "prefork")
        node = command.node("prefork")
        before = {child.pid for child in node.children()}
        killed = min(before)
        psutil.Process(killed).kill()
        new = until(lambda: {child.pid for child in node.children()} - before)
        code, _, err = command.finish()
        command.assert_nothing_left()
    assert code in QUIET_OR_NOT, err
    run, (marks, _) = recorded(tmp_path)
    events = of_kind(run, EventKind.CHILDREN)
    # Two events if a sample fell between the end of one and the beginning of the other.
    assert ", ".join(event.detail for event in events) == f"pid {killed} ended, pid {min(new)} began"
    for event in events:
        assert event.node.startswith("prefork@")
        assert run.trials[-1].began_at < event.at < run.trials[-1].ended_at
        assert f"children replaced: {event.node}, {event.detail}" in marks


@pytest.mark.heavy
def test_a_node_that_is_killed_stands_there_with_how_it_ended(tmp_path: Path) -> None:
    lanes = ("--lane", "prefork:2", "--lane", "threads:2")
    with poolrace(tmp_path, *LOAD, "--duration", "2s", *lanes, "--out", str(tmp_path / "runs")) as command:
        under_load(command, "threads")
        command.node("threads").kill()
        code, _, err = command.finish()
        command.assert_nothing_left()
    assert code == 3, err
    run, (_, below) = recorded(tmp_path)
    (lost,) = of_kind(run, EventKind.LOST)
    (cut,) = of_kind(run, EventKind.CUT_SHORT)
    assert (lost.lane, lost.node.partition("@")[0], lost.detail) == ("threads", "threads", "signal SIGKILL")
    assert cut.lane == "threads"
    assert "signal SIGKILL" in cut.detail
    assert f"threads node lost: {lost.node}, signal SIGKILL" in below


@contextmanager
def node(processes: Processes, broker_url: str, name: str, folder: Path) -> Iterator[Child]:
    """A node of the demonstration's app, as a user would start one."""
    child = processes.start(
        f"node {name}",
        [
            sys.executable, "-m", "celery", "-A", "worker.app", "worker", "-P", "threads", "-c", "2",
            "-n", f"{name}@%h", "-Q", "threads", "--without-gossip", "--without-mingle", "--loglevel", "WARNING",
        ],
        log=folder / f"{name}.log",
        env={**inherited_environment(os.environ), "PYTHONPATH": str(ROOT), "POOLRACE_BROKER_URL": broker_url},
        cwd=folder,
    )  # fmt: skip
    yield child
    processes.stop(child)


@pytest.mark.heavy
def test_a_node_that_is_added_under_load_stands_there_from_its_first_job(tmp_path: Path) -> None:
    with Processes() as processes:
        broker = start_embedded(processes, processes.folder())
        attach = ("--broker", broker.url, "--queue", "threads", "--expect-nodes", "1", "--out", str(tmp_path / "runs"))
        with (
            node(processes, broker.url, "first", tmp_path),
            poolrace(tmp_path, *LOAD, "--duration", "6s", *attach) as command,
        ):
            under_load(command, "threads")
            with node(processes, broker.url, "second", tmp_path):
                code, _, err = command.finish()
    assert code in QUIET_OR_NOT, err
    run, (marks, _) = recorded(tmp_path)
    (joined,) = of_kind(run, EventKind.JOINED)
    assert (joined.lane, joined.node.partition("@")[0]) == ("threads", "second")
    first_job_at = run.records.filter(run.records["node"] == joined.node)["started_at"].min()
    assert first_job_at < joined.at < first_job_at + 5
    assert f"node joined: {joined.node}" in marks
