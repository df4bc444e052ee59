"""
The course: runs one trial at a time on a fleet and writes down what came of it.

A trial begins with an empty queue and an idle lane, and ends when the record of its last job is in, never when the
queue looks empty.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from poolrace.contract import HOLD_TASK
from poolrace.shipping import HOLD_RECORDS_S
from producer.backlog import Depth, depth, waiting
from producer.brokers import needing_broker
from producer.control import Control
from producer.errors import FleetError, InvalidRunError
from producer.events import What
from producer.interrupts import held
from producer.mix import draw
from producer.plan import Plan, backlog
from producer.publish import REVISION_LEAD_S, Call, Order, Publishers
from producer.trials import Kind, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import polars as pl

    from producer.collect import Collector
    from producer.events import EventLog
    from producer.fleet import Fleet
    from producer.lanes import Lane
    from producer.rundir import RunWriter

POLL_S = 0.1
GRACE_S = 10.0
"""How long the last records may take after the time the plan itself needs."""

ROWS_A_PART = 20_000
"""A trial with more records than this writes them in parts."""

PING_EVERY_S = 0.25
HOLD_S = 0.2
HOLD_TRIES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """
    What the jobs of a workload, or of a mix of some, are on the wire.

    Attributes:
        workload: What reports call them.
        calls: What jobs do; a plan of several parts says which of these each job is.
        expected_s: How long a job is expected to hold a slot, at the least.
        priority: Of the messages; None for none.
        weights: How many of all jobs are of each call; none if there is only one, or a plan says it.
        timeout_s: A trial in which no job ends for so long is given up; None for jobs of ours, which end.
    """

    workload: str
    calls: tuple[Call, ...]
    expected_s: float
    priority: int | None = None
    weights: tuple[float, ...] = ()
    timeout_s: float | None = None

    @classmethod
    def of(cls, workload: str, task: str, args: tuple[Any, ...] = (), *, expected_s: float) -> Self:
        """Jobs that are all the same."""
        return cls(workload=workload, calls=(Call(workload=workload, task=task, args=args),), expected_s=expected_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialSpec:
    """
    A trial that is to be run.

    Attributes:
        kind: What it measures.
        jobs: What is sent.
        lane: On which lane.
        plan: When.
        round: Trials of one kind and workload with the same round form a pair.
        planned_s: How long the plan takes, if its last job does not say it.
        ping: Ping the lane's nodes meanwhile.
        watch: Is told once a second how it goes, and may steer it.
    """

    kind: Kind
    jobs: Jobs
    lane: Lane
    plan: Plan
    round: int = 0
    planned_s: float | None = None
    ping: bool = False
    watch: Callable[[Moment, Steering], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """
    How far a trial is.

    Attributes:
        began_at: When it began, on the broker's clock.
        at_s: Seconds since then.
        due: Jobs that were due by then.
        accepted: Jobs that the broker took.
        refused: Jobs that it did not.
        ended: Jobs whose end is known.
        of: All its jobs.
        waiting: What the lane's queue holds; None where it cannot be looked into.
        records: Those that came in since the last moment, in the layout of `RECORD_SCHEMA`.
        samples: The same of the nodes, in the layout of `SAMPLE_SCHEMA`.
    """

    began_at: float
    at_s: float
    due: int
    accepted: int
    refused: int
    ended: int
    of: int
    waiting: Depth | None
    records: pl.DataFrame
    samples: pl.DataFrame


class Steering(Protocol):
    """What a trial's watcher can do to it."""

    def replan(self, plan: Plan, planned_s: float) -> None:
        """Go on by another plan, whose jobs are the same until a moment from now."""

    def give_up(self, at_s: float) -> None:
        """Send nothing that is due a moment later than this; what was sent is waited for."""


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
        self._looking = fleet.app.connection_for_read()
        self._grace_s = grace_s
        self._next = 0

    def close(self) -> None:
        """Give the connections back."""
        self._control.close()
        self._looking.release()

    def prove_slots(self, lane: Lane) -> float:
        """
        Hold slots until every slot of a lane was seen at work.

        Returns:
            When the last slot began its first job, seconds since the epoch.

        Raises:
            FleetError: If some slot never takes a job.
        """
        jobs = Jobs.of("hold", HOLD_TASK, (HOLD_S,), expected_s=HOLD_S)
        began_at: dict[tuple[Any, ...], float] = {}
        for _ in range(HOLD_TRIES):
            records = self.measure_with_records(
                TrialSpec(kind=Kind.WARM_UP, jobs=jobs, lane=lane, plan=backlog(2 * lane.slots))
            )[1]
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
        return self.measure(TrialSpec(kind=Kind.WARM_UP, jobs=jobs, lane=lane, plan=backlog(3 * lane.slots)))

    def measure(self, spec: TrialSpec) -> Trial:
        """
        Run a trial.

        Raises:
            InvalidRunError: If some of its jobs never come to an end.
            FleetError: If the broker, a node or a publisher is gone.
        """
        return self.measure_with_records(spec)[0]

    def measure_with_records(self, spec: TrialSpec) -> tuple[Trial, pl.DataFrame]:
        """
        Run a trial and give its records, too, in the layout of `RECORD_SCHEMA`: of a long one the last of them.

        Raises:
            InvalidRunError: If some of its jobs never come to an end.
            FleetError: If the broker, a node or a publisher is gone.
        """
        number, self._next = self._next, self._next + 1
        spec = replace(spec, plan=parted(spec.plan, spec.jobs))
        order = Order(
            run_id=self._run_id,
            trial=number,
            calls=spec.jobs.calls,
            queue=self._fleet.queue(spec.lane),
            plan=spec.plan,
            priority=spec.jobs.priority,
            open_s=(spec.planned_s or 0.0) if spec.watch else 0.0,
        )
        before = self._cpu_s(spec.lane)
        with _Pinging(self._fleet, spec.lane, number) if spec.ping else _Silence() as pinging:
            under_way = _UnderWay(spec, order, self._publishers, self._collector)
            complete = self._follow_noting(under_way)
        trial = replace(under_way.trial(), ended_at=time.time(), cpu_s=_difference(before, self._cpu_s(spec.lane)))
        return self._write(spec, trial, pinging.answers, complete=complete)

    def _follow_noting(self, under_way: _UnderWay) -> bool:
        """Follow, and take note of what ends it before its time."""
        try:
            return self._follow(under_way)
        except FleetError as error:
            why = str(error).split(". ")[0]
            lane = under_way.spec.lane.key
            self._writer.events.note(What.CUT_SHORT, lane=lane, detail=f"trial {under_way.number}: {why}")
            raise

    def _follow(self, under_way: _UnderWay) -> bool:
        """Collect until every job has ended; false if some have not when patience is at an end."""
        checked = time.monotonic()
        watch = under_way.spec.watch
        while not under_way.over() and time.time() < under_way.give_up_at + self._grace_s:
            self._collector.poll(POLL_S)
            if time.monotonic() - checked > 1:
                checked = time.monotonic()
                self._fleet.check()
                under_way.note_refused(self._writer.events)
                if self._silent(under_way) or self._stuck(under_way):
                    break
                if watch:
                    watch(self._moment(under_way), under_way)
                self._write_down(under_way.number)
        return not (self._collector.missing or self._collector.missing_children)

    def _stuck(self, under_way: _UnderWay) -> bool:
        """Whether jobs that were sent should have ended long ago."""
        timeout_s = under_way.spec.jobs.timeout_s
        if timeout_s is None or time.monotonic() - under_way.heard_s() < timeout_s + 2 * HOLD_RECORDS_S:
            return False
        accepted, _ = self._publishers.progress()
        ended = under_way.plan.jobs - self._collector.missing
        return accepted > ended or self._collector.missing_children > 0

    def _silent(self, under_way: _UnderWay) -> bool:
        """Whether nothing can come any more: no job waits on the broker, and none that was taken has ended for long."""
        # What has ended may lie in a node for as long as it may hold records back.
        longest_s = max(self._grace_s, 10 * under_way.spec.jobs.expected_s) + 2 * HOLD_RECORDS_S
        if time.monotonic() - under_way.heard_s() < longest_s or not under_way.sent() or under_way.open():
            return False
        return self._waiting(under_way.spec.lane) == Depth(ready=0, unacked=0)

    def _moment(self, under_way: _UnderWay) -> Moment:
        at_s = time.time() - under_way.began_at
        accepted, refused = self._publishers.progress()
        records, samples = self._collector.fresh()
        plan = under_way.plan
        return Moment(
            began_at=under_way.began_at + self._collector.publisher_correction_s,
            at_s=at_s,
            due=int(np.searchsorted(plan.due_s, at_s, side="right")),
            accepted=accepted,
            refused=refused,
            ended=plan.jobs - self._collector.missing,
            of=plan.jobs,
            waiting=self._waiting(under_way.spec.lane),
            records=records,
            samples=samples,
        )

    def _waiting(self, lane: Lane) -> Depth | None:
        with needing_broker():
            return depth(self._looking, *self._fleet.queues(lane))

    def _write_down(self, number: int) -> None:
        """Write what has come in, if it is much: a long trial must not need more memory than a short one."""
        if self._collector.rows > ROWS_A_PART:
            records, samples = self._collector.take()
            with held():
                self._writer.add_table("records", number, records)
                self._writer.add_table("samples", number, samples)

    def _write(
        self, spec: TrialSpec, trial: Trial, pings: Sequence[Mapping[str, Any]], *, complete: bool
    ) -> tuple[Trial, pl.DataFrame]:
        sent = self._publishers.ledger()
        if not complete:
            lane = next(lane for lane in self._fleet.lanes if lane.key == trial.lane)
            left = waiting(self._fleet.app, self._fleet.queues(lane), self._run_id, trial.trial)
            trial = replace(trial, queued=tuple(left or ()))
        records, samples = self._collector.take()
        with held():
            self._writer.add_table("records", trial.trial, records)
            self._writer.add_table("sent", trial.trial, sent)
            self._writer.add_table("samples", trial.trial, samples)
            self._writer.add_table("children", trial.trial, self._collector.take_children())
            self._writer.add_pings(pings)
            self._writer.add_trial(trial)
        if not complete:
            why = _missing(trial, self._collector.missing, self._collector.missing_children)
            timeout_s = spec.jobs.timeout_s
            raise InvalidRunError(why if timeout_s is None else f"{why} {_PATIENCE.format(timeout_s)}")
        return trial, records

    def _cpu_s(self, lane: Lane) -> float | None:
        nodes = self._fleet.nodes(lane)
        answers = self._control.samples(nodes)
        return sum(sample.cpu_s for sample in answers.values()) if len(answers) == len(nodes) else None


