"""Drills on nodes that run already: killed by a command of the user's, or by drills that need the broker alone."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from celery import Celery
from integration.commands import Command, poolrace, until

from producer.fleet.control import Control
from producer.fleet.embedded import EmbeddedServer
from producer.fleet.environment import inherited_environment
from producer.fleet.processes import Processes
from producer.measure.own_fault import SAYS_NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from producer.fleet.processes import Child

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0
LATE = {"POOLRACE_ACKS": "late", "POOLRACE_TRANSPORT": "atomic"}
SHORT = ("--before", "1s", "--after", "2s")
BUSY = ("--rate", "20/s", "--job-duration", "0.4s", *SHORT)
"""More than two nodes of two slots can do, so that whoever is struck is in the middle of jobs."""


class Fleet:
    """
    A broker, and nodes that are started again when they end, as by a supervisor.

    Attributes:
        folder: Logs, and the process id of each node.
        server: The broker.
    """

    def __init__(self, processes: Processes, folder: Path) -> None:
        self.folder, self._processes = folder, processes
        self.server = EmbeddedServer(processes, folder, aof=True)
        self._nodes: dict[str, Child] = {}

    @property
    def url(self) -> str:
        return self.server.broker.url

    def start(self, *names: str, **environ: str) -> None:
        """Nodes `pool@host`, each on the queue of its pool, once they answer."""
        for name in names:
            pool = name.partition("@")[0]
            words = [
                sys.executable, "-P", "-m", "celery", "-A", "worker.app", "worker", "-P", pool, "-c", "2", "-n", name,
                "-Q", pool, "--without-gossip", "--without-mingle", "--loglevel", "WARNING", "--pidfile",
                str(self.pidfile(name)),
            ]  # fmt: skip
            self._nodes[name] = self._processes.start(
                f"supervisor of {name}",
                ["sh", "-c", f"while :; do {shlex.join(words)}; done"],
                log=self.folder / f"{name}.log",
                env={
                    **inherited_environment(os.environ),
                    "PYTHONPATH": str(ROOT),
                    "POOLRACE_BROKER_URL": self.url,
                    "POOLRACE_VISIBILITY_TIMEOUT_S": "4",
                    **environ,
                },
                cwd=self.folder,
            )
        control = Control(Celery("site", broker=self.url, set_as_current=False))
        until(lambda: len(control.consumers(1.0)) >= len(self._nodes))
        control.close()

    def pidfile(self, name: str) -> Path:
        return self.folder / f"{name}.pid"

    def kill(self, name: str) -> str:
        """The command that kills a node with its children, as a crash of its host does."""
        return f"pid=$(cat '{self.pidfile(name)}'); kill -9 $pid $(cat /proc/$pid/task/$pid/children)"

    def left(self) -> list[str]:
        """What is on the broker that is neither a queue's nor its bindings."""
        with self.server.client() as client:
            return sorted(key.decode() for key in client.keys("poolrace*"))


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with Processes() as processes:
        yield Fleet(processes, processes.folder())


def drill(fleet: Fleet, tmp_path: Path, *words: str) -> tuple[int, dict[str, dict[str, Any]], str]:
    """Run drills on the fleet, and return the exit code, what was found by cell, and what was said meanwhile."""
    with begun(fleet, tmp_path, *words) as command:
        return ended(command)


def begun(fleet: Fleet, tmp_path: Path, *words: str) -> Any:
    return poolrace(tmp_path, "drill", "--broker", fleet.url, *words, "--json", "--out", str(tmp_path / "runs"))


def ended(command: Command) -> tuple[int, dict[str, dict[str, Any]], str]:
    code, out, err = command.finish(PATIENCE_S)
    command.assert_nothing_left()
    return code, {each["cell"]: each for each in json.loads(out)["results"]} if out else {}, err


