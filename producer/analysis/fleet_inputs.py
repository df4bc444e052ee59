"""
What runs have measured of a lane, as a fleet's simulation is fed with it. Pure.

An *observation* is one workload on one lane, with its number of nodes and slots, in one run. Observations of lanes that
differ in nothing but nodes, slots and distance are of one *kind*, and together they are its inputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from poolrace.contract import Outcome
from poolrace.pools import POOLS
from producer.analysis.analyse import analyse
from producer.analysis.fleet_simulation import NOTHING, FleetModel, Work
from producer.analysis.latency import floats
from producer.analysis.memory import memory_per_slot_bytes
from producer.analysis.percentiles import Percentiles, Spread, percentiles
from producer.plan.lane_settings import RTT
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from producer.plan.lanes import Lane
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

    Floats = NDArray[np.float64]

HELD = frozenset({Kind.LATENCY, Kind.LOAD, Kind.PROBE})
"""The kinds of trials in which jobs came at a rate."""

SAME_RATE = 1.02
"""Trials whose rates differ by less were at one rate."""

STARVED, SHORT_S = 0.6, 0.005
"""Slots that are busy with jobs this short for less than this part of a backlog wait for their node."""

COMPUTES = 0.1
"""Jobs that compute for more than this part of their time are looked at where they had a core to themselves."""

FEW = 50
TRIPS = 2.2
"""Round trips that a node waits with each message that it takes by kombu's transport (docs/sweep.md, Distance)."""

CROWDED_SHARE = 0.25
"""Trials in which other programs used more of the cores than this say as much of these."""

LEAST_CORES = 0.1
"""What is taken to be left of cores, however busy others were."""

COMPETE = 0.2
"""Cores that are used by less than this part are not simulated: nobody waits for them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observation:
    """
    One workload on one lane in one run.

    Attributes:
        run: Name of the run directory.
        name: Key of the lane before anything was varied.
        lane: The lane as it ran.
        workload: What its jobs did, before anything was varied on the lane.
        job_s: How long a job was to take; None if it has no length to aim at.
        machine: What it ran on, in words.
        cores: Cores of that machine.
        free_cores: Those that other programs left to the run.
        crowded: Whether others used so many that times are theirs as much as the lane's.
        arrivals: How jobs came: `poisson` or `constant`.
        jobs: Jobs that succeeded.
        work: What each job needed.
        alone: Whether `work` is of jobs that had a core to themselves, or that hardly compute.
        handover_s: From sent to started, of jobs that found a free slot.
        gap_s: From the end of a job to the start of the next in its slot, if that one waited.
        node_cpu_s: CPU seconds of the nodes for a job, without the job's own; None if unknown.
        node_s: What a node takes for a job where its slots wait for it; None where they do not.
        broker_s: CPU seconds of the broker for a job; None if unknown.
        memory_bytes: PSS of one node while it works; None if unknown.
        ping_s: The measured distance to the broker; None if none was asked for.
        capacity_per_s: Median of its capacity trials; None without any.
        rate_per_s: The highest rate that was held; None without any.
        sojourn: Of jobs that came at this rate.
        parts: The trials that it is made from.
    """

    run: str
    name: str
    lane: Lane
    workload: str
    job_s: float | None
    machine: str
    cores: float
    free_cores: float
    crowded: bool
    arrivals: str
    jobs: int
    work: Work
    alone: bool
    handover_s: Floats
    gap_s: Floats
    node_cpu_s: float | None
    node_s: float | None
    broker_s: float | None
    memory_bytes: float | None
    ping_s: float | None
    capacity_per_s: float | None
    rate_per_s: float | None
    sojourn: Percentiles | None
    parts: tuple[Trial, ...]

    @property
    def kind(self) -> tuple[object, ...]:
        """What must be the same for two observations to be of one kind of lane."""
        lane = self.lane
        settings = tuple(each for each in lane.settings if each[0] != RTT)
        return self.name, lane.pool, lane.prefetch, lane.acks, lane.transport, lane.python, settings

    @property
    def says(self) -> str:
        """The configuration in words."""
        return f"{self.name}, {self.lane.nodes} x {self.lane.concurrency}"


def observations(run: Run, trials: Iterable[int] | None = None) -> list[Observation]:
    """
    Return what a run observed, in the order of its trials.

    Args:
        run: The run.
        trials: The numbers of the trials that count; None for all that nothing disturbed.
    """
    analysis = analyse(run.trials, run.sent, run.records, run.children)
    disturbed = {each.trial for each in analysis.trials if each.disturbed}
    counted = {trial.trial for trial in run.trials} if trials is None else set(trials)
    capacities = {each.trial: each.capacity_per_s for each in analysis.trials}
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in run.trials:
        measured = trial.kind is Kind.CAPACITY or (trial.kind in HELD and trial.given_up_s is None)
        if measured and trial.trial in counted - disturbed:
            groups.setdefault((trial.lane, trial.workload), []).append(trial)
    found = [_observation(run, lane, name, _quiet(run, parts), capacities) for (lane, name), parts in groups.items()]
    return [each for each in found if each is not None]


def _cores(run: Run) -> float:
    return run.manifest.machine.cores if run.manifest.machine else 1.0


def _quiet(run: Run, trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials of each kind in which others left the cores to the run; all of a kind that has none."""
    most = CROWDED_SHARE * _cores(run)
    quiet = [trial for trial in trials if (trial.others_cores or 0.0) <= most]
    known = {trial.kind for trial in quiet}
    return [trial for trial in trials if trial in quiet or trial.kind not in known]


