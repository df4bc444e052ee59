"""
The course: runs one trial at a time on a fleet and writes down what came of it.

A trial begins with an empty queue and an idle lane, and ends when the record of its last job is in, never when the
queue looks empty.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from poolrace.contract import HOLD_TASK
from producer.backlog import waiting
from producer.control import Control
from producer.errors import FleetError, InvalidRunError
from producer.interrupts import held
from producer.plan import Plan, backlog
from producer.publish import Order, Publishers
from producer.trials import Kind, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from producer.collect import Collector
    from producer.fleet import Fleet
    from producer.lanes import Lane
    from producer.mix import Mix
    from producer.rundir import RunWriter

POLL_S = 0.1
GRACE_S = 10.0
"""How long the last records may take after the time the plan itself needs."""

PING_EVERY_S = 0.25
HOLD_S = 0.2
HOLD_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """
    What the jobs of a workload are on the wire.

    Attributes:
        workload: Its name.
        task: Celery's name of the task.
        args: Positional arguments, the same for every job on every lane.
        expected_s: How long a job is expected to hold a slot, at the least.
        mix: Several tasks instead of the one.
    """

    workload: str
    task: str
    args: tuple[Any, ...]
    expected_s: float
    mix: Mix | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """
    How far a trial is.

    Attributes:
        at_s: Seconds since its start.
        due: Jobs that were due by then.
        ended: Jobs whose end is known.
        of: All its jobs.
    """

    at_s: float
    due: int
    ended: int
    of: int


class Course:
    """Runs trials on a fleet, one after the other."""

    def __init__(
        self,
        run_id: str,
        fleet: Fleet,
        writer: RunWriter,
        publishers: Publishers,
        collector: Collector,
        *,
        grace_s: float = GRACE_S,
    ) -> None:
        self._run_id = run_id
        self._fleet = fleet
        self._writer = writer
        self._publishers = publishers
        self._collector = collector
        self._control = Control(fleet.app)
        self._grace_s = grace_s
        self._next = 0

    def close(self) -> None:
        """Give the control connection back."""
        self._control.close()

    def prove_slots(self, lane: Lane) -> float:
        """
        Hold slots until every slot of a lane was seen at work.

        Returns:
            When the last slot began its first job, seconds since the epoch.

        Raises:
            FleetError: If some slot never takes a job.
        """
        jobs = Jobs(workload="hold", task=HOLD_TASK, args=(HOLD_S,), expected_s=HOLD_S)
        began_at: dict[tuple[Any, ...], float] = {}
        for _ in range(HOLD_TRIES):
            records = self._run(Kind.WARM_UP, jobs, lane, 0, backlog(2 * lane.slots))[1]
            # With the node: containers count their processes each for itself.
            for *place, started_at in records.select("node", "pid", "thread_id", "started_at").iter_rows():
                slot = tuple(place)
                began_at[slot] = min(started_at, began_at.get(slot, started_at))
            if len(began_at) >= lane.slots:
                return max(began_at.values())
        raise FleetError(
            f"Lane {lane.key}: only {len(began_at)} of {lane.slots} slots took a job. See the node's log in "
            f"{self._writer.logs}."
        )

    def warm_up(self, jobs: Jobs, lane: Lane) -> Trial:
        """Run a few jobs of a workload that count for nothing: first connections, imports, caches."""
        return self._run(Kind.WARM_UP, jobs, lane, 0, backlog(3 * lane.slots))[0]

    def measure(
        self,
        kind: Kind,
        jobs: Jobs,
        lane: Lane,
        round_: int,
        plan: Plan,
        *,
        ping: bool = False,
        watch: Callable[[Moment], None] | None = None,
    ) -> Trial:
        """Run a trial that counts; whoever watches it is told once a second how it goes."""
        return self._run(kind, jobs, lane, round_, plan, ping=ping, watch=watch)[0]

    def _run(
        self,
        kind: Kind,
        jobs: Jobs,
        lane: Lane,
        round_: int,
        plan: Plan,
        *,
        ping: bool = False,
        watch: Callable[[Moment], None] | None = None,
    ) -> tuple[Trial, Any]:
        number, self._next = self._next, self._next + 1
        self._collector.expect(number, plan.jobs)
        before = self._cpu_s(lane)
        order = Order(
            run_id=self._run_id,
            trial=number,
            task=jobs.task,
            args=jobs.args,
            queue=self._fleet.queue(lane),
            plan=plan,
            mix=jobs.mix,
        )
        with _Pinging(self._fleet, lane, number) if ping else _Silence() as pinging:
            began_at = self._publishers.begin(order)
            complete = self._follow(_patience_s(jobs, plan) + self._grace_s, began_at, plan, watch)
        trial = Trial(
            trial=number,
            kind=kind,
            workload=jobs.workload,
            lane=lane.key,
            round=round_,
            jobs=plan.jobs,
            rate_per_s=plan.rate_per_s,
            slots=lane.slots,
            began_at=began_at,
            ended_at=time.time(),
            cpu_s=_difference(before, self._cpu_s(lane)),
        )
        return self._write(trial, pinging.answers, complete=complete)

    def _follow(self, patience_s: float, began_at: float, plan: Plan, watch: Callable[[Moment], None] | None) -> bool:
        """Collect until every job has ended; false if some have not when patience is at an end."""
        deadline = time.monotonic() + patience_s
        checked = time.monotonic()
        while self._collector.missing and time.monotonic() < deadline:
            self._collector.poll(POLL_S)
            if time.monotonic() - checked > 1:
                checked = time.monotonic()
                self._fleet.check()
                if watch:
                    watch(self._moment(time.time() - began_at, plan))
        return not self._collector.missing

    def _moment(self, at_s: float, plan: Plan) -> Moment:
        ended = plan.jobs - self._collector.missing
        return Moment(at_s=at_s, due=int(np.searchsorted(plan.due_s, at_s, side="right")), ended=ended, of=plan.jobs)

    def _write(self, trial: Trial, pings: Sequence[Mapping[str, Any]], *, complete: bool) -> tuple[Trial, Any]:
        sent = self._publishers.ledger()
        if not complete:
            lane = next(lane for lane in self._fleet.lanes if lane.key == trial.lane)
            left = waiting(self._fleet.app, self._fleet.queue(lane), self._run_id, trial.trial)
            trial = replace(trial, queued=tuple(left or ()))
        records, samples = self._collector.take()
        with held():
            self._writer.add_table("records", trial.trial, records)
            self._writer.add_table("sent", trial.trial, sent)
            self._writer.add_table("samples", trial.trial, samples)
            self._writer.add_pings(pings)
            self._writer.add_trial(trial)
        if not complete:
            raise InvalidRunError(_missing(trial, self._collector.missing))
        return trial, records

    def _cpu_s(self, lane: Lane) -> float | None:
        nodes = self._fleet.nodes(lane)
        answers = self._control.samples(nodes)
        return sum(sample.cpu_s for sample in answers.values()) if len(answers) == len(nodes) else None


def _patience_s(jobs: Jobs, plan: Plan) -> float:
    # A lane may do CPU-bound jobs one at a time, and jobs may take several times what they should.
    return plan.duration_s + 4 * plan.jobs * max(jobs.expected_s, 0.002)


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _missing(trial: Trial, missing: int) -> str:
    waiting_ = len(trial.queued)
    return (
        f"{missing} of {trial.jobs} {trial.workload} jobs on lane {trial.lane} never came to an end in time: "
        f"{waiting_} still on the broker, {missing - waiting_} lost or still running. See the node's log in the run "
        "directory; give jobs less work (--job-duration) or the lane more slots, and race again."
    )


class _Pinging:
    """Pings a lane's nodes a few times a second, from a thread of its own, while a trial runs."""

    def __init__(self, fleet: Fleet, lane: Lane, trial: int) -> None:
        self.answers: list[dict[str, Any]] = []
        self._control = Control(fleet.app)
        self._nodes = fleet.nodes(lane)
        self._notes = {"trial": trial, "lane": lane.key}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ping", daemon=True)

    def __enter__(self) -> _Pinging:
        self._thread.start()
        return self

    def _run(self) -> None:
        while not self._over.wait(PING_EVERY_S):
            for node in self._nodes:
                at = time.time()
                try:
                    rtt_s = self._control.ping_s(node)
                except FleetError:
                    return  # whoever runs the trial finds out by itself, and tells
                self.answers.append({**self._notes, "node": node, "at": at, "rtt_s": rtt_s})

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(timeout=5)
        self._control.close()


class _Silence:
    """No pings."""

    answers: Sequence[Mapping[str, Any]] = ()

    def __enter__(self) -> _Silence:
        return self

    def __exit__(self, *_: object) -> None:
        return None
