"""
Runs one trial at a time on a fleet and writes its tables.

A trial begins with an empty queue and an idle lane. It ends when the record of its last job is in, never when the queue
looks empty.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from poolrace.cgroup import Throttling
from poolrace.clock import THIS_MACHINE, BrokerClock
from poolrace.contract import HOLD_TASK
from poolrace.shipping import HOLD_RECORDS_S
from producer.errors import FleetError, InvalidRunError
from producer.fleet.broker_cpu import broker_cpu_s
from producer.fleet.broker_errors import needing_broker
from producer.fleet.control import Control
from producer.fleet.queue_depth import Depth, depth, waiting
from producer.interrupts import held
from producer.measure.order import Order
from producer.measure.pinger import NoPinger, Pinger
from producer.measure.running_trial import RunningTrial
from producer.measure.slot_proof import SlotProof
from producer.measure.trial_spec import TrialSnapshot, TrialSpec
from producer.plan.arrivals import backlog
from producer.plan.jobs import Jobs, with_calls
from producer.plan.lane_settings import RESULTS
from producer.rundir.events import EventKind
from producer.rundir.trials import Kind, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import polars as pl

    from producer.fleet import Fleet
    from producer.fleet.others import OthersMeter
    from producer.measure.collector import Collector
    from producer.measure.publishers import Publishers
    from producer.measure.remote_publishers import RemotePublishers
    from producer.plan.lanes import Lane
    from producer.rundir.writer import RunWriter

POLL_S = 0.1
GRACE_S = 10.0
"""How long the last records may take beyond the time that the plan needs."""

ROWS_A_PART = 20_000
"""A trial with more records than this writes them in parts."""

CLOCK_READS = 5
HOLD_S = 0.2
HOLD_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instant:
    """The same instant on the broker's clock and on one that nobody can set, in seconds."""

    at: float
    monotonic_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """What all nodes of a trial have used so far; None if unknown, and without a CPU quota."""

    cpu_s: float | None = None
    throttling: Throttling | None = None


class UnfinishedTrialError(InvalidRunError):
    """
    Some jobs of a trial never came to an end.

    Attributes:
        trial: The trial; what is known of it has been written.
    """

    def __init__(self, why: str, trial: Trial) -> None:
        super().__init__(why)
        self.trial = trial