def _observation(
    run: Run, key: str, workload: str, parts: Sequence[Trial], capacities: dict[int, float | None]
) -> Observation | None:
    """Return what some trials of one workload on one lane show; None if no job of theirs succeeded."""
    settings, machine = run.manifest.settings, run.manifest.machine
    lane = next((lane for lane in settings.lanes if lane.key == key), None)
    backlogs, held = [each for each in parts if each.kind is Kind.CAPACITY], _fastest(parts)
    full, steady = _records(run, backlogs), _records(run, held)
    busy, busy_records = (backlogs, full) if backlogs else (held, steady)
    if lane is None or not busy_records.height:
        return None
    cores = _cores(run)
    base, name = _base(run, workload, key)
    work, alone = _work(
        steady if steady.height else full, cores / lane.nodes if POOLS[lane.pool].has_parallel_python else 1.0
    )
    capacity = Spread.of(capacities[trial.trial] for trial in backlogs)
    rate = Spread.of(trial.rate_per_s for trial in held)
    size = run.manifest.sizes.get(base) or run.manifest.sizes.get(workload)
    return Observation(
        run=run.path.name,
        name=name,
        lane=lane,
        workload=base,
        job_s=size.target_s if size else None,
        machine=f"{machine.cores:g} cores of {machine.cpu_model or machine.architecture}" if machine else "unknown",
        cores=cores,
        free_cores=max(LEAST_CORES, cores - _others(busy)),
        crowded=max(map(_others, (backlogs, held))) > CROWDED_SHARE * cores or _on_crowded_hosts(run),
        arrivals=settings.arrivals,
        jobs=(steady if steady.height else full).height,
        work=work,
        alone=alone,
        handover_s=_handovers(steady, lane.concurrency),
        gap_s=_gaps(busy_records),
        node_cpu_s=_node_cpu_s(busy, busy_records),
        node_s=_node_s(lane, capacity.median if capacity else None, full),
        broker_s=_broker_s(backlogs, full.height, held, _records(run, held, lead_in=True).height),
        memory_bytes=_node_bytes(run, lane, parts),
        ping_s=next((each.ping_s for each in run.manifest.distances if each.lane == key), None),
        capacity_per_s=capacity.median if capacity else None,
        rate_per_s=rate.median if rate else None,
        sojourn=_sojourn(steady),
        parts=tuple(parts),
    )


def _on_crowded_hosts(run: Run) -> bool:
    """Check whether others used much of a machine on which nodes ran already, of which only whole runs know."""
    return any(host.others_share > CROWDED_SHARE for host in run.manifest.hosts)


