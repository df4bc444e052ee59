"""
Runs a session of any kind: sizes the jobs, starts the fleet, proves every slot, measures, and writes the run directory.

Race, load, limit and sweep differ only in the function that measures, which is given a `Session`.
"""

from __future__ import annotations

import secrets
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import to_builtins

from poolrace.clock import BrokerClock, broker_offset
from poolrace.contract import RUN_ID_BYTES, ClockOffset
from producer.errors import FleetError, InterruptedRunError, InvalidRunError, PoolraceError
from producer.fleet import control_group
from producer.fleet.attached import AttachedFleet
from producer.fleet.broker_cpu import broker_cpu_s
from producer.fleet.control import Control
from producer.fleet.control_group import GroupLimits
from producer.fleet.interpreters import check_interpreter, check_pool
from producer.fleet.local import LocalFleet
from producer.fleet.machine import describe
from producer.fleet.others import AttachedOthersMeter, OthersMeter
from producer.measure.collector import Collector, clock_facts, finite
from producer.measure.progress import Progress
from producer.measure.publishers import Publishers
from producer.measure.remote_publishers import RemotePublishers
from producer.measure.sizing import sized_jobs
from producer.measure.trial import TrialRunner
from producer.plan.distance import check_distance, rtt_s
from producer.plan.lane_settings import CPUS, RTT, cpus_of
from producer.plan.settings import FleetSettings
from producer.rundir.schema import COMPLETE, INCOMPLETE, INVALID
from producer.rundir.writer import RunWriter, held_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from producer.analysis.results import TrialResult
    from producer.fleet import Fleet
    from producer.measure.progress import Progress
    from producer.plan.jobs import Jobs
    from producer.plan.lanes import Lane
    from producer.rundir.manifest import NodeFacts
    from producer.rundir.trials import Trial


