"""The answer to the question of a fleet: for each lane a fleet, how wrong it may be, and what is not known. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from producer.analysis.fleet_errors import HeldOut, allowance, held_out
from producer.analysis.fleet_inputs import CROWDED_SHARE, inputs, observations
from producer.analysis.fleet_plan import BROKER_SHARE, Allowance, FleetOption, best_option, fleet_options
from producer.analysis.summary import summarise
from producer.errors import UsageError
from producer.plan.lane_settings import cpus_of
from producer.plan.units import one_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.analysis.fleet_inputs import FleetInputs, Observation
    from producer.plan.fleet_question import FleetQuestion
    from producer.rundir.run import Run

FAR = 2.0
"""More times the nodes that were measured are worth a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFacts:
    """
    What was measured of a lane, as the simulation is fed with it.

    Attributes:
        jobs: How many jobs' records it rests on.
        job_s: The mean time that a job holds a slot of a node with cores to spare.
        job_cpu_s: What of it the job computes.
        alone: Whether that is of jobs that had a core to themselves.
        gap_s: The mean time from the end of a job to the start of the next in its slot.
        node_s: A node's own time for a job.
        node_measured: Whether that was seen in nodes that were the bottleneck; else it is their CPU time.
        broker_s: The broker's CPU time for a job; None if unknown.
        broker_holds_per_s: The rate at which a broker is used as much as it may be; None if unknown.
        ping_s: The distance at which it was measured; 0 for none.
        measured: Nodes and slots of a node, each pair as measured.
    """

    jobs: int
    job_s: float
    job_cpu_s: float
    alone: bool
    gap_s: float
    node_s: float
    node_measured: bool
    broker_s: float | None
    broker_holds_per_s: float | None
    ping_s: float
    measured: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneAnswer:
    """
    The fleet of one kind of lane.

    Attributes:
        lane: The lane's key.
        pool: Its pool.
        transport: Its transport.
        best: The fleet with the fewest nodes.
        options: One for each number of slots that was tried.
        facts: What it is simulated from.
        held_out: The model's predictions of runs that it had not seen.
        allowance: What is allowed for its errors.
    """

    lane: str
    pool: str
    transport: str
    best: FleetOption
    options: tuple[FleetOption, ...]
    facts: FleetFacts
    held_out: tuple[HeldOut, ...]
    allowance: Allowance


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetAnswer:
    """
    The answer for all lanes.

    Attributes:
        rate_per_s: The rate that was asked for.
        slo: What must be kept, as it was written.
        workload: What jobs do.
        arrivals: How they come.
        node_cores: Cores of a node.
        rtt_s: The round trip to the broker that was asked for; None for that of the runs.
        seed: Of all draws.
        runs: Names of the runs that it rests on.
        lanes: Those that were asked for, in the order of the runs.
        warnings: What to bear in mind, a sentence each.
    """

    rate_per_s: float
    slo: tuple[str, ...]
    workload: str
    arrivals: str
    node_cores: float
    rtt_s: float | None
    seed: int
    runs: tuple[str, ...]
    lanes: tuple[LaneAnswer, ...]
    warnings: tuple[str, ...]

    @property
    def met(self) -> bool:
        """True if each lane has a fleet that keeps the SLO."""
        return all(lane.best.nodes is not None for lane in self.lanes)


def answer_fleet(runs: Sequence[Run], question: FleetQuestion) -> FleetAnswer:
    """
    Answer the question from some runs.

    Raises:
        UsageError: If a run is not valid, or the runs do not have the workload or lanes that are asked for.
    """
    for run in runs:
        _check_valid(run)
    known = [each for run in runs for each in observations(run)]
    workload = _workload(known, question)
    observed = [each for each in known if each.workload == workload]
    _check_same_jobs(observed)
    kinds: dict[tuple[object, ...], list[Observation]] = {}
    order = {lane.key: place for run in reversed(runs) for place, lane in enumerate(run.manifest.settings.base_lanes)}
    for each in sorted(_asked(observed, question), key=lambda each: order.get(each.name, len(order))):
        kinds.setdefault(each.kind, []).append(each)
    lanes = tuple(
        _lane(each, [other for other in known if other.kind == kind and other.workload != workload], runs, question)
        for kind, each in kinds.items()
    )
    return FleetAnswer(
        rate_per_s=question.rate_per_s,
        slo=tuple(each.text for each in question.slo),
        workload=workload,
        arrivals=question.arrivals,
        node_cores=question.node_cores or observed[0].cores,
        rtt_s=question.rtt_s,
        seed=question.seed,
        runs=tuple(dict.fromkeys(run.path.name for run in runs)),
        lanes=lanes,
        warnings=tuple(_warnings(observed, lanes, question)),
    )


def _check_valid(run: Run) -> None:
    problems = summarise(run).problems
    if problems:
        raise UsageError(f"--from {run.path}: the run is not valid. {problems[0]} Give another run.")