def _others(trials: Sequence[Trial]) -> float:
    """Return the cores that other programs used in some trials, on average."""
    return float(np.mean([trial.others_cores or 0.0 for trial in trials])) if trials else 0.0


def _node_cpu_s(trials: Sequence[Trial], records: pl.DataFrame) -> float | None:
    """Return the CPU seconds of nodes for a job, without those of the job itself; None if a trial's are unknown."""
    used_s = [trial.cpu_s for trial in trials if trial.cpu_s is not None]
    if len(used_s) < len(trials):
        return None
    return max(0.0, sum(used_s) / records.height - float(floats(records, "cpu_s").mean()))


def _node_bytes(run: Run, lane: Lane, trials: Sequence[Trial]) -> float | None:
    windows = [(trial.began_at, trial.ended_at) for trial in trials]
    per_slot = memory_per_slot_bytes(run.samples, lane=lane.key, windows=windows, slots=lane.slots)
    return None if per_slot is None else per_slot * lane.concurrency


def _base(run: Run, workload: str, key: str) -> tuple[str, str]:
    """Return workload and lane as they were before a sweep varied the lane's nodes or settings."""
    sweep = run.manifest.settings.sweep
    point = next((each for each in sweep.points if each.workload == workload), None) if sweep else None
    if sweep is None or point is None:
        return workload, key
    of_jobs = sweep.axis in {"cpu-share", "payload"}
    return workload if of_jobs else workload.rpartition(" ")[0], point.lanes.get(key, key)


def _rate_per_s(trial: Trial) -> float:
    return trial.rate_per_s or 0.0


def _fastest(trials: Sequence[Trial]) -> list[Trial]:
    """Return the trials at the highest rate that was held."""
    held = [trial for trial in trials if trial.kind in HELD]
    most = max(map(_rate_per_s, held), default=0.0)
    return [trial for trial in held if most and _rate_per_s(trial) * SAME_RATE >= most]


def _records(run: Run, trials: Sequence[Trial], *, lead_in: bool = False) -> pl.DataFrame:
    """Return what jobs of some trials succeeded at, in the order in which they were received; without lead-ins."""
    begins = {trial.trial: 0.0 if lead_in else trial.began_at + trial.lead_in_s for trial in trials}
    done = run.records.filter(
        pl.col("trial").is_in(list(begins))
        & (pl.col("outcome") == Outcome.SUCCEEDED.label)
        & pl.all_horizontal(pl.col("received_at", "started_at", "finished_at").fill_nan(None).is_not_null())
    )
    begin = pl.col("trial").replace_strict(begins, default=0.0, return_dtype=pl.Float64)
    return done.filter(pl.col("due_at") >= begin).sort("received_at")


def _work(records: pl.DataFrame, parallel: float) -> tuple[Work, bool]:
    """Return what jobs waited and computed; of jobs that compute much, those that had a core to themselves."""
    service_s = (floats(records, "finished_at") - floats(records, "started_at")).clip(min=0.0)
    cpu_s = np.minimum(np.nan_to_num(floats(records, "cpu_s")), service_s)
    alone = np.ones(len(service_s), dtype=bool)
    if cpu_s.sum() > COMPUTES * service_s.sum():
        alone = _beside(records) < parallel
        if alone.sum() < FEW:
            return Work(wait_s=service_s - cpu_s, cpu_s=cpu_s), False
    return Work(wait_s=(service_s - cpu_s)[alone], cpu_s=cpu_s[alone]), True


def _beside(records: pl.DataFrame) -> NDArray[np.int64]:
    """Return how many other jobs of its node each job met while it ran."""
    found = np.zeros(records.height, dtype=np.int64)
    of = records.select(pl.struct("trial", "node").rank("dense")).to_series().to_numpy()
    started_at, finished_at = floats(records, "started_at"), floats(records, "finished_at")
    for each in np.unique(of):
        here = of == each
        begun = np.searchsorted(np.sort(started_at[here]), finished_at[here], side="left")
        ended = np.searchsorted(np.sort(finished_at[here]), started_at[here], side="right")
        found[here] = begun - ended - 1
    return found