class TrialRunner:
    """
    Runs trials on a fleet, one after the other.

    Attributes:
        clock: The broker's clock.
        monotonic: A clock that nobody can set, in seconds.
    """

    def __init__(
        self,
        run_id: str,
        fleet: Fleet,
        writer: RunWriter,
        publishers: Publishers | RemotePublishers,
        collector: Collector,
        *,
        clock: BrokerClock = THIS_MACHINE,
        control: Control | None = None,
        grace_s: float = GRACE_S,
        monotonic: Callable[[], float] = time.monotonic,
        pinger: type[Pinger | NoPinger] = Pinger,
        others_meter: Callable[[], OthersMeter | None] = lambda: None,
        first: int = 0,
    ) -> None:
        self._run_id = run_id
        self._fleet = fleet
        self._writer = writer
        self._publishers = publishers
        self._collector = collector
        self._control = control or Control(fleet.app)
        self._looking = fleet.app.connection_for_read()
        self.clock = clock
        self._grace_s = grace_s
        self.monotonic = monotonic
        self._pinger = pinger
        self._others_meter = others_meter
        self._next = first
        self._proven: list[str] = []

    def close(self) -> None:
        """Release the connections."""
        self._control.close()
        self._looking.release()

    def prove_slots(self, lane: Lane) -> float:
        """
        Hold jobs on a lane until every slot has run one.

        Returns:
            When the last slot began its first job, in seconds since the epoch on the broker's clock.

        Raises:
            FleetError: If some slot never takes a job, or some job does not come to an end.
        """
        jobs = Jobs.of("hold", HOLD_TASK, (HOLD_S,), expected_s=HOLD_S)
        proof = SlotProof(lane.slots)
        for tried in range(HOLD_TRIES):
            # Ever more: what is nearer to the broker takes all that it has room for before what is far takes any.
            plan = backlog(2 ** (1 + tried) * lane.slots)
            proof.see(self._held(TrialSpec(kind=Kind.WARM_UP, jobs=jobs, lane=lane, plan=plan)))
            if proof.seen >= lane.slots:
                self._proven.append(lane.label)
                return proof.all_at_work_at
        raise FleetError(
            f"Lane {lane.key}: only {proof.seen} of {lane.slots} slots took a job. See the node's log in "
            f"{self._writer.logs}."
        )

    def _held(self, spec: TrialSpec) -> pl.DataFrame:
        """Run jobs that only sleep; return their records."""
        try:
            return self.measure_with_records(spec)[1]
        except UnfinishedTrialError as error:
            depth = self._waiting(spec)
            if depth is not None and depth.ready >= error.trial.jobs:
                raise  # no node took them
            raise FleetError(_hangs(spec.lane.label, self._proven, self._writer.logs)) from error

    def warm_up(self, jobs: Jobs, lane: Lane) -> tuple[Trial, pl.DataFrame]:
        """Run a few jobs of a workload that count for nothing, for first connections, imports and caches."""
        return self.measure_with_records(
            TrialSpec(kind=Kind.WARM_UP, jobs=jobs, lane=lane, plan=backlog(3 * lane.slots))
        )

    def rest(self, seconds: float) -> None:
        """
        Send nothing for a while, and collect what nodes ship meanwhile.

        Raises:
            FleetError: If the broker or a node is gone.
        """
        ends_s = self.monotonic() + seconds
        while (left_s := ends_s - self.monotonic()) > 0:
            self._collector.poll(min(POLL_S, left_s))
        self._fleet.check()

    def measure(self, spec: TrialSpec) -> Trial:
        """
        Run a trial.

        Raises:
            UnfinishedTrialError: If some of its jobs never come to an end.
            FleetError: If the broker, a node or a publisher is gone.
        """
        return self.measure_with_records(spec)[0]

    def measure_with_records(self, spec: TrialSpec) -> tuple[Trial, pl.DataFrame]:
        """
        Run a trial; return its records too, in the layout of `RECORD_SCHEMA`, and of a long one the last of them.

        Raises:
            UnfinishedTrialError: If some of its jobs never come to an end.
            FleetError: If the broker, a node or a publisher is gone.
        """
        number, self._next = self._next, self._next + 1
        spec = replace(spec, plan=with_calls(spec.plan, spec.jobs, spec.mix_seed))
        order = Order(
            run_id=self._run_id,
            trial=number,
            calls=spec.jobs.calls,
            queue=self._fleet.queue(spec.lane),
            plan=spec.plan,
            priority=spec.jobs.priority,
            open_s=(spec.planned_s or 0.0) if spec.on_tick else 0.0,
            results_by_node=any(RESULTS in dict(lane.settings) for lane in (spec.lane, *spec.elsewhere.values())),
            elsewhere={task: self._fleet.queue(lane) for task, lane in spec.elsewhere.items()},
        )
        before, others = self._use(spec), self._others_meter()
        brokers_before = broker_cpu_s(self._looking)
        began = self._both_clocks()
        with (self._pinger if spec.ping else NoPinger)(self._fleet, spec.lane, number, self.clock) as pinging:
            running = RunningTrial(spec, order, self._publishers, self._collector, self.clock, self.monotonic)
            complete = self._follow_noting(running)
        ended = self._both_clocks()
        after = self._use(spec)
        trial = replace(
            running.trial(),
            ended_at=ended.at,
            cpu_s=_difference(before.cpu_s, after.cpu_s),
            throttling=before.throttling and after.throttling and after.throttling.since(before.throttling),
            broker_cpu_s=_difference(brokers_before, broker_cpu_s(self._looking)),
            others_cores=others.cores() if others else None,
            clock_jump_s=(ended.at - began.at) - (ended.monotonic_s - began.monotonic_s),
        )
        return self._write(spec, trial, pinging.answers, complete=complete)

    def _both_clocks(self) -> _Instant:
        """Read both clocks at once: as near to each other as a process can that others may interrupt."""
        found = []
        for _ in range(CLOCK_READS):
            before_s, at, after_s = self.monotonic(), self.clock.now(), self.monotonic()
            found.append((after_s - before_s, _Instant(at=at, monotonic_s=(before_s + after_s) / 2)))
        return min(found, key=lambda read: read[0])[1]

    def _follow_noting(self, running: RunningTrial) -> bool:
        """Follow a trial, and note an error that cuts it short."""
        try:
            return self._follow(running)
        except FleetError as error:
            why = str(error).split(". ")[0]
            lane = running.spec.lane.key
            self._writer.events.note(EventKind.CUT_SHORT, lane=lane, detail=f"trial {running.number}: {why}")
            raise

    def _follow(self, running: RunningTrial) -> bool:
        """Collect until every job has ended; return False if some have not in time."""
        checked = self.monotonic()
        on_tick = running.spec.on_tick
        while not running.over() and self.clock.now() < running.give_up_at + self._grace_s:
            self._collector.poll(POLL_S)
            if self.monotonic() - checked > 1:
                checked = self.monotonic()
                self._fleet.check()
                running.note_refused(self._writer.events)
                if self._silent(running) or self._stuck(running):
                    break
                if on_tick:
                    on_tick(self._snapshot(running), running)
                self._write_down(running.number)
        return not (self._collector.missing or self._collector.missing_children)

    def _stuck(self, running: RunningTrial) -> bool:
        """Return whether a job has exceeded the job timeout."""
        timeout_s = running.spec.jobs.timeout_s
        if timeout_s is None or self.monotonic() - running.heard_s() < timeout_s + 2 * HOLD_RECORDS_S:
            return False
        accepted, _ = self._publishers.progress()
        ended = running.plan.jobs - self._collector.missing
        return accepted > ended or self._collector.missing_children > 0

    def _silent(self, running: RunningTrial) -> bool:
        """Return whether nothing more can come: no job waits on the broker, and none has ended for long."""
        # A node may hold back the records of jobs that have ended.
        jobs = running.spec.jobs
        longest_s = max(self._grace_s, 10 * jobs.expected_s, jobs.timeout_s or 0.0) + 2 * HOLD_RECORDS_S
        if self.monotonic() - running.heard_s() < longest_s or not running.sent() or running.open():
            return False
        return self._waiting(running.spec) == Depth(ready=0, unacked=0)

    def _snapshot(self, running: RunningTrial) -> TrialSnapshot:
        at_s = self.clock.now() - running.began_at
        accepted, refused = self._publishers.progress()
        records, children, samples = self._collector.fresh()
        plan = running.plan
        return TrialSnapshot(
            began_at=running.began_at,
            at_s=at_s,
            due=int(np.searchsorted(plan.due_s, at_s, side="right")),
            accepted=accepted,
            refused=refused,
            ended=plan.jobs - self._collector.missing,
            of=plan.jobs,
            waiting=self._waiting(running.spec),
            records=records,
            children=children,
            samples=samples,
        )

    def _queues(self, spec: TrialSpec) -> list[str]:
        # The fleet's lane: of nodes that run already, only the fleet knows the queue.
        lanes = [next(lane for lane in self._fleet.lanes if lane.key == each.key) for each in spec.lanes]
        return [queue for lane in lanes for queue in self._fleet.queues(lane)]

    def _waiting(self, spec: TrialSpec) -> Depth | None:
        with needing_broker():
            return depth(self._looking, *self._queues(spec))

    def _write_down(self, number: int) -> None:
        """Write the records that have come in, if there are many: a long trial must not need more memory."""
        if self._collector.rows > ROWS_A_PART:
            taken = self._collector.take()
            with held():
                for table, frame in taken._asdict().items():
                    self._writer.add_table(table, number, frame)

    def _write(
        self, spec: TrialSpec, trial: Trial, pings: Sequence[Mapping[str, Any]], *, complete: bool
    ) -> tuple[Trial, pl.DataFrame]:
        sent = self._publishers.ledger()
        if not complete:
            left = waiting(self._fleet.app, self._queues(spec), self._run_id, trial.trial)
            trial = replace(trial, queued=tuple(left or ()))
        taken = self._collector.take()
        with held():
            for table, frame in taken._asdict().items():
                self._writer.add_table(table, trial.trial, frame)
            self._writer.add_table("sent", trial.trial, sent)
            self._writer.add_table("children", trial.trial, self._collector.take_children())
            self._writer.add_pings(pings)
            self._writer.add_trial(trial)
        if not complete:
            why = _missing(trial, self._collector.missing, self._collector.missing_children)
            timeout_s = spec.jobs.timeout_s
            raise UnfinishedTrialError(why if timeout_s is None else f"{why} {_PATIENCE.format(timeout_s)}", trial)
        return trial, taken.records

    def _use(self, spec: TrialSpec) -> _Use:
        nodes = [node for lane in spec.lanes for node in self._fleet.nodes(lane)]
        answers = self._control.uses(nodes).values()
        if len(answers) != len(nodes):
            return _Use()
        return _Use(
            cpu_s=sum(each.sample.cpu_s for each in answers),
            throttling=Throttling.sum(each.throttling for each in answers if each.throttling),
        )


_PATIENCE = "No job ended for {:g} s, the --job-timeout. If jobs take longer, raise it."


def _hangs(lane: str, others: Sequence[str], logs: Path) -> str:
    """Say that jobs which only sleep do not come to an end on a lane, and which lanes ended theirs."""
    can = f"On {' and '.join(others)} the same jobs ended: that can run it." if others else "Try another pool."
    return (
        f"{lane} cannot run this app: its nodes took jobs that only sleep, and did not end them all. What an app "
        "attaches to every job hangs there, such as a handler of task_prerun or task_postrun that shares a lock or an "
        f"event loop between slots; see the node's log in {logs}. {can}"
    )


def _difference(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _missing(trial: Trial, missing: int, children: int) -> str:
    if not missing:
        return (
            f"{children} jobs that {trial.workload} jobs on lane {trial.lane} started did not end in time. "
            "See the node's log in the run directory."
        )
    waiting_ = len(trial.queued)
    return (
        f"{missing} of {trial.jobs} {trial.workload} jobs on lane {trial.lane} did not end in time: "
        f"{waiting_} still on the broker, {missing - waiting_} lost or still running. See the node's log in the run "
        "directory. Give jobs less work (--job-duration) or the lane more slots, and run again."
    )
