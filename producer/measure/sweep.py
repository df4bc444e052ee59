"""The sweep: a small race at each value of one thing, on lanes and jobs that differ in nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from producer.measure import session
from producer.measure.race import Race, trials_a_workload
from producer.measure.sizing import sized_jobs
from producer.plan.jobs import with_payload
from producer.plan.settings import RaceSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from producer.errors import PoolraceError
    from producer.measure.progress import Progress
    from producer.measure.session import Session
    from producer.plan.axis import Axis
    from producer.plan.jobs import Jobs
    from producer.plan.lanes import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings(RaceSettings):
    """
    A sweep as it was asked for.

    Attributes:
        axis: What is varied.
        pairs: Trials of each kind on each lane, at each value: fewer than in a race, as there are several values.
        base: The lanes before anything is varied; `lanes` holds those of all points.
        memory_bytes: What a node may take, for the recommendation; None for no bound.
    """

    kind: ClassVar[str] = "sweep"

    axis: Axis
    base: tuple[Lane, ...]
    pairs: int = 3
    memory_bytes: int | None = None

    @property
    def starts_all(self) -> bool:
        """Where each point has lanes of its own, those of the others must not take memory beside them."""
        return not self.axis.of_lanes

    @property
    def workload(self) -> str:
        """The one that is swept."""
        return self.workloads[0]

    def label(self, text: str) -> str:
        """How reports and records name the jobs of a point: trials are paired within it."""
        return f"{self.workload} {self.axis.name}={text}"

    def to_dict(self) -> dict[str, Any]:
        """For the manifest."""
        plain = RaceSettings.to_dict(self)
        points = [
            {
                "value": text,
                "workload": self.label(text),
                "lanes": {lane.key: kept.key for lane, kept in zip(self.at(value), self.kept, strict=True)},
            }
            for text, value in zip(self.axis.texts, self.axis.values, strict=True)
        ]
        return {**plain, "axis": self.axis.name, "points": points, "base": [lane.to_dict() for lane in self.kept]}

    @property
    def kept(self) -> Sequence[Lane]:
        """The lanes before anything is varied; those of a fleet that runs already are known once it was found."""
        return self.base if self.axis.of_lanes else self.lanes

    def at(self, value: Any) -> Sequence[Lane]:
        """The lanes at a value."""
        return self.axis.lanes(value, self.kept)


def run_sweep(settings: SweepSettings, progress: Progress) -> tuple[Path, PoolraceError | None]:
    """Race at each value, and write the run directory; returns and raises what `session.run` does."""
    return session.run_session(settings, progress, sweep)


def sweep(settings: SweepSettings, session: Session) -> None:
    """One small race after the other; lanes of a point run only while it is raced."""
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
    """What is sent at a value; its size goes into the manifest by the label."""
    jobs, size = session.jobs[settings.workload], session.writer.manifest["sizes"].get(settings.workload)
    if settings.axis.name == "cpu-share":
        found, sizes = sized_jobs(replace(settings, cpu_share=value, sizes={}))
        jobs, size = found[settings.workload], sizes[settings.workload]
    session.writer.update_manifest(sizes={**session.writer.manifest["sizes"], label: size})
    return with_payload(jobs, value) if settings.axis.name == "payload" else jobs