def _handovers(records: pl.DataFrame, concurrency: int) -> Floats:
    """Return from sent to started of jobs for which no other waited on the broker, and whose node had a free slot."""
    found = []
    for _, lane in records.group_by("trial"):
        sent_at = floats(lane, "sent_at")
        before = _number_at(sent_at, sent_at, floats(lane, "received_at"))
        calm = lane.filter(pl.Series(before == 0))
        for (node,), part in calm.group_by("node"):
            of_node = lane.filter(pl.col("node") == node)
            received_at = floats(part, "received_at")
            within = _number_at(received_at, floats(of_node, "received_at"), floats(of_node, "finished_at"))
            found.append((floats(part, "started_at") - floats(part, "sent_at"))[within < concurrency])
    together = np.concatenate([NOTHING[:0], *found]).clip(min=0.0)
    return together if len(together) else NOTHING


def _number_at(at: Floats, came_at: Floats, left_at: Floats) -> NDArray[np.int64]:
    """Count what had come before each instant and not left."""
    came = np.searchsorted(np.sort(came_at), at, side="left")
    return came - np.searchsorted(np.sort(left_at), at, side="right")


def _gaps(records: pl.DataFrame) -> Floats:
    """Return from the end of a job to the start of the next in its slot, where its node had received that before."""
    slot = ("trial", "node", "pid", "thread_id")
    found = records.sort("started_at").with_columns(before_at=pl.col("finished_at").shift(1).over(slot))
    waited = found.filter(pl.col("received_at") < pl.col("before_at"))
    gaps: Floats = (floats(waited, "started_at") - floats(waited, "before_at")).clip(min=0.0)
    return gaps if len(gaps) else NOTHING


def _node_s(lane: Lane, capacity_per_s: float | None, full: pl.DataFrame) -> float | None:
    """Return a single node's time for a job, where its slots are idle for much of a backlog, waiting for it."""
    if capacity_per_s is None or lane.nodes > 1:
        return None
    service_s = float((floats(full, "finished_at") - floats(full, "started_at")).mean())
    if service_s > SHORT_S or capacity_per_s * service_s > STARVED * lane.slots:
        return None
    # Behind a lock the job's own CPU time is in the time from one job to the next.
    return 1 / capacity_per_s - (0.0 if POOLS[lane.pool].has_parallel_python else float(floats(full, "cpu_s").mean()))


def _broker_s(backlogs: Sequence[Trial], done: int, held: Sequence[Trial], held_done: int) -> float | None:
    """
    Return the broker's CPU time for a job, from the kind of trial in which it took less.

    What a broker does all the time, for nodes that ask in vain and for the run itself, is shared by more jobs there.
    """
    found = []
    for trials, jobs in ((backlogs, done), (held, held_done)):
        used_s = [trial.broker_cpu_s for trial in trials if trial.broker_cpu_s is not None]
        if jobs and used_s and len(used_s) == len(trials):
            found.append(sum(used_s) / jobs)
    return min(found, default=None)