def test_a_node_that_a_command_kills_costs_no_job_and_each_repeat_is_explained_by_it(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start("threads@one", "threads@two", **LATE)
    words = ("--fault-command", fleet.kill("threads@two"), "--expect-nodes", "2", *BUSY)
    code, found, err = drill(fleet, tmp_path, *words, "--junit", str(tmp_path / "drills.xml"))
    (result,) = found.values()
    assert (code, result["short"]) == (0, []), err
    assert (result["cell"], result["nodes"]) == ("threads-late-atomic", 2)
    toll = result["toll"]
    assert toll["sent"] == toll["done"] > 10
    assert toll["unexplained"] == 0
    assert {each["explained_by"] for each in result["told"]} == {"threads@two went"}
    assert [what for what, _ in result["struck"]] == [fleet.kill("threads@two"), "over"]
    assert {each["node"] for each in result["seen"]} == {"threads@two"}
    assert result["seen"][-1]["what"] == "was started again"
    assert result["held_up"]["jobs"] > 0
    assert [key for key in fleet.left() if "effects" in key or "claim" in key] == []
    (page,) = tmp_path.glob("runs/*-drills/drills.html")
    assert "threads@two: " in page.read_text()
    assert ET.parse(tmp_path / "drills.xml").getroot().get("failures") == "0"


@pytest.mark.heavy
def test_a_host_with_a_node_of_each_pool_strikes_both_lanes_at_once_and_early_acks_lose_what_it_ran(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start("prefork@one", "threads@one", "prefork@two", "threads@two")
    host = f"{fleet.kill('threads@two')}; {fleet.kill('prefork@two')}"
    code, found, err = drill(fleet, tmp_path, "--fault-command", host, "--expect-nodes", "4", *BUSY)
    assert code == 0, err
    assert set(found) == {"prefork-early-stock", "threads-early-stock"}
    for cell, result in found.items():
        toll = result["toll"]
        assert toll["sent"] == toll["done"] + toll["lost"] + toll["failed"], cell
        assert toll["lost"] <= 3, cell
        assert {each["node"].partition("@")[2] for each in result["seen"]} == {"two"}, cell
    assert found["threads-early-stock"]["toll"]["lost"] > 0


@pytest.mark.heavy
def test_jobs_that_a_command_takes_away_are_lost_and_more_than_may_be(fleet: Fleet, tmp_path: Path) -> None:
    fleet.start("threads@one", **LATE)
    take = f"'{sys.executable}' -c \"import redis; redis.Redis.from_url('{fleet.url}').delete('threads')\""
    words = ("--rate", "60/s", "--job-duration", "0.2s", "--fault-command", take, *SHORT)
    code, found, err = drill(fleet, tmp_path, *words)
    result = found["threads-late-atomic"]
    assert code == 99, err
    assert result["toll"]["lost"] > 10
    assert result["short"] == [f"{result['toll']['lost']} jobs lost, at most 0 may"]


@pytest.mark.heavy
def test_a_command_that_fails_is_told_and_the_jobs_are_settled_all_the_same(fleet: Fleet, tmp_path: Path) -> None:
    fleet.start("threads@one", **LATE)
    code, found, err = drill(fleet, tmp_path, "--fault-command", "echo no such container; exit 1", *SHORT)
    result = found["threads-late-atomic"]
    assert code == 99, err
    assert result["short"] == ["the command of the fault ended with exit code 1: no such container"]
    assert result["toll"]["sent"] == result["toll"]["done"]


@pytest.mark.heavy
def test_what_is_done_by_hand_is_named_by_who_did_it(fleet: Fleet, tmp_path: Path) -> None:
    fleet.start("threads@one", "threads@two", **LATE)
    words = ("--fault-by-hand", "--expect-nodes", "2", *SHORT)
    with begun(fleet, tmp_path, *words) as command:
        assert command.process.stderr is not None
        assert command.process.stdin is not None
        while command.process.stderr.readline().strip() != SAYS_NOW:
            assert command.process.poll() is None
        os.kill(int(fleet.pidfile("threads@one").read_text()), 9)
        command.process.stdin.write("pulled the plug of one\n")
        command.process.stdin.flush()
        code, found, err = ended(command)
    result = found["threads-late-atomic"]
    assert (code, result["toll"]["lost"]) == (0, 0), err
    assert result["struck"][0][0] == "pulled the plug of one"


@pytest.mark.heavy
def test_a_broker_that_is_killed_and_keeps_all_on_disk_costs_nothing_and_the_ledger_goes_on(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start("threads@one", "threads@two", **LATE)
    with begun(fleet, tmp_path, "--fault-by-hand", "--expect-nodes", "2", *SHORT) as command:
        assert command.process.stderr is not None
        assert command.process.stdin is not None
        while command.process.stderr.readline().strip() != SAYS_NOW:
            assert command.process.poll() is None
        fleet.server.kill()
        fleet.server.start_again()
        command.process.stdin.write("broker killed\n")
        command.process.stdin.flush()
        code, found, err = ended(command)
    toll = found["threads-late-atomic"]["toll"]
    assert (code, toll["lost"], toll["queued"], toll["unexplained"]) == (0, 0, 0, 0), err
    assert found["threads-late-atomic"]["said"][0].startswith("The broker was started again.")
    assert toll["sent"] == toll["done"] + toll["refused"] > 10


@pytest.mark.heavy
def test_drills_that_need_the_broker_alone_are_done_and_the_others_left_out_with_a_reason(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.start("prefork@one", "threads@one", "threads@two", **LATE)
    words = ("child-kill", "node-term", "connection-cut", "eta-beyond-timeout", "node-freeze")
    with begun(fleet, tmp_path, *words, "--expect-nodes", "3", *SHORT) as command:
        code, out, err = command.finish(PATIENCE_S)
        command.assert_nothing_left()
    assert code == 0, err
    found = {(each["drill"], each["cell"].partition("-")[0]): each for each in json.loads(out)["results"]}
    left_out = {key: each["skipped"] for key, each in found.items() if each["skipped"]}
    assert left_out.pop(("child-kill", "threads")) == "no slot of this pool is a process"
    assert left_out.pop(("eta-beyond-timeout", "prefork")) == "it needs 2 nodes, and this lane has 1"
    assert left_out.pop(("node-freeze", "threads")) == left_out.pop(("node-freeze", "prefork"))
    assert left_out == {}
    assert found["child-kill", "prefork"]["toll"]["failed"] == 1
    assert found["eta-beyond-timeout", "threads"]["toll"]["repeated"] == 0
    assert found["node-term", "threads"]["seen"][-1]["what"] == "was started again"
    assert all(each["toll"]["lost"] == 0 for each in found.values() if each["toll"])


@pytest.mark.heavy
def test_without_a_node_it_says_what_it_waits_for(fleet: Fleet, tmp_path: Path) -> None:
    code, found, err = drill(fleet, tmp_path, "--fault-command", "true")
    assert (code, found) == (3, {})
    assert "Only 0 of 1 nodes answer" in err
    assert "poolrace.stamping attached" in err


@pytest.mark.heavy
def test_nodes_of_an_app_that_is_not_ours_are_struck_as_well_once_it_is_stamped(site: Any, tmp_path: Path) -> None:
    node = site.start_node("threads", "threads")
    words = ("--broker", site.broker.url, "--fault-command", f"kill -9 {node.child.process.pid}", *SHORT)
    with poolrace(tmp_path, "drill", *words, "--settle", "5s", "--json", "--out", str(tmp_path / "runs")) as command:
        code, found, err = ended(command)
    (result,) = found.values()
    assert (code, result["cell"]) == (99, "threads-early-stock"), err
    assert "work did not go on: no node runs" in result["short"]
    toll = result["toll"]
    assert toll["done"] > 5
    assert toll["sent"] == toll["done"] + toll["lost"] + toll["queued"]
    assert [each["what"] for each in result["seen"]] == ["went"]
