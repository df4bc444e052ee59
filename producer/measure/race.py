"""The race: interleaved trials over lanes, in balanced order."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from producer.measure.progress import Score
from producer.measure.trial_spec import TrialSpec
from producer.plan.arrivals import Plan, backlog, constant, poisson, seed_for
from producer.plan.stages import STAGES
from producer.rundir.trials import Kind, Trial, rate_per_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from producer.measure.progress import Progress
    from producer.measure.session import Session
    from producer.measure.trial import TrialRunner
    from producer.plan.jobs import Jobs
    from producer.plan.lanes import Lane
    from producer.plan.settings import RaceSettings

MIN_JOBS_A_SLOT = 4
"""The fewest jobs a slot in a backlog: with fewer, its first and last round of jobs would be all of it."""

LEAST_RATE_PER_S = 1.0


def measure_race(settings: RaceSettings, session: Session) -> None:
    """Race all workloads, one after the other, on the running lanes."""
    session.progress.begin(len(settings.workloads) * trials_a_workload(settings))
    race = Race(settings, session.runner, session.progress)
    for workload in settings.workloads:
        race.workload(session.jobs[workload])


def trials_a_workload(settings: RaceSettings) -> int:
    """Return the number of trials of each workload, warm-ups included."""
    return len(settings.lanes) * (2 * settings.pairs + 1)


class Race:
    """One race on one fleet."""

    def __init__(self, settings: RaceSettings, runner: TrialRunner, progress: Progress) -> None:
        self._settings = settings
        self._course = runner
        self._progress = progress

    def workload(self, jobs: Jobs) -> None:
        """Measure capacity, then latency at a rate below the slower lane's capacity, in as many rounds as pairs."""
        rates = {}
        for lane in self._settings.lanes:
            trial = self._course.warm_up(jobs, lane)
            rates[lane.key] = rate_per_s(trial)
            self._tell(trial)
        plan = backlog(backlog_jobs(self._settings, list(rates.values())))
        capacities = self._rounds(Kind.CAPACITY, jobs, [plan] * self._settings.pairs, ping=True)
        held = self._held_per_s(jobs.workload, min(median(found) for found in capacities.values()))
        plans = [
            self._arrivals(jobs.workload, max(held, LEAST_RATE_PER_S), pair) for pair in range(self._settings.pairs)
        ]
        self._rounds(Kind.LATENCY, jobs, plans)

    def _held_per_s(self, workload: str, capacity_per_s: float) -> float:
        asked, own_app = self._settings.rate_per_s, self._settings.own_app
        if asked is None:
            return self._settings.utilisation * capacity_per_s
        return asked * (own_app.shares.get(workload, 1.0) if own_app else 1.0)

    def _rounds(self, kind: Kind, jobs: Jobs, plans: Sequence[Plan], *, ping: bool = False) -> dict[str, list[float]]:
        rates: dict[str, list[float]] = {lane.key: [] for lane in self._settings.lanes}
        for round_, plan in enumerate(plans):
            for lane in balanced(self._settings.lanes, round_):
                trial, records = self._course.measure_with_records(
                    TrialSpec(kind=kind, jobs=jobs, lane=lane, plan=plan, round=round_, ping=ping)
                )
                rates[lane.key].append(rate_per_s(trial))
                self._progress.score(score(trial, records))
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
    """Return the order of lanes in a round: rotated by one each round, reversed in every other full rotation."""
    turn = round_ % len(lanes)
    order = [*lanes[turn:], *lanes[:turn]]
    return order[::-1] if (round_ // len(lanes)) % 2 else order


def score(trial: Trial, records: pl.DataFrame) -> Score:
    """Return the score of a trial, from its records."""
    wait_s = records.select(STAGES["queue_wait"].took_s.median()).item()
    value = rate_per_s(trial) if trial.kind is Kind.CAPACITY else wait_s
    return Score(lane=trial.lane, workload=trial.workload, kind=trial.kind, value=value)


def backlog_jobs(settings: RaceSettings, rates_per_s: Sequence[float]) -> int:
    """Return the jobs of a backlog, the same for every lane, so that a trial of a round lasts `trial_s` on average."""
    mean_s_per_job = sum(1 / rate for rate in rates_per_s) / len(rates_per_s)
    least = MIN_JOBS_A_SLOT * max(lane.slots for lane in settings.lanes)
    return max(least, round(settings.trial_s / mean_s_per_job))
