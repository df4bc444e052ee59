"""What a scene on nodes that somebody else runs makes of what it saw, without a broker."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from poolrace import effects
from poolrace.pools import DEFAULT_POOLS
from producer.analysis.drill import Found, Strike
from producer.fleet.node_watch import NodeWatch
from producer.fleet.processes import Processes
from producer.measure.attached_scene import AttachedLane, AttachedScene
from producer.measure.drilled import Sender
from producer.measure.own_fault import Done
from producer.plan.drill import Cell, Drill
from producer.plan.lanes import Lane

if TYPE_CHECKING:
    from pathlib import Path

POOL = DEFAULT_POOLS[0]
NODES = {name: {"life": "1", "pid": 7, "queues": ["mail"]} for name in ("a@one", "b@two")}


@pytest.fixture
def watch() -> NodeWatch:
    return NodeWatch(lambda _: {}, NODES)


@pytest.fixture
def scene(watch: NodeWatch, tmp_path: Path) -> AttachedScene:
    """A scene of two nodes, of which one job was begun by each."""
    at = AttachedLane(
        lane=Lane(key=POOL, pool=POOL, slots=4, nodes=2), queue="mail", nodes=frozenset(NODES), visibility_s=10,
        cell=Cell(pool=POOL, acks="late", transport="atomic"),
    )  # fmt: skip
    made = AttachedScene(
        "0a1b2c3d", at, Drill(title="", documented="", source=""), watch, broker_url="redis://", logs=tmp_path,
        processes=Processes(),
    )  # fmt: skip
    made.ledger = effects.Ledger(tmp_path / "effects")
    for job, node in (("job-0a1b2c3d-0", "a@one"), ("job-0a1b2c3d-1", "b@two")):
        effects.note(tmp_path / "effects", job, effects.BEGUN, node)
    return made


def went(watch: NodeWatch, node: str) -> None:
    """Have a node not answer twice."""
    for at in (1.0, 2.0):
        watch.heard({name: hello for name, hello in NODES.items() if name != node}, at)


def held_by(scene: AttachedScene, monkeypatch: pytest.MonkeyPatch, *jobs: str) -> None:
    monkeypatch.setattr(scene, "_delivered", lambda: frozenset(jobs))


def test_a_job_that_a_node_had_begun_is_explained_by_its_going(
    scene: AttachedScene, watch: NodeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_by(scene, monkeypatch, "job-0a1b2c3d-0", "job-0a1b2c3d-1")
    scene.begin_strike("a host was killed")
    went(watch, "b@two")
    explained = {each.what: each.held for each in scene.explained()}
    assert explained == {
        "b@two went": {"job-0a1b2c3d-1"},
        "a host was killed": {"job-0a1b2c3d-0", "job-0a1b2c3d-1"},
    }


def test_a_job_that_nobody_held_when_it_went_is_explained_by_nothing(
    scene: AttachedScene, watch: NodeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_by(scene, monkeypatch)
    scene.begin_strike("a host was killed")
    went(watch, "b@two")
    assert not any(each.held for each in scene.explained())


def test_what_nodes_hold_is_noted_until_the_fault_is_over(
    scene: AttachedScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_by(scene, monkeypatch, "job-0a1b2c3d-0")
    scene.begin_strike("as it is typed")
    assert scene._noted_until() == math.inf
    held_by(scene, monkeypatch, "job-0a1b2c3d-1")
    scene.note_held()
    scene.end_strike(Done(what="a rolling update"))
    assert scene._noted_until() < time.time() + 60
    (strike,) = scene.strikes
    assert (strike.what, strike.held) == ("a rolling update", {"job-0a1b2c3d-0", "job-0a1b2c3d-1"})
    assert scene.hung == []


def test_a_fault_that_failed_is_more_than_may_be(scene: AttachedScene, monkeypatch: pytest.MonkeyPatch) -> None:
    held_by(scene, monkeypatch)
    scene.begin_strike("docker kill x")
    scene.end_strike(Done(what="docker kill x", problem="exit code 1"))
    assert scene.hung == ["exit code 1"]


def test_a_node_that_went_and_was_started_again_has_gone_once(scene: AttachedScene, watch: NodeWatch) -> None:
    went(watch, "b@two")
    watch.heard({**NODES, "b@two": {**NODES["b@two"], "life": "2"}}, 3.0)
    assert scene.gone() == 1
    watch.heard({**NODES, "b@two": {**NODES["b@two"], "life": "3"}}, 4.0)
    assert scene.gone() == 2


def test_what_was_seen_before_the_scene_is_not_of_it(watch: NodeWatch, tmp_path: Path, scene: AttachedScene) -> None:
    went(watch, "a@one")
    later = AttachedScene(
        "ffffffff", scene.at, scene.drill, watch, broker_url="redis://", logs=tmp_path, processes=Processes()
    )
    assert (scene.gone(), later.gone(), later.changes()) == (1, 0, [])


def test_messages_of_others_are_not_counted(scene: AttachedScene) -> None:
    scene.sender = Sender(None, prefix="job-0a1b2c3d-")  # type: ignore[arg-type]
    messages = [{"headers": {"id": job}} for job in ("job-0a1b2c3d-5", "job-7", "somebody-elses")]
    assert scene._ours(messages) == {"job-0a1b2c3d-5"}


def test_jobs_that_do_harm_and_are_still_on_their_way_are_revoked_and_no_others(scene: AttachedScene) -> None:
    revoked: list[list[str]] = []
    scene.app = SimpleNamespace(control=SimpleNamespace(revoke=revoked.append))  # type: ignore[assignment]
    scene.sender = Sender(None, prefix="job-0a1b2c3d-")  # type: ignore[arg-type]
    scene.sender.harmful |= {"job-0a1b2c3d-1", "job-0a1b2c3d-2"}
    scene.revoke_harmful(Found(ready=frozenset(["job-0a1b2c3d-1", "job-0a1b2c3d-3"])))
    scene.revoke_harmful(Found(delivered=frozenset(["job-0a1b2c3d-3"])))
    assert revoked == [["job-0a1b2c3d-1"]]


def test_a_strike_is_told_once(scene: AttachedScene) -> None:
    scene.strikes.append(Strike(what="cut", at=1.0, held=frozenset()))
    assert [each.what for each in scene.explained()] == ["cut"]
