"""
The sweep: a small race at each value of one setting, on lanes and jobs that differ in nothing else.

The values take turns: in each round every value is raced once, and the next round has them in another order. So what
changes meanwhile on the machine, and what differs from one start of a node to the next, is spread over all values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from producer.analysis.analyse import analyse
from producer.measure.race import LEAST_RATE_PER_S, backlog_jobs, balanced, score
from producer.measure.sizing import sized_jobs
from producer.measure.trial_spec import TrialSpec
from producer.plan.arrivals import backlog, held, seed_for
from producer.plan.jobs import with_payload
from producer.plan.run_settings import PlannedPoint, SweepOptions
from producer.plan.settings import RaceSettings
from producer.rundir.reader import read_trial
from producer.rundir.trials import Kind, rate_per_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.measure.session import Session
    from producer.plan.arrivals import Plan
    from producer.plan.axis import Axis
    from producer.plan.jobs import Jobs
    from producer.plan.lanes import Lane
    from producer.plan.run_settings import RunSettings
    from producer.rundir.trials import Trial

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings(RaceSettings):
    """
    The settings of a sweep.

    Attributes:
        axis: The setting that is varied, and its values.
        pairs: Trials of each kind on each lane, at each value: fewer than in a race, as there are several values.
        base: The lanes as they were given; `lanes` holds those of all points.
        memory_bytes: The memory that a node may use, for the recommendation; None for no bound.
    """

    kind: ClassVar[str] = "sweep"

    axis: Axis
    base: tuple[Lane, ...]
    pairs: int = 3
    memory_bytes: int | None = None

    @property
    def starts_all(self) -> bool:
        """False where each point has lanes of its own: idle lanes of other points would take memory beside them."""
        return not self.axis.of_lanes

    @property
    def workload(self) -> str:
        """The workload that is swept."""
        return self.workloads[0]

    def label(self, text: str) -> str:
        """Return the name of a point's jobs in reports and records; trials are paired within a point."""
        return f"{self.workload} {self.axis.name}={text}"

    def run_settings(self) -> RunSettings:
        """Return what the manifest records."""
        points = [
            PlannedPoint(
                value=text,
                workload=self.label(text),
                lanes={lane.key: kept.key for lane, kept in zip(self.at(value), self.kept, strict=True)},
            )
            for text, value in zip(self.axis.texts, self.axis.values, strict=True)
        ]
        options = SweepOptions(
            axis=self.axis.name, base=tuple(self.kept), points=tuple(points), memory_bytes=self.memory_bytes
        )
        return replace(RaceSettings.run_settings(self), sweep=options)

    @property
    def kept(self) -> Sequence[Lane]:
        """The lanes before anything is varied; those of a running fleet are known once it has been found."""
        return self.base if self.axis.of_lanes else self.lanes

    def at(self, value: Any) -> Sequence[Lane]:
        """Return the lanes at a value of the axis."""
        return self.axis.lanes(value, self.kept)


def measure_sweep(settings: SweepSettings, session: Session) -> None:
    """Race at every value in each round; lanes of a value run only while it is raced."""
    points = [
        _Point(settings, session, value, text)
        for text, value in zip(settings.axis.texts, settings.axis.values, strict=True)
    ]
    session.progress.begin(sum(point.trials for point in points))
    for round_ in range(settings.pairs):
        for point in there_and_back(points, round_):
            point.race(round_)


def there_and_back(points: Sequence[T], round_: int) -> list[T]:
    """
    Return the order of values in a round: every other one is the one before it in reverse.

    So two rounds leave nothing of a machine that becomes slower evenly. Each two rounds begin at another value, about
    a fifth further on: there an odd round leaves the least of it.
    """
    turn = round_ // 2 * max(1, round(len(points) / 5)) % len(points)
    order = [*points[turn:], *points[:turn]]
    return order[::-1] if round_ % 2 else order


class _Point:
    """
    A value of a sweep, which is raced once a round.

    Attributes:
        trials: Trials that it takes in all rounds together, warm-ups included.
    """

    def __init__(self, settings: SweepSettings, session: Session, value: Any, text: str) -> None:
        self._settings = replace(settings, lanes=tuple(settings.at(value)))
        self._session = session
        self._starts = not settings.starts_all
        self._jobs = replace(_jobs(settings, session, value, settings.label(text)), workload=settings.label(text))
        self._backlog: Plan | None = None
        self._held_per_s = 0.0
        warm_ups = settings.pairs if self._starts else 1
        self.trials = len(self._settings.lanes) * (2 * settings.pairs + warm_ups)

    def race(self, round_: int) -> None:
        """Measure capacity and then latency on each lane, on nodes that are started for it where they are varied."""
        lanes = self._settings.lanes
        for lane in lanes if self._starts else ():
            self._session.start(lane)
        if self._starts or self._backlog is None:
            self._warm_up()
        self._race(balanced(lanes, round_), round_)
        for lane in lanes if self._starts else ():
            self._session.stop(lane)

    def _warm_up(self) -> None:
        trials = [self._session.runner.warm_up(self._jobs, lane) for lane in self._settings.lanes]
        for trial in trials:
            self._tell(trial)
        if self._backlog is None:
            self._backlog = backlog(backlog_jobs(self._settings, list(map(rate_per_s, trials))))

    def _race(self, lanes: Sequence[Lane], round_: int) -> None:
        assert self._backlog is not None
        trials = [self._measure(Kind.CAPACITY, lane, self._backlog, round_) for lane in lanes]
        if not self._held_per_s:
            # Of the first round, and then kept: at one rate the trials of all rounds are of one thing.
            slower = min(map(self._capacity_per_s, trials))
            self._held_per_s = max(self._settings.utilisation * slower, LEAST_RATE_PER_S)
        seed = seed_for(self._settings.seed, self._jobs.workload, round_)
        plan = held(self._held_per_s, self._settings.trial_s, self._settings.arrivals, seed)
        for lane in lanes:
            self._measure(Kind.LATENCY, lane, plan, round_)

    def _measure(self, kind: Kind, lane: Lane, plan: Plan, round_: int) -> Trial:
        spec = TrialSpec(kind=kind, jobs=self._jobs, lane=lane, plan=plan, round=round_, ping=kind is Kind.CAPACITY)
        trial, records = self._session.runner.measure_with_records(spec)
        self._session.progress.score(score(trial, records))
        self._tell(trial)
        return trial

    def _capacity_per_s(self, trial: Trial) -> float:
        run = read_trial(self._session.writer.path, trial)
        (found,) = analyse(run.trials, run.sent, run.records, run.children).trials
        return found.capacity_per_s or rate_per_s(trial)

    def _tell(self, trial: Trial) -> None:
        what = f"{trial.workload} {trial.kind} {trial.lane}"
        self._session.progress.trial(f"{what}: {trial.jobs} jobs, {rate_per_s(trial):.0f}/s")


def _jobs(settings: SweepSettings, session: Session, value: Any, label: str) -> Jobs:
    """Return the jobs at a value, and note their size in the manifest by the label."""
    jobs, size = session.jobs[settings.workload], session.writer.manifest["sizes"].get(settings.workload)
    if settings.axis.name == "cpu-share":
        found, sizes = sized_jobs(replace(settings, cpu_share=value, sizes={}))
        jobs, size = found[settings.workload], sizes[settings.workload]
    session.writer.update_manifest(sizes={**session.writer.manifest["sizes"], label: size})
    return with_payload(jobs, value) if settings.axis.name == "payload" else jobs
