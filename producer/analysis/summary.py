"""
The summary of a run: recomputed from the run directory alone, written as `summary.json`.

`docs/run-directory.md` describes every key. A change of meaning changes `SCHEMA`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from producer.analysis.analyse import analyse
from producer.analysis.answer import Answer, answers
from producer.analysis.clocks import NodeClock, node_clocks
from producer.analysis.kinds import kind_of
from producer.analysis.lane_facts import LaneFacts, lane_facts
from producer.analysis.limit import LimitSummary
from producer.analysis.load import LoadSummary
from producer.analysis.pairs import pair
from producer.analysis.price import Price
from producer.analysis.recommendation import NOT_VALID, no_recommendation, only_lane_that_runs, recommend
from producer.analysis.settle import Settlement, Unsettled, unsettled
from producer.analysis.slowed import Apart, Slowed, slowed_tasks, tasks_apart
from producer.analysis.soak import SoakSummary
from producer.analysis.sweep import SweepSummary
from producer.analysis.validity import problems_of, status_of, warnings_of
from producer.analysis.verdict import judge
from producer.analysis.workload import WorkloadSummary, with_ping_and_price
from producer.plan.run_settings import RunSettings
from producer.rundir.machine import Machine
from producer.rundir.manifest import Distance, OthersOnHost
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.kind import RunKind
    from producer.analysis.recommendation import Recommendation
    from producer.analysis.results import Analysis, LaneResult
    from producer.analysis.verdict import Verdict
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

SCHEMA = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """
    The identity of a run.

    Attributes:
        id: 16 hexadecimal digits.
        directory: Name of its directory.
        began_at: When it began, in seconds since 1970; None if it did not get that far.
        ended_at: When it ended.
        measured_s: How long it measured, in seconds: from its first trial to its last one, on each start of the nodes.
    """

    id: str
    directory: str
    began_at: float | None
    ended_at: float | None
    measured_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """
    The summary of a run. `load`, `limit`, `sweep` and `soak` are None for runs of other kinds.

    Attributes:
        schema: Version of the summary.
        run: Which run it is.
        status: `complete`, `incomplete` or `invalid`.
        valid: Whether the figures may be used.
        problems: Why not, a sentence each.
        warnings: What to bear in mind, a sentence each.
        settings: What was asked.
        machine: The machine it ran on; None if it did not get that far.
        others_cores: Cores' worth of CPU time that other programs used while trials ran; None if unknown.
        hosts: What others used of the machines of nodes that ran already.
        price: What the reader pays for a core; None if nothing was said of it.
        settlement: What became of all jobs.
        unknown_records: Records of jobs that were never sent; they are in no figure.
        unsettled: The jobs that did not come to one end.
        lanes: The lanes as they ran.
        distances: How far lanes were from the broker, where a distance was asked for.
        clocks: The clocks of nodes, where there are several hosts or one is off.
        workloads: What was found with each workload.
        answers: Of a race of a user's own app: one answer a task, and one for all together.
        slowed: Of such a race: the tasks that are slower in the mix than alone.
        apart: Of such a race, if it was asked for: each task while lanes shared the mix.
        load: Of a load.
        limit: Of a search for the limit.
        sweep: Of a sweep.
        soak: Of a soak.
    """

    schema: int
    run: RunFacts
    status: str
    valid: bool
    problems: tuple[str, ...]
    warnings: tuple[str, ...]
    settings: RunSettings
    machine: Machine | None
    others_cores: float | None
    hosts: tuple[OthersOnHost, ...]
    price: Price | None
    settlement: Settlement
    unknown_records: int
    unsettled: tuple[Unsettled, ...]
    lanes: tuple[LaneFacts, ...]
    workloads: tuple[WorkloadSummary, ...]
    answers: tuple[Answer, ...]
    distances: tuple[Distance, ...] = ()
    clocks: tuple[NodeClock, ...] = ()
    slowed: tuple[Slowed, ...] = ()
    apart: tuple[Apart, ...] = ()
    load: LoadSummary | None = None
    limit: LimitSummary | None = None
    sweep: SweepSummary | None = None
    soak: SoakSummary | None = None

    @property
    def met(self) -> bool:
        """True if nothing that was asked of the lanes was broken."""
        return all(part.met for part in (self.load, self.limit, self.soak) if part)


def summarise(run: Run, price: Price | None = None) -> Summary:
    """
    Recompute everything from a run as it was read.

    Args:
        run: The run.
        price: What the reader pays for a core; without it nothing is said of money.
    """
    manifest, kind = run.manifest, kind_of(run)
    analysis = analyse(run.trials, run.sent, run.records, run.children)
    race = manifest.settings.race  # a load has none, and compares nothing
    verdicts = judge(pair(analysis.trials), race.margin) if race else []
    parts = kind.summarise(run, analysis, verdicts)
    part: dict[str, Any] = {} if parts.found is None else {kind.name: parts.found}
    stray = unsettled(analysis.fates, run.trials)
    problems = (*problems_of(run, analysis, stray), *parts.problems)
    lanes = tuple(lane_facts(run, lane) for lane in manifest.settings.lanes)
    workloads = _workloads(run, analysis, verdicts, kind, price, valid=not problems)
    disturbed = {each.trial for each in analysis.trials if each.disturbed}
    return Summary(
        schema=SCHEMA,
        run=RunFacts(
            id=manifest.run_id,
            directory=run.path.name,
            began_at=manifest.began_at,
            ended_at=manifest.ended_at,
            measured_s=measured_s(run.trials),
        ),
        status=status_of(run),
        valid=not problems,
        problems=problems,
        warnings=tuple(warnings_of(run, analysis)),
        settings=manifest.settings,
        machine=manifest.machine,
        others_cores=manifest.others_cores,
        hosts=manifest.hosts,
        price=price,
        settlement=analysis.settlement,
        unknown_records=analysis.unknown_records,
        unsettled=tuple(stray),
        lanes=lanes,
        distances=manifest.distances,
        clocks=node_clocks(manifest.clocks),
        workloads=workloads,
        answers=answers(run, workloads, lanes) if kind.recommends else (),
        slowed=slowed_tasks(run, disturbed) if kind.recommends else (),
        apart=tasks_apart(run, disturbed),
        **part,
    )


def measured_s(trials: Sequence[Trial]) -> float:
    """Return how long was measured, the start of nodes apart, however far its parts are from each other."""
    starts: dict[int, list[Trial]] = {}
    for trial in trials:
        if trial.kind is not Kind.WARM_UP:
            starts.setdefault(trial.start, []).append(trial)
    return sum(max(t.ended_at for t in each) - min(t.began_at for t in each) for each in starts.values())


def _workloads(
    run: Run, analysis: Analysis, verdicts: Sequence[Verdict], kind: RunKind, price: Price | None, *, valid: bool
) -> tuple[WorkloadSummary, ...]:
    return tuple(
        WorkloadSummary(
            workload=name,
            size=run.manifest.sizes.get(name),
            lanes=(
                lanes := tuple(
                    with_ping_and_price(run, each, price) for each in analysis.lanes if each.workload == name
                )
            ),
            verdicts=(ours := tuple(verdict for verdict in verdicts if verdict.workload == name)),
            recommendation=_recommendation(run, kind, ours, lanes) if valid else NOT_VALID,
        )
        for name in dict.fromkeys(lane.workload for lane in analysis.lanes)
    )


def _recommendation(
    run: Run, kind: RunKind, verdicts: Sequence[Verdict], results: Sequence[LaneResult]
) -> Recommendation:
    race, lanes = run.manifest.settings.race, run.manifest.settings.lanes
    if not kind.recommends or race is None:
        return no_recommendation(kind.name)
    return only_lane_that_runs(run, lanes, results) or recommend(run, lanes, verdicts, race.margin)
