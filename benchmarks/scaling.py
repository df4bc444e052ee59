"""
The efficiency of more nodes: what several nodes with a CPU limit do, over as many times what one does.

Each node has a small part of a core, so that eight of them, the broker and what sends fit into two cores, and what is
measured is the fleet and not the machine. Nodes are started for each turn, numbers of nodes take turns, and every other
round has them in reverse.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.figures import Figure, Promise, Skipped, jobs_per_s
from producer.analysis.analyse import analyse
from producer.analysis.quota import quota_problems
from producer.errors import PoolraceError
from producer.fleet.control_group import GroupLimits, why_not
from producer.fleet.machine import describe
from producer.measure.session import run_session
from producer.measure.sizing import calibrate
from producer.measure.trial_spec import TrialSpec
from producer.plan.arrivals import backlog
from producer.plan.lanes import parse_lane
from producer.plan.settings import RaceSettings
from producer.report.progress.display import Silent
from producer.rundir.reader import read_run
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.figures import Result
    from producer.measure.session import Session
    from producer.plan.lanes import Lane
    from producer.rundir.run import Run

POOLS = ("prefork", "threads")
NODES = (1, 2, 4, 8)
SLOTS, CPUS = 2, 0.1
PROMISES = {"cpu": Promise(least=0.9), "io": Promise(least=0.95)}
JOB_S = {"cpu": 0.02, "io": 0.1}
"""On a tenth of a core a cpu job takes ten times as long, and io jobs leave nodes half of their CPU time."""

PER_S = {"cpu": CPUS / JOB_S["cpu"], "io": SLOTS / JOB_S["io"]}
"""Jobs a second that one node could do at most."""

LEAST_CORES = 2
Capacities: TypeAlias = "Mapping[tuple[str, str], list[float]]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingSettings(RaceSettings):
    """
    The settings of a race in which one lane at a time is measured, over backlogs.

    Attributes:
        rounds: How often each lane has its turn.
    """

    rounds: int

    @property
    def starts_all(self) -> bool:
        """False: idle nodes of other lanes would take part of the machine."""
        return False


def measure(
    *, rounds: int = 3, nodes: Sequence[int] = NODES, trial_s: float = 6.0, pools: Sequence[str] = POOLS
) -> list[Result]:
    """Measure each pool with each number of nodes in turn."""
    name = f"nodes of {CPUS:g} cores"
    if reason := why_not(GroupLimits(cpus=CPUS)):
        return [Skipped(name=name, reason=reason)]
    if (cores := describe().cores) < LEAST_CORES:
        return [Skipped(name=name, reason=f"they need {LEAST_CORES} cores, and here are {cores:g}")]
    found = _capacities(_measured(rounds, nodes, trial_s, pools))
    return [
        _figure(found, workload, pool, many) for workload in PROMISES for pool in pools for many in nodes if many > 1
    ]


def _measured(rounds: int, nodes: Sequence[int], trial_s: float, pools: Sequence[str]) -> Run:
    lanes = tuple(
        replace(parse_lane(f"{pool}:{SLOTS}:prefetch=1:nodes={many}:cpus={CPUS}"), key=_key(pool, many))
        for many in nodes
        for pool in pools
    )
    sizes = {
        workload: calibrate([workload], job_s=job_s, cpu_share=None)[workload] for workload, job_s in JOB_S.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        settings = ScalingSettings(
            lanes=lanes, workloads=tuple(PROMISES), trial_s=trial_s, sizes=sizes, rounds=rounds, out=Path(folder)
        )
        path, error = run_session(settings, Silent(), _take_turns)
        if error is not None:
            raise error
        return read_run(path)


def _key(pool: str, nodes: int) -> str:
    return f"{pool}-{nodes}"


def _take_turns(settings: ScalingSettings, session: Session) -> None:
    for turn in range(settings.rounds):
        for lane in settings.lanes[:: -1 if turn % 2 else 1]:
            session.start(lane)
            _work_off(settings, session, lane, turn)
            session.stop(lane)


def _work_off(settings: ScalingSettings, session: Session, lane: Lane, turn: int) -> None:
    """Work off a backlog of each workload on a lane, as long on each number of nodes."""
    for workload, jobs in session.jobs.items():
        session.runner.warm_up(jobs, lane)
        plan = backlog(round(settings.trial_s * PER_S[workload]) * lane.nodes)
        session.runner.measure(
            TrialSpec(kind=Kind.CAPACITY, jobs=jobs, lane=lane, plan=plan, round=turn, start=turn + 1)
        )


def _capacities(run: Run) -> Capacities:
    """
    Return the capacity of each workload on each lane, round by round.

    Raises:
        PoolraceError: If a quota was not kept, or jobs are missing: the figures would be those of something else.
    """
    analysis = analyse(run.trials, run.sent, run.records, run.children)
    problems = [*quota_problems(run), *([] if analysis.settlement.complete else ["Not all jobs came to one end."])]
    if problems:
        raise PoolraceError(" ".join(problems))
    found: dict[tuple[str, str], list[float]] = {}
    for trial in analysis.trials:
        if trial.capacity_per_s is not None:
            found.setdefault((trial.workload, trial.lane), []).append(trial.capacity_per_s)
    return found


def _figure(found: Capacities, workload: str, pool: str, nodes: int) -> Figure:
    """Return the capacity of several nodes over so many times that of one in the same round."""
    many, one = (found[workload, _key(pool, each)] for each in (nodes, 1))
    rounds = [(all_of_them, nodes * alone) for all_of_them, alone in zip(many, one, strict=True)]
    name = f"{workload}, {pool}: capacity of {nodes} nodes of {CPUS:g} cores / {nodes} x that of one"
    return Figure.of(name, rounds, jobs_per_s, PROMISES[workload])