def _workload(known: Sequence[Observation], question: FleetQuestion) -> str:
    """Return the workload that is asked for, or the only one."""
    names = list(dict.fromkeys(each.workload for each in known))
    if not names:
        raise UsageError("--from: no run has records of jobs that were measured. Give a race, load, limit or sweep.")
    if question.workload and question.workload not in names:
        raise UsageError(
            f"--workload {question.workload!r}: the runs have no records of it. They have "
            f"{one_of(question.workload, names)}. Name one of these, or give runs of it."
        )
    if not question.workload and len(names) > 1:
        raise UsageError(f"--workload: the runs have several. Name one: {', '.join(names)}.")
    return question.workload or names[0]


def _check_same_jobs(observed: Sequence[Observation]) -> None:
    lengths = {each.job_s: each.run for each in observed if each.job_s is not None}
    if len(lengths) > 1:
        (one_s, one), (other_s, other) = list(lengths.items())[:2]
        raise UsageError(
            f"--from: jobs of {one_s * 1000:g} ms in {one} and of {other_s * 1000:g} ms in {other}. Give runs of the "
            "same jobs, e.g. with the same --job-duration."
        )


def _asked(observed: Sequence[Observation], question: FleetQuestion) -> list[Observation]:
    """Return what was observed of the lanes that are asked for, by their keys or pools."""
    names = list(dict.fromkeys(name for each in observed for name in (each.name, each.lane.pool)))
    for wanted in question.lanes:
        if wanted not in names:
            raise UsageError(f"--lane {wanted!r}: not in these runs. They have {one_of(wanted, names)}.")
    return [
        each
        for each in observed
        if not question.lanes or each.name in question.lanes or each.lane.pool in question.lanes
    ]


def _lane(
    observed: Sequence[Observation], beside: Sequence[Observation], runs: Sequence[Run], question: FleetQuestion
) -> LaneAnswer:
    known = inputs(observed, beside)
    errors = tuple(held_out(observed, runs, beside))
    allowed = allowance(errors)
    options = fleet_options(known, question, allowed)
    return LaneAnswer(
        lane=known.name,
        pool=known.lane.pool,
        transport=known.lane.transport,
        best=best_option(options),
        options=options,
        facts=_facts(known, observed),
        held_out=errors,
        allowance=allowed,
    )


def _facts(known: FleetInputs, observed: Sequence[Observation]) -> FleetFacts:
    return FleetFacts(
        jobs=sum(each.jobs for each in observed),
        job_s=known.work.mean_s,
        job_cpu_s=float(known.work.cpu_s.mean()),
        alone=known.alone,
        gap_s=float(known.gap_s.mean()),
        node_s=known.node_s,
        node_measured=known.node_measured,
        broker_s=known.broker_s,
        broker_holds_per_s=BROKER_SHARE / known.broker_s if known.broker_s else None,
        ping_s=known.ping_s,
        measured=known.measured,
    )


def _warnings(observed: Sequence[Observation], lanes: Sequence[LaneAnswer], question: FleetQuestion) -> Iterator[str]:
    """Yield what makes this answer less sure than it looks."""
    machines = list(dict.fromkeys(each.machine for each in observed))
    if len(machines) > 1:
        yield f"The runs are of different machines: {'; '.join(machines)}. Their jobs are taken together."
    crowded = dict.fromkeys(each.run for each in observed if each.crowded)
    if crowded:
        yield (
            f"Other programs used more than {CROWDED_SHARE * 100:.0f} % of the cores in {', '.join(crowded)}: long "
            "waits there are theirs, and no allowance is made for its errors. Measure on a quiet machine."
        )
    limited = {each.name: cpus for each in observed if (cpus := cpus_of(each.lane.settings))}
    if limited:
        yield (
            f"Nodes had a CPU limit ({', '.join(f'{name} {cpus:g} cores' for name, cpus in limited.items())}). That "
            "the kernel stops such a node, with all its slots, is not simulated: times come out too short where it did."
        )
    times = max((lane.best.nodes or 0) / max(nodes for nodes, _ in lane.facts.measured) for lane in lanes)
    if times > FAR:
        yield (
            f"Up to {times:,.0f} times as many nodes as were measured: what nodes share beside the broker, such as a "
            "database, is known only up to there."
        )
    said: dict[str, list[str]] = {}
    for lane in lanes:
        for text in _lane_warnings(lane, question):
            said.setdefault(text, []).append(lane.lane)
    yield from (f"{', '.join(names)}: {text}" for text, names in said.items())


def _lane_warnings(lane: LaneAnswer, question: FleetQuestion) -> Iterator[str]:
    facts, best = lane.facts, lane.best
    if not any(each.p99_s and not each.crowded for each in lane.held_out):
        yield (
            "how far its p99 is off is not known: no held-out run on a quiet machine has 1,000 jobs at a "
            "rate. Give a second run, with longer trials (--duration)."
        )
    if not best.measured:
        yield f"nodes with {best.slots} slots were not measured; that they do as others is assumed."
    if facts.broker_s is None:
        yield "the broker's CPU time was not stored in these runs, so it is left out. Measure again."
    if not facts.alone:
        yield "few jobs had a core to themselves, so that those measured look longer than they are."
    if not facts.node_measured:
        yield ("a node's own time for a job is its CPU time. Add a run that shows it: poolrace race --workload noop.")
    if question.rtt_s is not None and question.rtt_s > facts.ping_s and not facts.ping_s:
        yield f"no distance was measured; {question.rtt_s * 1000:g} ms is by round trips (docs/sweep.md)."
