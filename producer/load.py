"""The load: one profile of arrivals and one mix of jobs, held on each lane in turn while the others are idle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from producer import session
from producer.course import Jobs
from producer.mix import Mix, mix_text
from producer.plan import seed_for
from producer.profile import plan
from producer.settings import FleetSettings
from producer.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from producer.course import Course, Moment
    from producer.errors import PoolraceError
    from producer.lanes import Lane
    from producer.profile import Profile
    from producer.session import Progress
    from producer.thresholds import Threshold


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings(FleetSettings):
    """
    A load as it was asked for.

    Attributes:
        profile: How the arrival rate changes over time.
        mix: Shares of the workloads.
        thresholds: What it must keep.
    """

    kind: ClassVar[str] = "load"

    profile: Profile
    mix: Mapping[str, float]
    thresholds: tuple[Threshold, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            **FleetSettings.to_dict(self),
            "profile": self.profile.text,
            "duration_s": self.profile.duration_s,
            "offered_per_s": self.profile.mean_per_s,
            "mix": dict(self.mix),
            "thresholds": [threshold.text for threshold in self.thresholds],
        }


def run_load(settings: LoadSettings, progress: Progress) -> tuple[Path, PoolraceError | None]:
    """Hold the load on every lane, and write the run directory; returns and raises what `session.run` does."""
    return session.run(settings, progress, hold)


def hold(settings: LoadSettings, course: Course, jobs: Mapping[str, Jobs], progress: Progress) -> None:
    """One trial on each lane, after a warm-up with each workload; every lane gets the very same jobs."""
    sent = plan(settings.profile, settings.arrivals, seed_for(settings.seed, "load"))
    mixed = mixed_jobs(settings, jobs)
    progress.begin(len(settings.lanes))
    for lane in settings.lanes:
        progress.stage(f"Warming up {lane.label}")
        for each in jobs.values():
            course.warm_up(each, lane)
        course.measure(Kind.LOAD, mixed, lane, 0, sent, watch=_Watch(lane, progress).tell)
        progress.trial(f"{lane.key}: {sent.jobs} jobs")


def mixed_jobs(settings: LoadSettings, jobs: Mapping[str, Jobs]) -> Jobs:
    """The workloads of a mix as jobs of one trial."""
    parts = [jobs[name] for name in settings.mix]
    weights = list(settings.mix.values())
    return Jobs(
        workload=mix_text(settings.mix),
        task=parts[0].task,
        args=parts[0].args,
        expected_s=sum(part.expected_s * weight for part, weight in zip(parts, weights, strict=True)) / sum(weights),
        mix=Mix(calls=[(part.task, part.args) for part in parts], weights=weights, seed=seed_for(settings.seed, "mix")),
    )


class _Watch:
    """Tells how a lane does, second by second."""

    def __init__(self, lane: Lane, progress: Progress) -> None:
        self._lane = lane
        self._progress = progress
        self._before: Moment | None = None

    def tell(self, now: Moment) -> None:
        """What was due and what ended in the last second, and how much is behind."""
        before, self._before = self._before, now
        since_s = now.at_s - (before.at_s if before else 0.0)
        due = (now.due - (before.due if before else 0)) / since_s
        ended = (now.ended - (before.ended if before else 0)) / since_s
        self._progress.stage(
            f"{self._lane.key} {now.at_s:4.0f} s: due {due:.0f}/s, ended {ended:.0f}/s, "
            f"{now.due - now.ended} behind, {now.ended} of {now.of}"
        )
