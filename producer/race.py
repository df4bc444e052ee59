"""The race: interleaved trials over lanes, in balanced order, and the run directory that holds them."""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

from poolrace.clock import broker_offset
from poolrace.contract import RUN_ID_BYTES, ClockOffset
from producer.calibrate import sized_jobs
from producer.collect import Collector, finite
from producer.course import Course, Jobs
from producer.errors import InterruptedRunError, InvalidRunError, PoolraceError
from producer.fleet.attached import AttachedFleet
from producer.fleet.local import LocalFleet, check_interpreter
from producer.machine import OthersMeter, describe, noise
from producer.plan import Plan, backlog, constant, poisson, seed_for
from producer.publish import Publishers
from producer.rundir import COMPLETE, INCOMPLETE, INVALID, RunWriter
from producer.trials import Kind, Trial

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from producer.fleet import Fleet, NodeFacts
    from producer.lanes import Lane
    from producer.settings import RaceSettings

MIN_JOBS_A_SLOT = 4
"""A backlog must fill every slot several times, or its first and last round of jobs are all there is."""

LEAST_RATE_PER_S = 1.0


class Progress(Protocol):
    """Whoever wants to know how far the race is."""

    def stage(self, text: str) -> None:
        """Something that is not a trial has begun."""

    def begin(self, trials: int) -> None:
        """Measuring has begun, and this many trials are to come."""

    def trial(self, text: str) -> None:
        """A trial is through."""


class Race:
    """One race on one fleet."""

    def __init__(self, settings: RaceSettings, course: Course, jobs: dict[str, Jobs], progress: Progress) -> None:
        self._settings = settings
        self._course = course
        self._jobs = jobs
        self._progress = progress

    def run(self) -> None:
        """All workloads, one after the other."""
        lanes = len(self._settings.lanes)
        self._progress.begin(len(self._settings.workloads) * lanes * (2 * self._settings.pairs + 1))
        for workload in self._settings.workloads:
            self._race_workload(self._jobs[workload])

    def _race_workload(self, jobs: Jobs) -> None:
        rates = {}
        for lane in self._settings.lanes:
            trial = self._course.warm_up(jobs, lane)
            rates[lane.key] = rate_per_s(trial)
            self._tell(trial)
        plan = backlog(backlog_jobs(self._settings, list(rates.values())))
        capacities = self._rounds(Kind.CAPACITY, jobs, [plan] * self._settings.pairs, ping=True)
        held = self._settings.utilisation * min(median(found) for found in capacities.values())
        plans = [
            self._arrivals(jobs.workload, max(held, LEAST_RATE_PER_S), pair) for pair in range(self._settings.pairs)
        ]
        self._rounds(Kind.LATENCY, jobs, plans)

    def _rounds(self, kind: Kind, jobs: Jobs, plans: Sequence[Plan], *, ping: bool = False) -> dict[str, list[float]]:
        rates: dict[str, list[float]] = {lane.key: [] for lane in self._settings.lanes}
        for round_, plan in enumerate(plans):
            for lane in balanced(self._settings.lanes, round_):
                trial = self._course.measure(kind, jobs, lane, round_, plan, ping=ping)
                rates[lane.key].append(rate_per_s(trial))
                self._tell(trial)
        return rates

    def _arrivals(self, workload: str, rate: float, pair: int) -> Plan:
        if self._settings.arrivals == "constant":
            return constant(rate, self._settings.trial_s)
        plan = poisson(rate, self._settings.trial_s, seed_for(self._settings.seed, workload, pair))
        return plan if plan.jobs else constant(rate, self._settings.trial_s)

    def _tell(self, trial: Trial) -> None:
        what = f"{trial.workload} {trial.kind} {trial.lane}"
        self._progress.trial(f"{what}: {trial.jobs} jobs, {rate_per_s(trial):.0f}/s")