S = TypeVar("S", bound=FleetSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierPart:
    """
    What has been measured of a run before it was taken on.

    Attributes:
        path: Its run directory; None if it begins.
        trials: Its trials but for warm-ups.
        results: Their figures.
    """

    path: Path | None = None
    trials: Sequence[Trial] = ()
    results: Sequence[TrialResult] = ()


NOTHING_BEFORE = EarlierPart()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """
    A running fleet, and what is needed to measure it.

    Attributes:
        runner: The runner of trials.
        jobs: The sized jobs, by workload.
        writer: The run directory.
        progress: The listener to progress.
        fleet: The broker and the nodes.
        before: The trials of an earlier part of the run, and their figures.
    """

    runner: TrialRunner
    jobs: Mapping[str, Jobs]
    writer: RunWriter
    progress: Progress
    fleet: Fleet
    before: EarlierPart

    def start(self, lane: Lane) -> None:
        """
        Start a lane's nodes, prove every slot, and note the nodes in the manifest.

        Raises:
            FleetError: If a node or a slot does not come up.
        """
        self.progress.stage(f"Waiting for every slot of {lane.label}")
        nodes = start_nodes(self.fleet, lane, self.runner)
        self.writer.update_manifest(nodes=[*self.writer.manifest.get("nodes", []), *nodes])

    def stop(self, lane: Lane) -> None:
        """Stop what was started for a lane."""
        self.fleet.stop(lane)


def run_session(
    settings: S, progress: Progress, measure: Callable[[S, Session], None], before: EarlierPart = NOTHING_BEFORE
) -> tuple[Path, PoolraceError | None]:
    """
    Run a session and write the run directory.

    Args:
        settings: The settings of the run.
        progress: The listener to progress.
        measure: Runs the trials on the session, with the settings completed by the fleet that was found.
        before: The part of the run that is there already.

    Returns:
        The run directory, and the error that ended the run early, or None. What was measured until then is in the
        directory, marked incomplete.

    Raises:
        PoolraceError: If it ended before there was anything to keep, not even a log.
    """
    for lane in settings.lanes:
        if lane.python:
            check_interpreter(lane.python, f"--lane {lane.key}: python={lane.python}")
        if not settings.attached:
            check_pool(lane.python, lane.pool, f"--lane {lane.key}")
        if reason := control_group.why_not(GroupLimits(cpus=cpus_of(lane.settings))):
            raise FleetError(f"--lane {lane.key}: {CPUS}: {reason}")
        if rtt_s(lane.settings):
            check_distance(settings.broker_url, f"--lane {lane.key}: {RTT}")
    if before.path:
        with held_alone(before.path):
            return _measured(settings, RunWriter.reopen(before.path), progress, measure, before)
    run_id = secrets.token_hex(RUN_ID_BYTES)
    writer = RunWriter.create(
        settings.out, f"{settings.kind}-{run_id[:6]}", {"run_id": run_id, "settings": settings.to_dict()}
    )
    with held_alone(writer.path):
        return _measured(settings, writer, progress, measure, before)


def _measured(
    settings: S, writer: RunWriter, progress: Progress, measure: Callable[[S, Session], None], before: EarlierPart
) -> tuple[Path, PoolraceError | None]:
    try:
        _run(settings, writer, progress, measure, before)
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
    # If the disk is full, the manifest stays at `running`, which readers take for incomplete.
    with suppress(PoolraceError):
        status = INVALID if isinstance(error, InvalidRunError) else INCOMPLETE
        writer.update_manifest(status=status, reason=str(error), ended_at=writer.events.now())
    return writer.path, error


def _run(
    settings: S,
    writer: RunWriter,
    progress: Progress,
    measure: Callable[[S, Session], None],
    before: EarlierPart,
) -> None:
    run_id = writer.manifest["run_id"]
    if not before.path:
        writer.update_manifest(began_at=time.time(), machine=describe(), nodes=[])
    progress.stage("Sizing jobs")
    jobs, sizes = sized_jobs(settings)
    writer.update_manifest(sizes=sizes)
    progress.stage("Finding the nodes" if settings.attached else "Starting the broker")
    with open_fleet(run_id, settings, writer) as fleet:
        settings = replace(settings, lanes=tuple(fleet.lanes))
        writer.update_manifest(settings=settings.to_dict())
        with open_runner(run_id, settings, fleet, writer) as (runner, collector):
            writer.update_manifest(broker=fleet.broker.shown)
            session = Session(runner=runner, jobs=jobs, writer=writer, progress=progress, fleet=fleet, before=before)
            if settings.starts_all:
                for lane in settings.lanes:
                    session.start(lane)
            # Nodes that were running before are not our children.
            others_noted = _hosts_noted if settings.attached else _others_noted
            with others_noted(fleet, writer), _distances_noted(fleet, writer):
                measure(settings, session)
            writer.update_manifest(
                clocks={**writer.manifest.get("clocks", {}), **_clocks(collector)},
                status=COMPLETE,
                ended_at=writer.events.now(),
            )
        progress.stage("Stopping")


@contextmanager
def _others_noted(fleet: Fleet, writer: RunWriter) -> Iterator[None]:  # noqa: ARG001 - as `_hosts_noted`
    """Note at the end what other programs used of this machine."""
    meter = OthersMeter()
    yield
    writer.update_manifest(others_cores=meter.cores())


@contextmanager
def _hosts_noted(fleet: Fleet, writer: RunWriter) -> Iterator[None]:
    """Note at the end what others used of the machines of nodes that ran already."""
    nodes = [node for lane in fleet.lanes for node in fleet.nodes(lane)]
    control = Control(fleet.app)
    try:
        with fleet.app.connection_for_read() as connection:
            meter = AttachedOthersMeter(partial(control.uses, nodes), partial(broker_cpu_s, connection))
            yield
            with suppress(FleetError):  # all has been measured
                writer.update_manifest(hosts=[to_builtins(host) for host in meter.hosts()])
    finally:
        control.close()


@contextmanager
def _distances_noted(fleet: Fleet, writer: RunWriter) -> Iterator[None]:
    """At the end, however it comes, note how far lanes were from the broker, beside those of an earlier part alone."""
    try:
        yield
    finally:
        known = {each["lane"]: each for each in writer.manifest.get("distances", [])}
        with suppress(PoolraceError):  # a full disk has been told, or is by the next line
            writer.update_manifest(
                distances=[*{**known, **{each.lane: to_builtins(each) for each in fleet.distances()}}.values()]
            )


def open_fleet(run_id: str, settings: FleetSettings, writer: RunWriter) -> LocalFleet | AttachedFleet:
    """Return the fleet of a run, of nodes that run already or of nodes of our own; entering it reaches the broker."""
    if settings.attached and settings.broker_url:
        return AttachedFleet(
            run_id,
            broker_url=settings.broker_url,
            expect_nodes=settings.expect_nodes,
            queues=settings.queues,
            events=writer.events,
        )
    return LocalFleet(
        run_id,
        settings.lanes,
        logs=writer.logs,
        broker_url=settings.broker_url,
        needs_upstream=settings.needs_upstream,
        ready_s=settings.ready_s,
        own_app=settings.own_app,
        events=writer.events,
    )


def start_nodes(fleet: Fleet, lane: Lane, runner: TrialRunner) -> list[NodeFacts]:
    """
    Start a lane's nodes and prove every slot.

    Returns:
        The facts of each node, with its time to ready where we started it.

    Raises:
        FleetError: If a node or a slot does not come up.
    """
    nodes = fleet.start(lane)
    all_at_work_at = runner.prove_slots(lane)
    started_at = fleet.started_at(lane)
    ready_s = None if started_at is None else all_at_work_at - runner.clock.at(started_at)
    return [replace(node, ready_s=ready_s) for node in nodes]


@contextmanager
def open_runner(
    run_id: str, settings: FleetSettings, fleet: Fleet, writer: RunWriter
) -> Iterator[tuple[TrialRunner, Collector]]:
    """Open publishers and a collector on a fleet, by the broker's clock, and note the clocks in the manifest."""
    with fleet.app.connection_for_read() as connection:
        offset: ClockOffset = broker_offset(connection)
    clock = BrokerClock(offset.correction_s)
    writer.update_manifest(publisher_clock={"offset_s": offset.offset_s, "bound_s": finite(offset.bound_s)})
    writer.move_to(clock)
    lane_of = {node: lane.key for lane in fleet.lanes for node in fleet.nodes(lane)}
    with (
        _publishers(run_id, settings, fleet, clock) as publishers,
        Collector(fleet.app, run_id, lane_of=lane_of, events=writer.events) as collector,
    ):
        runner = TrialRunner(
            run_id, fleet, writer, publishers, collector, clock=clock, first=writer.next_trial,
            # Nodes that were running before are not our children, and would count as others.
            others_meter=OthersMeter if not settings.attached else lambda: None,
        )  # fmt: skip
        try:
            yield runner, collector
        finally:
            runner.close()
            if isinstance(publishers, RemotePublishers):
                writer.update_manifest(publisher_clocks=publishers.clocks)


def _publishers(
    run_id: str, settings: FleetSettings, fleet: Fleet, clock: BrokerClock
) -> Publishers | RemotePublishers:
    if settings.expect_publishers is not None:
        return RemotePublishers(fleet.app, run_id, settings.expect_publishers, clock)
    return Publishers(fleet.broker.url, settings.publishers, clock)


def _clocks(collector: Collector) -> dict[str, Any]:
    return {node: clock_facts(first, last) for node, (first, last) in collector.clocks.items()}


def warm_up(runner: TrialRunner, lane: Lane, mixed: Jobs, progress: Progress) -> list[Trial]:
    """Run a few jobs of each workload of a mix, which count for nothing."""
    progress.stage(f"Warming up {lane.label}")
    return [runner.warm_up(replace(mixed, workload=call.workload, calls=(call,)), lane)[0] for call in mixed.calls]
