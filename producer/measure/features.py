"""
Tries what pools are said to do, on a node each: `python -m producer.measure.features POOL LOGS ANSWER`.

What is tried is a `Feature` of `poolrace.pools`, so that the table there can be checked against the installed Celery,
and some habits of Celery that no setting names.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from poolrace import effects
from poolrace.pools import Feature
from poolrace.transport_setting import STOCK
from producer import interrupts
from producer.analysis.features import Tried
from producer.deadlines import until
from producer.errors import FleetError
from producer.files import replaced
from producer.measure.any_scene import END_S, LOOK_S
from producer.measure.scene import Scene
from producer.plan.drill import EARLY, SLOTS, Cell, Drill

if TYPE_CHECKING:
    from collections.abc import Callable

    from producer.measure.scene import DrillNode

ENOUGH_S = 6.0
"""The longest that something may take to show."""

TRIES_OF_EACH = 3
"""How often something is tried that is not as it is said: on a busy machine a node may be late."""

UNABLE = ("NotImplementedError", "BlockingSwitchOutError")
"""What a pool raises that cannot end at once; its node ends all the same, by that error."""

COUNTED_S, MOST_YIELDS_PER_S = 0.3, 20
"""
The CPU time of each slot over which it is seen whether slots compute at the same time; and how often a second of it a
slot may give up its core. One that takes turns with another at the GIL does so about 200 times and more: CPython's
switch interval is 5 ms.
"""

JOB_S, LONG_S, END_OF_NODE_S = 0.05, 3.0, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """
    How a feature is tried.

    Attributes:
        name: The feature, as `poolrace.pools` names it, or a habit.
        flags: Words of `celery worker` that ask for it.
        happens: Tries it on a node, and returns whether it happens.
    """

    name: str
    happens: Callable[[Scene, DrillNode], bool]
    flags: tuple[str, ...] = ()


def _ended(scene: Scene, job: str, within_s: float = ENOUGH_S) -> str:
    """Return what is noted of a job first after its beginning: `done`, `failed`, or nothing in time."""

    def noted() -> str:
        return next((each.what for each in scene.ledger.notes() if each.job == job and each.what != effects.BEGUN), "")

    return until(noted, within_s, every_s=LOOK_S)


def _begun(scene: Scene, job: str) -> bool:
    return until(lambda: any(each.job == job for each in scene.ledger.notes()), ENOUGH_S, every_s=LOOK_S)


def _processes(scene: Scene) -> int:
    return len({each.pid for each in scene.ledger.notes()})


def _many(scene: Scene, count: int) -> None:
    jobs = [scene.sender.send("drill.wait", JOB_S) for _ in range(count)]
    for job in jobs:
        _ended(scene, job, END_S)


def _replies(scene: Scene, command: str, **arguments: Any) -> list[Any]:
    found = scene.app.control.broadcast(command, arguments=arguments, reply=True, timeout=2.0, limit=1) or []
    return [answer for reply in found for answer in reply.values()]


def _hard_limit(scene: Scene, _: DrillNode) -> bool:
    return _ended(scene, scene.sender.send("drill.overstay", LONG_S)) == effects.FAILED


def _soft_limit(scene: Scene, _: DrillNode) -> bool:
    return _ended(scene, scene.sender.send("drill.heed", LONG_S)) == effects.FAILED


def _replaces(scene: Scene, _: DrillNode) -> bool:
    _many(scene, 6 * SLOTS)
    return _processes(scene) > SLOTS


def _terminates(scene: Scene, _: DrillNode) -> bool:
    job = scene.sender.send("drill.wait", LONG_S)
    _begun(scene, job)
    scene.app.control.revoke(job, terminate=True)
    return _ended(scene, job, LONG_S + 1) != effects.DONE


def _scales(scene: Scene, node: DrillNode) -> bool:
    jobs = [scene.sender.send("drill.wait", 1.0) for _ in range(6)]
    for job in jobs:
        _ended(scene, job)
    return node.child.process.poll() is None and _most_at_once(scene) > 1


def _most_at_once(scene: Scene) -> int:
    """Return how many jobs ran at the same time, whatever a slot is on the pool."""
    steps = (1 if each.what == effects.BEGUN else -1 for each in scene.ledger.notes())
    return max(accumulate(steps), default=0)


def _grows(scene: Scene, _: DrillNode) -> bool:
    answers = _replies(scene, "pool_grow", n=1)
    return any("ok" in answer for answer in answers)


def _restarts(scene: Scene, _: DrillNode) -> bool:
    _many(scene, 2 * SLOTS)
    before = {each.pid for each in scene.ledger.notes()}
    _replies(scene, "pool_restart")
    time.sleep(1)
    _many(scene, 2 * SLOTS)
    return bool({each.pid for each in scene.ledger.notes()} - before)


def _isolates(scene: Scene, node: DrillNode) -> bool:
    beside = scene.sender.send("drill.wait", 1.0)
    _begun(scene, beside)
    crash = scene.sender.send("drill.crash")
    survived = _ended(scene, beside) == effects.DONE
    # With one slot the crash comes after the other job, and takes a moment to end the node.
    _begun(scene, crash)
    return survived and not until(lambda: node.child.process.poll() is not None, END_OF_NODE_S)


def _ends_at_once(scene: Scene, node: DrillNode) -> bool:
    job = scene.sender.send("drill.wait", LONG_S)
    _begun(scene, job)
    began = time.monotonic()
    scene.ask_to_end(node, signal.SIGQUIT, "cold shutdown")
    scene.wait_for_end(node)
    ended_at_once = time.monotonic() - began < LONG_S - 0.5 and _ended(scene, job, 0) != effects.DONE
    said = node.child.said()
    return ended_at_once and not any(error in said for error in UNABLE)


def _spawns(scene: Scene, _: DrillNode) -> bool:
    return _ended(scene, scene.sender.send("drill.be_spawned")) == effects.DONE


def _computes_at_once(scene: Scene, _: DrillNode) -> bool:
    """
    Return whether slots compute at the same time.

    One that waits for the GIL gives up its core again and again, and no other does, however busy the cores are.
    """
    jobs = [scene.sender.send("drill.count", 1.0) for _ in range(SLOTS)]
    slots = [note for job in jobs if _begun(scene, job) and (note := scene.ledger.first_begin(job))]
    if len({(each.pid, each.thread) for each in slots}) < SLOTS:
        return False
    before = [_Turns.of(slot) for slot in slots]

    def counted() -> list[_Turns]:
        found = [_Turns.of(slot).after(then) for slot, then in zip(slots, before, strict=True)]
        return found if all(each.cpu_s >= COUNTED_S for each in found) else []

    found = until(counted, END_S, every_s=LOOK_S)
    return bool(found) and all(each.yields < MOST_YIELDS_PER_S * each.cpu_s for each in found)


@dataclass(frozen=True, slots=True)
class _Turns:
    """
    What a thread has had of the machine.

    Attributes:
        cpu_s: Its CPU time, in seconds.
        yields: How often it gave up its core of its own accord.
    """

    cpu_s: float
    yields: int

    @classmethod
    def of(cls, slot: effects.Note) -> _Turns:
        """Return that of a slot; nothing where it has ended, or this is no Linux."""
        folder = Path(f"/proc/{slot.pid}/task/{slot.thread}")
        try:
            user, system = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
            status = (folder / "status").read_text()
        except OSError:
            return cls(0.0, 0)
        yields = next(line for line in status.splitlines() if line.startswith("voluntary_ctxt_switches:"))
        return cls((int(user) + int(system)) / os.sysconf("SC_CLK_TCK"), int(yields.split()[1]))

    def after(self, before: _Turns) -> _Turns:
        """Return what came since."""
        return _Turns(self.cpu_s - before.cpu_s, self.yields - before.yields)


def _answers_while_busy(scene: Scene, _: DrillNode) -> bool:
    jobs = [scene.sender.send("drill.wait", LONG_S) for _ in range(SLOTS)]
    _begun(scene, jobs[0])
    return bool(_replies(scene, "ping"))


def _has_own_context(scene: Scene, _: DrillNode) -> bool:
    """Whether no job finds what an earlier one has left in a context variable."""
    jobs = [scene.sender.send("drill.keep_in_context") for _ in range(3 * SLOTS)]
    return all(_ended(scene, job) == effects.DONE for job in jobs)


TRIES = (
    Try(name=Feature.HARD_TIME_LIMIT, happens=_hard_limit),
    Try(name=Feature.SOFT_TIME_LIMIT, happens=_soft_limit),
    Try(name=Feature.MAX_TASKS, happens=_replaces, flags=("--max-tasks-per-child", "2")),
    Try(name=Feature.MAX_MEMORY, happens=_replaces, flags=("--max-memory-per-child", "1000")),
    Try(name=Feature.TERMINATE, happens=_terminates),
    Try(name=Feature.AUTOSCALE, happens=_scales, flags=("--autoscale", "3,1")),
    Try(name=Feature.RESIZE, happens=_grows),
    Try(name=Feature.RESTART, happens=_restarts, flags=("worker_pool_restarts=true",)),
    Try(name=Feature.START_METHOD, happens=_spawns, flags=("worker_pool_start_method=spawn",)),
    Try(name=Feature.ISOLATION, happens=_isolates),
    Try(name=Feature.PARALLELISM, happens=_computes_at_once),
    Try(name=Feature.COLD_SHUTDOWN, happens=_ends_at_once),
    Try(name="answers while every slot is busy", happens=_answers_while_busy),
    Try(name="context variables of a job's own", happens=_has_own_context),
)
"""All that is tried. Memory a slot is measured by a race, and works on every pool in its way."""


def try_all(pool: str, logs: Path) -> list[Tried]:
    """
    Try every feature on a pool, on a node each.

    Raises:
        FleetError: If the broker does not start.
    """
    return [_tried(each, pool, logs) for each in TRIES]


def _tried(each: Try, pool: str, logs: Path) -> Tried:
    name = each.name.replace(" ", "-").replace("'", "")
    for number in range(TRIES_OF_EACH):
        found = _once(each, pool, logs / f"{name}-{number + 1}")
        if found.agrees:
            break
    return found


def _once(each: Try, pool: str, folder: Path) -> Tried:
    folder.mkdir(parents=True)
    drill = Drill(title=each.name, documented="", source="", flags=each.flags)
    with Scene(Cell(pool=pool, acks=EARLY, transport=STOCK), drill, folder) as scene:
        node = scene.begin_node()
        with suppress(FleetError):
            scene.wait_for(node)
            return Tried(pool=pool, feature=each.name, happens=each.happens(scene, node))
        return Tried(pool=pool, feature=each.name, happens=False)


def main() -> None:
    """Try the pool that the command line names."""
    interrupts.install()
    pool, logs, answer = sys.argv[1:]
    found = try_all(pool, Path(logs))
    with replaced(Path(answer)) as file:
        file.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