def balanced(lanes: Sequence[Lane], round_: int) -> list[Lane]:
    """The order of a round: turned by one lane each time, and every other turn of the wheel backwards."""
    turn = round_ % len(lanes)
    order = [*lanes[turn:], *lanes[:turn]]
    return order[::-1] if (round_ // len(lanes)) % 2 else order


def rate_per_s(trial: Trial) -> float:
    """Jobs a second over a whole trial; rough, for sizing the next one."""
    return trial.jobs / max(trial.ended_at - trial.began_at, 1e-3)


def backlog_jobs(settings: RaceSettings, rates_per_s: Sequence[float]) -> int:
    """As many jobs as make the trials of a round last `trial_s` on average; the same for every lane."""
    mean_s_per_job = sum(1 / rate for rate in rates_per_s) / len(rates_per_s)
    least = MIN_JOBS_A_SLOT * max(lane.slots for lane in settings.lanes)
    return max(least, round(settings.trial_s / mean_s_per_job))


def run_race(settings: RaceSettings, progress: Progress) -> tuple[Path, PoolraceError | None]:
    """
    Race, and write the run directory.

    Returns:
        The run directory, and the error that ended the race before its time, if one did. What was measured until then
        is in the directory, marked incomplete.

    Raises:
        PoolraceError: If it ended before there was anything to keep, not even a log.
    """
    for lane in settings.lanes:
        check_interpreter(lane)
    run_id = secrets.token_hex(RUN_ID_BYTES)
    writer = RunWriter.create(settings.out, f"race-{run_id[:6]}", {"run_id": run_id, "settings": settings.to_dict()})
    try:
        _race(run_id, settings, writer, progress)
    except PoolraceError as error:
        return _end_early(writer, error)
    except KeyboardInterrupt:
        return _end_early(writer, InterruptedRunError("Interrupted."))
    except BaseException as error:
        with suppress(PoolraceError):
            _end_early(writer, InvalidRunError(f"{type(error).__name__}: {error}"))
        raise
    return writer.path, None


def _end_early(writer: RunWriter, error: PoolraceError) -> tuple[Path, PoolraceError]:
    if writer.discard_if_bare():
        raise error
    # If the disk is full, the manifest keeps saying `running`, which readers take for incomplete.
    with suppress(PoolraceError):
        status = INVALID if isinstance(error, InvalidRunError) else INCOMPLETE
        writer.update_manifest(status=status, reason=str(error), ended_at=time.time())
    return writer.path, error


def _race(run_id: str, settings: RaceSettings, writer: RunWriter, progress: Progress) -> None:
    progress.stage("Looking at the machine")
    writer.update_manifest(began_at=time.time(), machine=describe().to_dict(), noise=noise().to_dict())
    progress.stage("Sizing jobs")
    jobs, sizes = sized_jobs(settings)
    writer.update_manifest(sizes=sizes)
    progress.stage("Finding the nodes" if settings.attached else "Starting the broker")
    with _fleet(run_id, settings, writer) as fleet:
        settings = replace(settings, lanes=tuple(fleet.lanes))
        writer.update_manifest(settings=settings.to_dict())
        with open_course(run_id, settings, fleet, writer) as (course, collector):
            nodes: list[NodeFacts] = []
            for lane in settings.lanes:
                progress.stage(f"Waiting for every slot of {lane.label}")
                nodes += start_nodes(fleet, lane, course)
            writer.update_manifest(broker=fleet.broker.shown, nodes=[node.to_dict() for node in nodes])
            # Nodes that ran already are no children of ours, and would count as others.
            others = None if settings.attached else OthersMeter()
            Race(settings, course, jobs, progress).run()
            writer.update_manifest(
                others_cores=others and others.cores(), clocks=_clocks(collector), status=COMPLETE, ended_at=time.time()
            )
        progress.stage("Stopping")


def _fleet(run_id: str, settings: RaceSettings, writer: RunWriter) -> LocalFleet | AttachedFleet:
    if settings.attached and settings.broker_url:
        return AttachedFleet(run_id, broker_url=settings.broker_url, expect_nodes=settings.expect_nodes)
    return LocalFleet(
        run_id,
        settings.lanes,
        logs=writer.logs,
        broker_url=settings.broker_url,
        needs_upstream=settings.needs_upstream,
        ready_s=settings.ready_s,
    )


def start_nodes(fleet: Fleet, lane: Lane, course: Course) -> list[NodeFacts]:
    """
    Have a lane's nodes run, and every slot proven.

    Returns:
        What is known of each, with the time to ready where we started it.

    Raises:
        FleetError: If a node or a slot does not come up.
    """
    nodes = fleet.start(lane)
    all_at_work_at = course.prove_slots(lane)
    started_at = fleet.started_at(lane)
    ready_s = None if started_at is None else all_at_work_at - started_at
    return [replace(node, ready_s=ready_s) for node in nodes]


@contextmanager
def open_course(
    run_id: str, settings: RaceSettings, fleet: Fleet, writer: RunWriter
) -> Iterator[tuple[Course, Collector]]:
    """Publishers and a collector on a fleet, ready for trials; what they learn of clocks goes into the manifest."""
    with fleet.app.connection_for_read() as connection:
        clock: ClockOffset = broker_offset(connection)
    writer.update_manifest(publisher_clock={"offset_s": clock.offset_s, "bound_s": finite(clock.bound_s)})
    lane_of = {node: lane.key for lane in fleet.lanes for node in fleet.nodes(lane)}
    with (
        Publishers(fleet.broker.url, settings.publishers) as publishers,
        Collector(fleet.app, run_id, lane_of=lane_of, publisher_correction_s=clock.correction_s) as collector,
    ):
        course = Course(run_id, fleet, writer, publishers, collector)
        try:
            yield course, collector
        finally:
            course.close()


def _clocks(collector: Collector) -> dict[str, Any]:
    return {
        node: {"offset_s": offset_s, "bound_s": finite(bound_s)}
        for node, (offset_s, bound_s) in collector.clocks.items()
    }
