"""The sweep: a small race at each value of one thing, on lanes and jobs that differ in nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from producer import session
from producer.calibrate import sized_jobs
from producer.load.hold import with_payload
from producer.race import Race, trials_a_workload
from producer.settings import RaceSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from producer.course import Jobs
    from producer.errors import PoolraceError
    from producer.lanes import Lane
    from producer.session import Grounds, Progress
    from producer.sweep.points import Axis


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSettings(RaceSettings):
    """
    A sweep as it was asked for.

    Attributes:
        axis: What is varied.
        base: The lanes before anything is varied; `lanes` holds those of all points.
        memory_bytes: What a node may take, for the recommendation; None for no bound.
    """

    kind: ClassVar[str] = "sweep"

    axis: Axis
    base: tuple[Lane, ...]
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
                "lanes": {lane.key: base.key for lane, base in zip(self._at(value), self.base, strict=False)},
            }
            for text, value in zip(self.axis.texts, self.axis.values, strict=True)
        ]
        return {**plain, "axis": self.axis.name, "points": points, "base": [lane.to_dict() for lane in self.base]}

    def _at(self, value: Any) -> Sequence[Lane]:
        return self.axis.lanes(value, self.base) if self.axis.of_lanes else self.lanes


def run_sweep(settings: SweepSettings, progress: Progress) -> tuple[Path, PoolraceError | None]:
    """Race at each value, and write the run directory; returns and raises what `session.run` does."""
    return session.run(settings, progress, sweep)


def sweep(settings: SweepSettings, grounds: Grounds) -> None:
    """One small race after the other; lanes of a point run only while it is raced."""
    axis = settings.axis
    at_a_point = replace(settings, lanes=tuple(axis.lanes(axis.values[0], settings.base)))
    grounds.progress.begin(len(axis.values) * trials_a_workload(at_a_point))
    for text, value in zip(axis.texts, axis.values, strict=True):
        lanes = axis.lanes(value, settings.base) if axis.of_lanes else list(settings.lanes)
        for lane in lanes if axis.of_lanes else ():
            grounds.start(lane)
        jobs = replace(_jobs(settings, grounds, value), workload=settings.label(text))
        Race(replace(settings, lanes=tuple(lanes)), grounds.course, grounds.progress).workload(jobs)
        for lane in lanes if axis.of_lanes else ():
            grounds.stop(lane)


def _jobs(settings: SweepSettings, grounds: Grounds, value: Any) -> Jobs:
    if settings.axis.name == "cpu-share":
        found, sizes = sized_jobs(replace(settings, cpu_share=value, sizes={}))
        known = grounds.writer.manifest["sizes"]
        grounds.writer.update_manifest(sizes={**known, f"{settings.workload} cpu-share={value:g}": sizes["mixed"]})
        return found[settings.workload]
    jobs = grounds.jobs[settings.workload]
    return with_payload(jobs, value) if settings.axis.name == "payload" else jobs
