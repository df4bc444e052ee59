"""
A fleet as a discrete-event simulation: one broker, its nodes, their slots and cores. Pure: no clock, seeded draws.

A job takes this way, as a lane of `producer.plan.lanes` does it:

    due -> broker (one core, first come first served) -> node (asks for one message after the other while its window of
    unacknowledged messages has room; the node that has asked for longest is served) -> slot (hand-over if one was
    free, else the gap between two jobs; the job's wait; its CPU time on the node's cores, in turns) -> finished

What is simulated event by event are nodes, slots and cores, by SimPy. The broker before them hands on what it has
done and waits for nobody, so Lindley's recursion gives all its instants at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import simpy

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Steps = Generator[Any, Any, None]

TURN_S = 0.005
"""How long a job computes before another has its turn: CPython's switch interval, and about that of a kernel."""

NOTHING: Floats = np.zeros(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """
    What jobs need, each a row: draws keep a job's wait and its CPU time together.

    Attributes:
        wait_s: What a job waits in its slot for other things than a core, in seconds.
        cpu_s: What it computes.
    """

    wait_s: Floats
    cpu_s: Floats

    @property
    def mean_s(self) -> float:
        """The mean time that a job holds a slot on a node with cores to spare."""
        return float((self.wait_s + self.cpu_s).mean())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FleetModel:
    """
    One broker with its nodes.

    Attributes:
        nodes: How many.
        slots: Of one node.
        window: Messages that a node holds unacknowledged at most.
        acks_late: A message is acknowledged when its job has ended, not as a slot takes it.
        work: What jobs need.
        broker_s: The broker's time for a job, from sending it to acknowledging it.
        take_s: The time of a node's main process for a job, half of it before the job is at a slot; it does one after
            the other.
        trip_s: What the node waits for the broker, besides, before it has a job and asks for the next.
        handover_s: From the broker to the start in a free slot, without `broker_s`, half of `take_s`, and `trip_s`.
        gap_s: From the end of a job to the start of the next in the same slot, if one waited.
        cores: Cores' worth of time that a node's jobs may use at once; None if they do not compete for any.
        one_interpreter: The node's main process and all its jobs share a lock, and one core.
    """

    nodes: int
    slots: int
    window: int
    work: Work
    acks_late: bool = False
    broker_s: float = 0.0
    take_s: float = 0.0
    trip_s: float = 0.0
    handover_s: Floats = field(default_factory=NOTHING.copy)
    gap_s: Floats = field(default_factory=NOTHING.copy)
    cores: float | None = None
    one_interpreter: bool = False

    @property
    def slot_s(self) -> float:
        """The mean time that a job takes of a slot that always has a next one."""
        return self.work.mean_s + float(self.gap_s.mean())

    @property
    def usable_cores(self) -> float | None:
        """The cores that jobs can use at once: one behind a lock, whatever the node has."""
        return min(self.cores, 1.0) if self.cores is not None and self.one_interpreter else self.cores

    def use(self, rate_per_s: float) -> dict[str, float]:
        """Return the part of each resource that a rate takes; above 1 where it takes more than there is."""
        a_node = rate_per_s / self.nodes
        found = {"slots": a_node * self.slot_s / self.slots, "node": a_node * (self.take_s + self.trip_s)}
        if self.usable_cores is not None:
            found["cores"] = a_node * (float(self.work.cpu_s.mean()) + self.take_s) / self.usable_cores
        found["broker"] = rate_per_s * self.broker_s
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulated:
    """
    The instants of every simulated job, in seconds, in the order in which they were due.

    Attributes:
        due_s: When it was due.
        started_s: When a slot began it.
        finished_s: When it ended.
    """

    due_s: Floats
    started_s: Floats
    finished_s: Floats

    @property
    def sojourn_s(self) -> Floats:
        """From due to finished."""
        return self.finished_s - self.due_s

    @property
    def queue_wait_s(self) -> Floats:
        """From due to started."""
        return self.started_s - self.due_s

    @property
    def service_s(self) -> Floats:
        """From started to finished."""
        return self.finished_s - self.started_s


def simulate(model: FleetModel, due_s: Floats, seed: int) -> Simulated:
    """
    Run jobs through a fleet that is idle at first, until the last has ended.

    Args:
        model: The fleet.
        due_s: When each job is due, ascending.
        seed: Of all draws. Job by job they are the same on every fleet, so that fleets differ by what they are.
    """
    env = simpy.Environment()
    jobs = _Jobs(model, len(due_s), seed)
    asked: simpy.Store = simpy.Store(env)
    env.process(_broker(env, through_one_server(due_s, model.broker_s), asked))
    for _ in range(model.nodes):
        _Node(env, model, jobs, asked)
    jobs.done = env.event()
    env.run(jobs.done)
    return Simulated(due_s=due_s, started_s=jobs.started_s, finished_s=jobs.finished_s)


def through_one_server(arrived_s: Floats, each_s: float) -> Floats:
    """Return when jobs leave a server that takes as long for each, first come first served (Lindley's recursion)."""
    busy_s = each_s * np.arange(len(arrived_s))
    left_s: Floats = np.maximum.accumulate(arrived_s - busy_s) + busy_s + each_s
    return left_s


class _Jobs:
    """The draws of all jobs, and their instants."""

    done: simpy.Event

    def __init__(self, model: FleetModel, jobs: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        rows = draw.integers(len(model.work.wait_s), size=jobs)
        self.wait_s = model.work.wait_s[rows].tolist()
        self.cpu_s = model.work.cpu_s[rows].tolist()
        self.handover_s = draw.choice(model.handover_s, jobs).tolist()
        self.gap_s = draw.choice(model.gap_s, jobs).tolist()
        self.started_s = np.full(jobs, np.nan)
        self.finished_s = np.full(jobs, np.nan)
        self._left = jobs

    def finish(self, job: int, at_s: float) -> None:
        """Note a job's end; the last one ends the simulation."""
        self.finished_s[job] = at_s
        self._left -= 1
        if not self._left:
            self.done.succeed()


def _broker(env: simpy.Environment, ready_s: Floats, asked: simpy.Store) -> Steps:
    """Hand each job to the nodes that ask, as soon as it is ready."""
    for job, at_s in enumerate(ready_s.tolist()):
        if at_s > env.now:
            yield env.timeout(at_s - env.now)
        asked.put(job)


class _Node:
    """A node: its main process, which takes messages, and its slots."""

    def __init__(self, env: simpy.Environment, model: FleetModel, jobs: _Jobs, asked: simpy.Store) -> None:
        self._env, self._model, self._jobs, self._asked = env, model, jobs, asked
        self._taken: deque[int] = deque()
        self._idle: deque[simpy.Event] = deque()
        self._unacked = 0
        self._room: simpy.Event | None = None
        self._cores = _cores(env, model)
        env.process(self._take())
        for _ in range(model.slots):
            env.process(self._slot())

    def _take(self) -> Steps:
        """Ask for one message after the other while there is room."""
        model, env = self._model, self._env
        while True:
            if self._unacked >= model.window:
                self._room = env.event()
                yield self._room
            job = yield self._asked.get()
            self._unacked += 1
            if model.trip_s:
                yield env.timeout(model.trip_s)
            yield from self._compute(model.take_s / 2, first=not model.one_interpreter)
            if self._idle:
                self._idle.popleft().succeed(job)
            else:
                self._taken.append(job)
            yield from self._compute(model.take_s / 2, first=not model.one_interpreter)

    def _slot(self) -> Steps:
        """Run one job after the other."""
        jobs, env, late = self._jobs, self._env, self._model.acks_late
        while True:
            if self._taken:
                job = self._taken.popleft()
                before_s = jobs.gap_s[job]
            else:
                free = env.event()
                self._idle.append(free)
                job = yield free
                before_s = jobs.handover_s[job]
            if not late:
                self._settle()
            jobs.started_s[job] = env.now + before_s
            if before_s + jobs.wait_s[job] > 0:
                yield env.timeout(before_s + jobs.wait_s[job])
            yield from self._compute(jobs.cpu_s[job])
            jobs.finish(job, env.now)
            if late:
                self._settle()

    def _settle(self) -> None:
        self._unacked -= 1
        if self._room is not None and self._unacked < self._model.window:
            self._room.succeed()
            self._room = None

    def _compute(self, cpu_s: float, *, first: bool = False) -> Steps:
        """Compute in turns, each as soon as a core is free; `first` before others that wait for one."""
        if self._cores is None:
            if cpu_s > 0:
                yield self._env.timeout(cpu_s)
            return
        cores, slower = self._cores
        while cpu_s > 0:
            turn_s = min(cpu_s, TURN_S)
            with cores.request(priority=0 if first else 1) as core:
                yield core
                yield self._env.timeout(turn_s * slower)
            cpu_s -= turn_s


def _cores(env: simpy.Environment, model: FleetModel) -> tuple[simpy.PriorityResource, float] | None:
    """Return a node's cores, and how much slower each of them is than a whole one; None if it needs none."""
    usable = model.usable_cores
    if usable is None:
        return None
    whole = max(1, round(usable))
    return simpy.PriorityResource(env, capacity=whole), whole / usable
