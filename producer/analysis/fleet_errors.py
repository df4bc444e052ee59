"""
The error of a fleet's model on runs that it has not seen: predicted against measured. Pure.

Each observation is predicted from the others of its kind of lane and workload. If there is only one, its trials are
split: those of even rounds predict those of odd ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from producer.analysis.analyse import capacity_per_s
from producer.analysis.fleet_inputs import inputs, observations
from producer.analysis.fleet_plan import Allowance, expect
from producer.analysis.fleet_simulation import simulate
from producer.analysis.percentiles import values_beyond
from producer.plan.arrivals import seed_for
from producer.plan.fleet_question import FleetQuestion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.fleet_inputs import FleetInputs, Observation
    from producer.analysis.fleet_simulation import FleetModel
    from producer.rundir.run import Run

JOBS_A_SLOT = 60
LEAST_JOBS = 1_000
"""Of the backlog that is simulated for a throughput."""

ENOUGH_BEYOND = 10
"""A measured p99 is compared if so many jobs lie beyond it: with fewer it is chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """
    A figure as it was predicted and as it was measured.

    Attributes:
        predicted: By the simulation, fed with other runs.
        measured: In the run.
    """

    predicted: float
    measured: float

    @property
    def off(self) -> float:
        """By which part of the measured value the prediction is off; above 0 where it was too high."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """
    One observation, predicted from others.

    Attributes:
        run: The run that it is from.
        lane: Key of its lane.
        nodes: Its nodes.
        slots: Slots of each.
        rate_per_s: The rate at which jobs came; None if none was held.
        throughput_per_s: Over a backlog; None if none was worked off.
        p50_s: The median sojourn at the rate; None without one.
        p99_s: The 99th percentile; None, too, if fewer than ten jobs lie beyond it.
        split: Whether it was predicted from other trials of its own.
        crowded: Whether other programs used much of the cores, so that its figures are theirs as well.
    """

    run: str
    lane: str
    nodes: int
    slots: int
    rate_per_s: float | None
    throughput_per_s: Compared | None
    p50_s: Compared | None
    p99_s: Compared | None
    split: bool
    crowded: bool


def held_out(observed: Sequence[Observation], runs: Sequence[Run], beside: Sequence[Observation]) -> list[HeldOut]:
    """
    Predict each observation of one kind of lane and workload without its own records.

    Args:
        observed: The observations.
        runs: Where they are from.
        beside: Those of other workloads on the lane.
    """
    if len(observed) > 1:
        return [predict(inputs([other for other in observed if other is not each], beside), each) for each in observed]
    return _split(observed[0], runs, beside)


def _split(only: Observation, runs: Sequence[Run], beside: Sequence[Observation]) -> list[HeldOut]:
    """Predict the trials of odd rounds from those of even ones; nothing if there is one round alone."""
    run = next(run for run in runs if run.path.name == only.run)
    halves = []
    for odd in (False, True):
        trials = [trial.trial for trial in only.parts if bool(trial.round % 2) is odd]
        found = observations(run, trials)
        halves += [each for each in found if (each.kind, each.workload) == (only.kind, only.workload)]
    if len(halves) < 2:
        return []
    return [predict(inputs(halves[:1], beside), halves[1], split=True)]


def predict(known: FleetInputs, of: Observation, *, split: bool = False) -> HeldOut:
    """Predict an observation from what others say."""
    lane, sojourn = of.lane, of.sojourn
    question = FleetQuestion(rate_per_s=of.rate_per_s or 1.0, slo=(), arrivals=of.arrivals)
    throughput, p50, p99 = predicted(
        known, nodes=lane.nodes, slots=lane.concurrency, cores=of.free_cores, question=question
    )
    enough = sojourn is not None and values_beyond(sojourn.n, "p99") >= ENOUGH_BEYOND
    return HeldOut(
        run=of.run,
        lane=known.name,
        nodes=lane.nodes,
        slots=lane.concurrency,
        rate_per_s=of.rate_per_s,
        throughput_per_s=Compared(predicted=throughput, measured=of.capacity_per_s) if of.capacity_per_s else None,
        p50_s=Compared(predicted=p50, measured=sojourn.p50) if sojourn else None,
        p99_s=Compared(predicted=p99, measured=sojourn.p99) if sojourn and enough else None,
        split=split,
        crowded=of.crowded,
    )


def predicted(
    known: FleetInputs, *, nodes: int, slots: int, cores: float, question: FleetQuestion
) -> tuple[float, float, float]:
    """
    Predict what a run on one machine would measure.

    Args:
        known: From other runs.
        nodes: On the machine, which share its cores.
        slots: Of each.
        cores: Of the machine, those that other programs left.
        question: The rate and the arrivals.

    Returns:
        Throughput over a backlog in jobs per second, and p50 and p99 of the sojourn at the rate in seconds.
    """
    rate_per_s = question.rate_per_s

    def fleet(at_per_s: float) -> FleetModel:
        return known.model(nodes=nodes, slots=slots, cores=cores / nodes, rate_per_s=at_per_s, rtt_s=None)

    full = fleet(nodes * slots / known.work.mean_s)
    jobs = max(LEAST_JOBS, JOBS_A_SLOT * nodes * slots)
    seen = simulate(full, np.zeros(jobs), seed_for(question.seed, "backlog"))
    throughput = capacity_per_s(seen.started_s, seen.finished_s, nodes * slots) or 0.0
    sojourn = expect(fleet(rate_per_s), rate_per_s, question).stages["sojourn"]
    return throughput, sojourn.p50, sojourn.p99


def allowance(found: Sequence[HeldOut]) -> Allowance:
    """
    Return what the worst errors of a lane's predictions ask for; only those that promised too much do.

    Crowded runs ask for nothing: what they measured is not what the lane does.
    """
    quiet = [each for each in found if not each.crowded]
    slower = [each.p99_s.measured / each.p99_s.predicted for each in quiet if each.p99_s]
    less = [each.throughput_per_s.predicted / each.throughput_per_s.measured for each in quiet if each.throughput_per_s]
    return Allowance(slower=max([1.0, *slower]), less=max([1.0, *less]))
