"""Rounds: the same trial on each lane, one after the other in balanced order, whose figures are compared."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from producer.analysis.analyse import analyse
from producer.analysis.disturbance import with_crowds
from producer.measure.progress import Score
from producer.measure.trial import UnfinishedTrialError
from producer.measure.trial_spec import TrialSpec
from producer.plan.arrivals import Plan, backlog, constant, poisson_of_one_size, seed_for
from producer.plan.own_app import MIX
from producer.plan.stages import STAGES, with_returns
from producer.rundir.reader import read_trial
from producer.rundir.trials import AT_HELD_RATE, PAIRED, Kind, Trial, rate_per_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import polars as pl

    from producer.analysis.results import TrialResult
    from producer.measure.progress import Progress
    from producer.measure.trial import TrialRunner
    from producer.plan.jobs import Jobs
    from producer.plan.lanes import Lane
    from producer.plan.settings import RaceSettings

MIN_JOBS_A_SLOT = 8
"""The fewest jobs a slot in a backlog: with fewer, the slots' first and last jobs would be much of it."""

LENGTHS_A_TRIAL = 4
"""The least length of a trial at a held rate, in lengths of a job: a shorter one has hardly a job after its lead-in."""

LEAST_RATE_PER_S, LEAST_JOBS = 1.0, 2
"""A held rate is this at least, or less where a trial is so long that it has this many jobs at less."""

PINGED_S = 0.5
"""How long nodes are pinged under a backlog."""

MOST_UNFINISHED = 2
"""So many trials of a run may lose jobs; one more ends it: the lane is at fault, and not chance."""

