"""
The sweep: a small race at each value of one setting, on lanes and jobs that differ in nothing else.

The values take turns: in each round every value is raced once, and the next round has them in another order. So what
changes meanwhile on the machine, and what differs from one start of a node to the next, is spread over all values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from producer.measure.rounds import Rounds, result_in
from producer.measure.sizing import sized_jobs
from producer.plan.jobs import with_payload
from producer.plan.run_settings import PlannedPoint, SweepOptions
from producer.plan.settings import RaceSettings
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.measure.rounds import Group
    from producer.measure.session import Session
    from producer.plan.axis import Axis
    from producer.plan.jobs import Jobs
    from producer.plan.lanes import Lane
    from producer.plan.run_settings import RunSettings

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
        at_value = replace(settings, lanes=tuple(settings.at(value)))
        self._lanes = at_value.lanes
        self._session = session
        self._starts = not settings.starts_all
        self._jobs = replace(_jobs(settings, session, value, settings.label(text)), workload=settings.label(text))
        self._rounds = Rounds(at_value, session.runner, session.progress, result_in(session.writer.path))
        warm_ups = settings.pairs if self._starts else 1
        self.trials = len(self._lanes) * (2 * settings.pairs + warm_ups)

    def race(self, round_: int) -> None:
        """Measure capacity and then latency on each lane, on nodes that are started for it where they are varied."""
        if self._starts:
            self._rounds.start = round_ + 1
            for lane in self._lanes:
                self._session.start(lane)
        for kind in (Kind.CAPACITY, Kind.LATENCY):
            self._measure((kind, self._jobs.workload), good=round_ + 1)
        for lane in self._lanes if self._starts else ():
            self._session.stop(lane)

    def _measure(self, group: Group, good: int) -> None:
        """Run a round of one kind, and once more if it was disturbed."""
        self._rounds.measure(group, self._jobs, self._lanes)
        if self._rounds.so_far(group, self._lanes).good < good:
            self._rounds.measure(group, self._jobs, self._lanes)


def _jobs(settings: SweepSettings, session: Session, value: Any, label: str) -> Jobs:
    """Return the jobs at a value, and note their size in the manifest by the label."""
    jobs, size = session.jobs[settings.workload], session.writer.manifest["sizes"].get(settings.workload)
    if settings.axis.name == "cpu-share":
        found, sizes = sized_jobs(replace(settings, cpu_share=value, sizes={}))
        jobs, size = found[settings.workload], sizes[settings.workload]
    session.writer.update_manifest(sizes={**session.writer.manifest["sizes"], label: size})
    return with_payload(jobs, value) if settings.axis.name == "payload" else jobs