def _sojourn(records: pl.DataFrame) -> Percentiles | None:
    took_s = floats(records, "finished_at") - floats(records, "due_at")
    groups = records["trial"].rank("dense").cast(pl.Int64).to_numpy() - 1
    return percentiles(took_s, groups)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FleetInputs:
    """
    What is known of one kind of lane and one workload, from one observation or several.

    Attributes:
        name: The lane's key.
        lane: One of its lanes.
        workload: What its jobs do.
        measured: Its nodes and slots of a node, as they were measured.
        work: What jobs need.
        alone: Whether that is of jobs that had a core to themselves.
        handover_s: As in the observations.
        gap_s: As there.
        node_s: What a node's main process takes for a job, with its trips to the broker.
        node_measured: Whether that was seen, in nodes that were the bottleneck; else it is their CPU time.
        broker_s: The broker's time for a job; None if unknown.
        memory_bytes: PSS of a node by its slots.
        cores: Cores of the machine.
        ping_s: The distance at which it was measured, 0 for none.
    """

    name: str
    lane: Lane
    workload: str
    measured: tuple[tuple[int, int], ...]
    work: Work
    alone: bool
    handover_s: Floats
    gap_s: Floats
    node_s: float
    node_measured: bool
    broker_s: float | None
    memory_bytes: dict[int, float]
    cores: float
    ping_s: float

    def model(self, *, nodes: int, slots: int, cores: float, rate_per_s: float, rtt_s: float | None) -> FleetModel:
        """
        Return the fleet to simulate.

        Args:
            nodes: On one broker.
            slots: Of a node.
            cores: Of a node.
            rate_per_s: The arrival rate on this broker: at one that leaves cores idle, they are not simulated.
            rtt_s: The distance to the broker; None for the one that was measured.
        """
        pool, broker_s = POOLS[self.lane.pool], self.broker_s or 0.0
        each = TRIPS / (self.lane.prefetch * slots if self.lane.is_atomic else 1)
        trip_s = each * (self.ping_s if rtt_s is None else rtt_s)
        take_s = max(0.0, self.node_s - each * self.ping_s) if self.node_measured else self.node_s
        model = FleetModel(
            nodes=nodes,
            slots=slots,
            window=self.lane.prefetch * slots,
            acks_late=self.lane.acks == "late",
            work=self.work,
            broker_s=broker_s,
            take_s=take_s,
            trip_s=trip_s,
            handover_s=(self.handover_s - broker_s - take_s / 2 - each * self.ping_s).clip(min=0.0),
            gap_s=self.gap_s,
            cores=cores,
            one_interpreter=not pool.has_parallel_python,
        )
        return model if model.use(rate_per_s)["cores"] > COMPETE else replace(model, cores=None)

    def memory_of(self, slots: int) -> float | None:
        """Return the PSS of a node with so many slots: of the nearest measured, by slot where each is a process."""
        if not self.memory_bytes:
            return None
        nearest = min(self.memory_bytes, key=lambda known: abs(known - slots))
        grows = POOLS[self.lane.pool].has_children
        return self.memory_bytes[nearest] * (slots / nearest if grows else 1.0)


def inputs(observed: Sequence[Observation], beside: Sequence[Observation] = ()) -> FleetInputs:
    """
    Put observations of one kind of lane and one workload together; crowded ones only if there are no others.

    Args:
        observed: The observations, at least one.
        beside: Those of other workloads: what node and broker take for a job does not depend on what it does.
    """
    observed = [each for each in observed if not each.crowded] or list(observed)
    beside = [each for each in beside if not each.crowded] or list(beside)
    first, both = observed[0], [*observed, *beside]
    node_s, node_measured = _node(both)
    calm = [each for each in observed if each.alone] or observed
    return FleetInputs(
        name=first.name,
        lane=first.lane,
        workload=first.workload,
        measured=tuple(sorted({(each.lane.nodes, each.lane.concurrency) for each in observed})),
        work=Work(
            wait_s=np.concatenate([each.work.wait_s for each in calm]),
            cpu_s=np.concatenate([each.work.cpu_s for each in calm]),
        ),
        alone=all(each.alone for each in calm),
        handover_s=_together([each.handover_s for each in observed]),
        gap_s=_together([each.gap_s for each in observed]),
        node_s=node_s,
        node_measured=node_measured,
        broker_s=min((each.broker_s for each in both if each.broker_s is not None), default=None),
        memory_bytes={each.lane.concurrency: each.memory_bytes for each in observed if each.memory_bytes is not None},
        cores=first.cores,
        ping_s=float(np.median([each.ping_s or 0.0 for each in observed])),
    )


def _together(known: Sequence[Floats]) -> Floats:
    seen = [each for each in known if each is not NOTHING]
    return np.concatenate(seen) if seen else NOTHING


def _node(both: Sequence[Observation]) -> tuple[float, bool]:
    """Return a node's time for a job, and whether it was seen in nodes that were the bottleneck."""
    seen = [each.node_s for each in both if each.node_s is not None]
    if seen:
        return float(np.median(seen)), True
    return min((each.node_cpu_s for each in both if each.node_cpu_s is not None), default=0.0), False