Group = tuple[Kind, str]
"""A kind of trial and a workload: what a round is of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundsSoFar:
    """
    The rounds of a kind of trial with a workload so far.

    Attributes:
        tried: How many there were.
        good: How many of them count: complete, and nothing disturbed them.
    """

    tried: int
    good: int


class Rounds:
    """
    The rounds of a race.

    Attributes:
        trials: Every trial so far but warm-ups, those of an earlier part of the run included.
        start: Which start of the lanes' nodes it is, from 1.
    """

    def __init__(
        self,
        settings: RaceSettings,
        runner: TrialRunner,
        progress: Progress,
        result_of: Callable[[Trial], TrialResult],
    ) -> None:
        self.trials: list[Trial] = []
        self.start = 1
        self._settings = settings
        self._runner = runner
        self._progress = progress
        self._result_of = result_of
        self._results: list[TrialResult] = []
        self._warm: dict[tuple[str, int], dict[str, float]] = {}
        self._took_s: dict[Group, float] = {}
        self._job_s: dict[str, float] = {}
        self._unfinished = 0

    @property
    def results(self) -> list[TrialResult]:
        """The figures of every trial so far."""
        return with_crowds(self._results, self.trials)

    def take_up(self, trials: Sequence[Trial], results: Sequence[TrialResult]) -> None:
        """Go on behind the trials of an earlier part of the run."""
        self.trials += trials
        self._results += results
        self.start = 1 + max((trial.start for trial in trials), default=0)

    def so_far(self, group: Group, lanes: Sequence[Lane]) -> RoundsSoFar:
        """Return how many rounds of a group there were, and how many count."""
        found = [each for each in self.results if (each.kind, each.workload) == group]
        rounds = Counter(each.round for each in found)
        disturbed = {each.round for each in found if each.disturbed}
        good = [turn for turn, count in rounds.items() if count == len(lanes) and turn not in disturbed]
        return RoundsSoFar(tried=len(rounds), good=len(good))

    def expected_s(self, group: Group, lanes: Sequence[Lane]) -> float:
        """Return how long the next round of a group is likely to take, in seconds."""
        if group in self._took_s:
            return self._took_s[group]
        kind, workload = group
        rates = self._warm.get((workload, self.start), {})
        if kind in AT_HELD_RATE or not all(rates.values()) or not rates:
            return len(lanes) * self._held_s(workload)
        if kind is Kind.PING:
            return sum(self._pinged(workload, lane).jobs / rates[lane.key] for lane in lanes)
        jobs = backlog_jobs(self._settings, list(rates.values()))
        return sum(jobs / rates[lane.key] for lane in lanes)

    def find_lengths(self, workload: str, jobs: Jobs, lanes: Sequence[Lane]) -> float:
        """Run a few jobs of a workload on each lane, which warms it up; return how long one takes, in seconds."""
        self._warm_up(jobs, lanes)
        return self._job_s[workload]

    def is_lengthened(self, workload: str) -> bool:
        """Check whether the jobs of a workload take so long that its trials last longer than was asked."""
        return MIN_JOBS_A_SLOT * self._job_s[workload] > self._settings.trial_s

    def _held_s(self, workload: str) -> float:
        """
        Return how long a workload's rate is held, lead-in included: as asked, or longer for jobs that take long.

        All rounds share the first one's: warm-ups of later starts find other lengths of a job.
        """
        if (first := self._first_held(workload)) is not None and first.planned_s is not None:
            return first.planned_s
        trial_s = max(self._settings.trial_s, LENGTHS_A_TRIAL * self._job_s.get(workload, 0.0))
        return trial_s * (1 + self._settings.lead_in_s / self._settings.trial_s)

    def _lead_in_s(self, workload: str) -> float:
        asked_s = self._settings.lead_in_s
        return self._held_s(workload) * asked_s / (self._settings.trial_s + asked_s)

    def measure(self, group: Group, jobs: Jobs, lanes: Sequence[Lane]) -> None:
        """
        Run one round; one that is disturbed ends early, since it does not count.

        Raises:
            UnfinishedTrialError: If jobs were lost in too many trials of the run.
            FleetError: If the broker, a node or a publisher is gone.
        """
        kind, workload = group
        if (workload, self.start) not in self._warm:
            self._warm_up(jobs, lanes)
        began_s = self._runner.monotonic()
        turn = 1 + max((each.round for each in self.trials if (each.kind, each.workload) == group), default=-1)
        plan = None if kind is Kind.PING else self._plan(group, turn)
        for lane in balanced(lanes, turn):
            # Each lane's nodes are pinged for as long, under a backlog that is theirs.
            if self._trial(group, jobs, lane, plan or self._pinged(workload, lane), turn).disturbed:
                return
        self._took_s[group] = self._runner.monotonic() - began_s

    def _plan(self, group: Group, turn: int) -> Plan:
        kind, workload = group
        if kind is Kind.CAPACITY:
            return self._backlog(workload)
        # Mixes of which another lane takes some tasks have the jobs of the same round of the mix on one lane.
        return self._arrivals(workload, turn)

    def _pinged(self, workload: str, lane: Lane) -> Plan:
        return backlog(max(2 * lane.slots, round(PINGED_S * self._rates(workload)[lane.key])))

    def _trial(self, group: Group, jobs: Jobs, lane: Lane, plan: Plan, turn: int) -> TrialResult:
        kind, workload = group
        spec = TrialSpec(
            kind=kind,
            jobs=jobs,
            lane=lane,
            plan=plan,
            planned_s=self._held_s(workload) if kind in AT_HELD_RATE else None,
            round=turn,
            mix_seed=seed_for(self._settings.seed, "mix", workload, turn),
            lead_in_s=self._lead_in_s(workload) if kind in AT_HELD_RATE else 0.0,
            elsewhere=self._settings.elsewhere(lane) if kind is Kind.APART else {},
            start=self.start,
            ping=kind is Kind.PING,
        )
        try:
            trial, records = self._runner.measure_with_records(spec)
            if kind in PAIRED:
                self._progress.score(score(trial, records))
        except UnfinishedTrialError as error:
            self._unfinished += 1
            if self._unfinished > MOST_UNFINISHED:
                raise
            trial = error.trial
        result = self._result_of(trial)
        self.trials.append(trial)
        self._results.append(result)
        self._tell(trial, result)
        return result

    def _warm_up(self, jobs: Jobs, lanes: Sequence[Lane]) -> None:
        rates = self._warm[jobs.workload, self.start] = {}
        for lane in lanes:
            trial, records = self._runner.warm_up(jobs, lane)
            rates[lane.key] = rate_per_s(trial)
            if jobs.timeout_s is not None:  # a user's own jobs; ours are sized
                self._job_s[jobs.workload] = max(self._job_s.get(jobs.workload, 0.0), _length_s(records))
            self._progress.trial(f"{trial.workload} warm-up {trial.lane}")

    def _backlog(self, workload: str) -> Plan:
        return backlog(backlog_jobs(self._settings, list(self._rates(workload).values())))

    def _rates(self, workload: str) -> dict[str, float]:
        """Return the jobs per second of each lane, as far as they are known: its capacity, or what its warm-up did."""
        return self._capacities(workload) or self._warm[workload, self.start]

    def _capacities(self, workload: str) -> dict[str, float]:
        """Return the median capacity of each lane so far, in jobs per second; empty without any."""
        found: dict[str, list[float]] = {}
        for each in self.results:
            if each.kind is Kind.CAPACITY and each.workload == workload and each.capacity_per_s and not each.disturbed:
                found.setdefault(each.lane, []).append(each.capacity_per_s)
        return {lane: median(values) for lane, values in found.items()}

    def _arrivals(self, workload: str, turn: int) -> Plan:
        duration_s = self._held_s(workload)
        rate = max(self._held_per_s(workload), min(LEAST_RATE_PER_S, LEAST_JOBS / duration_s))
        if self._settings.arrivals == "constant":
            return constant(rate, duration_s)
        return poisson_of_one_size(rate, duration_s, seed_for(self._settings.seed, workload, turn))

    def _first_held(self, workload: str) -> Trial | None:
        """Return the first trial of a workload at a held rate, if there was one."""
        return next((t for t in self.trials if t.kind is Kind.LATENCY and t.workload == workload), None)

    def _held_per_s(self, workload: str) -> float:
        """Return the rate to hold, which all rounds of a workload share: that of the first one."""
        if (first := self._first_held(workload)) is not None and first.rate_per_s:
            return first.rate_per_s
        asked, own_app = self._settings.rate_per_s, self._settings.own_app
        if asked is not None:
            return asked * (own_app.shares.get(workload, 1.0) if own_app else 1.0)
        if own_app and workload != MIX and MIX in self._settings.workloads and self._capacities(MIX):
            # The same rate as in the mix, so that a task can be compared with itself among others.
            return own_app.shares.get(workload, 1.0) * self._held_per_s(MIX)
        slowest = min(self._rates(workload).values())
        return self._settings.utilisation * slowest

    def _tell(self, trial: Trial, result: TrialResult) -> None:
        held = f", held {trial.rate_per_s:.0f}/s" if trial.rate_per_s else ""
        rate = f", {result.capacity_per_s:.0f}/s" if result.capacity_per_s else held
        again = f": {result.disturbed}, once more" if result.disturbed else ""
        self._progress.trial(f"{trial.workload} {trial.kind} {trial.lane}: {trial.jobs} jobs{rate}{again}")


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


def _length_s(records: pl.DataFrame) -> float:
    """Return how long a job holds its slot, the median, in seconds; 0 if none succeeded."""
    found = with_returns(records).select(STAGES["service"].took_s.median()).item()
    return float(found or 0.0)


def backlog_jobs(settings: RaceSettings, rates_per_s: Sequence[float]) -> int:
    """Return the jobs of a backlog, the same for every lane, so that a trial of a round lasts `trial_s` on average."""
    mean_s_per_job = sum(1 / rate for rate in rates_per_s) / len(rates_per_s)
    least = MIN_JOBS_A_SLOT * max(lane.slots for lane in settings.lanes)
    return max(least, round(settings.trial_s / mean_s_per_job))


def result_in(folder: Path) -> Callable[[Trial], TrialResult]:
    """Return a function that computes a trial's figures from what a run directory has of it."""

    def result_of(trial: Trial) -> TrialResult:
        run = read_trial(folder, trial)
        return analyse(run.trials, run.sent, run.records, run.children).trials[0]

    return result_of