class _UnderWay:
    """A trial that runs: by which plan, since when, until when at the latest."""

    def __init__(self, spec: TrialSpec, order: Order, publishers: Publishers, collector: Collector) -> None:
        self.spec = spec
        self.number = order.trial
        self._order = order
        self._publishers = publishers
        self._collector = collector
        self._planned_s = spec.planned_s
        self._given_up_s: float | None = None
        self._refused, self._refusing = 0, False
        collector.expect(order.trial, order.plan.jobs, spec.lane.key)
        self.began_at = publishers.begin(order)
        self._missing, self._heard_s = order.plan.jobs, time.monotonic()

    @property
    def plan(self) -> Plan:
        """By which it goes now."""
        return self._order.plan

    @property
    def give_up_at(self) -> float:
        """When all jobs should have ended, however slow the lane."""
        # A lane may do CPU-bound jobs one at a time, and jobs may take several times what they should.
        working_s = 4 * self.plan.jobs * max(self.spec.jobs.expected_s, 0.002)
        return self.began_at + max(self.plan.duration_s, self._order.open_s) + working_s

    def heard_s(self) -> float:
        """When the last news of a job came, on the monotonic clock."""
        missing = self._collector.missing + self._collector.missing_children
        if missing != self._missing:
            self._missing, self._heard_s = missing, time.monotonic()
        return self._heard_s

    def sent(self) -> bool:
        """Whether every job has been tried to send."""
        return sum(self._publishers.progress()) >= self.plan.jobs

    def note_refused(self, events: EventLog) -> None:
        """Take note where the broker begins to refuse jobs, and where it takes them again."""
        _, refused = self._publishers.progress()
        refusing = refused > self._refused
        if refusing and not self._refusing:
            events.note(What.REFUSED, lane=self.spec.lane.key, detail="the broker takes none or not all")
        elif self._refusing and not refusing:
            events.note(What.REFUSED, lane=self.spec.lane.key, detail=f"no more; {refused} until now")
        self._refused, self._refusing = refused, refusing

    def over(self) -> bool:
        """Whether all jobs have ended and no more can come."""
        return not (self._collector.missing or self._collector.missing_children or self.open())

    def open(self) -> bool:
        """Whether more jobs can still be planned."""
        return time.time() < self.began_at + self._order.open_s

    def replan(self, plan: Plan, planned_s: float) -> None:
        """Go on by another plan, whose jobs are the same until a moment from now."""
        self._planned_s = planned_s
        self._order = replace(self._order, plan=plan, open_s=planned_s)
        self._publishers.revise(self._order)
        self._collector.replan(plan.jobs)

    def give_up(self, at_s: float) -> None:
        """Send nothing that is due a moment later than this; what was sent is waited for."""
        at_s = max(at_s, time.time() - self.began_at) + REVISION_LEAD_S
        at_s = min(at_s, self._planned_s or at_s)
        jobs = int(np.searchsorted(self.plan.due_s, at_s, side="right"))
        parts = None if self.plan.parts is None else self.plan.parts[:jobs]
        self._given_up_s = at_s
        self.replan(replace(self.plan, due_s=self.plan.due_s[:jobs], parts=parts), at_s)

    def trial(self) -> Trial:
        """What is known of it but its end."""
        lane, jobs = self.spec.lane, self.spec.jobs
        return Trial(
            trial=self.number,
            kind=self.spec.kind,
            workload=jobs.workload,
            lane=lane.key,
            round=self.spec.round,
            jobs=self.plan.jobs,
            rate_per_s=self.plan.rate_per_s,
            slots=lane.slots,
            began_at=self.began_at,
            ended_at=self.began_at,
            parts=tuple(call.workload for call in jobs.calls),
            planned_s=self._planned_s,
            given_up_s=self._given_up_s,
        )


_PATIENCE = "No job ended for {:g} s, which is --job-timeout: if that is how long they take, give it more."


def parted(plan: Plan, jobs: Jobs) -> Plan:
    """A plan of which each job is known to be of one call: drawn by weight, the same on every lane."""
    if plan.parts is not None or len(jobs.calls) == 1 or not jobs.weights:
        return plan
    return replace(plan, parts=draw(jobs.weights, plan.jobs, seed=plan.jobs))


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _missing(trial: Trial, missing: int, children: int) -> str:
    if not missing:
        return (
            f"{children} jobs that {trial.workload} jobs on lane {trial.lane} started never came to an end in time. "
            "See the node's log in the run directory."
        )
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
