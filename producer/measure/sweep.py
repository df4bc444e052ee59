"""The sweep: a small race at each value of one setting, on lanes and jobs that differ in nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from producer.measure.race import Race, trials_a_workload
from producer.measure.sizing import sized_jobs
from producer.plan.jobs import with_payload
from producer.plan.run_settings import PlannedPoint, SweepOptions
from producer.plan.settings import RaceSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.measure.session import Session
    from producer.plan.axis import Axis
    from producer.plan.jobs import Jobs
    from producer.plan.lanes import Lane
    from producer.plan.run_settings import RunSettings


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
    """Race at each value in turn; lanes of a point run only while it is raced."""
    axis = settings.axis
    session.progress.begin(len(axis.values) * trials_a_workload(replace(settings, lanes=tuple(settings.kept))))
    for text, value in zip(axis.texts, axis.values, strict=True):
        lanes = settings.at(value)
        started = () if settings.starts_all else lanes
        for lane in started:
            session.start(lane)
        jobs = replace(_jobs(settings, session, value, settings.label(text)), workload=settings.label(text))
        Race(replace(settings, lanes=tuple(lanes)), session.runner, session.progress).workload(jobs)
        for lane in started:
            session.stop(lane)


def _jobs(settings: SweepSettings, session: Session, value: Any, label: str) -> Jobs:
    """Return the jobs at a value, and note their size in the manifest by the label."""
    jobs, size = session.jobs[settings.workload], session.writer.manifest["sizes"].get(settings.workload)
    if settings.axis.name == "cpu-share":
        found, sizes = sized_jobs(replace(settings, cpu_share=value, sizes={}))
        jobs, size = found[settings.workload], sizes[settings.workload]
    session.writer.update_manifest(sizes={**session.writer.manifest["sizes"], label: size})
    return with_payload(jobs, value) if settings.axis.name == "payload" else jobs
