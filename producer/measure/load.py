"""The load: one script held on each lane in turn while the others are idle."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from producer.analysis.early_stop import RunningFigures
from producer.measure import session
from producer.measure.session import warm_up
from producer.measure.snapshot import RateMeter
from producer.measure.steering import OrderFile
from producer.measure.trial_spec import TrialSpec
from producer.plan.arrivals import seed_for
from producer.plan.jobs import mixed_jobs, with_payload
from producer.plan.settings import FleetSettings
from producer.rundir.events import EventKind, change_text
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from producer.errors import PoolraceError
    from producer.measure.progress import Progress
    from producer.measure.session import Session
    from producer.measure.trial_spec import TrialControl, TrialSnapshot
    from producer.plan.arrivals import Plan
    from producer.plan.lanes import Lane
    from producer.plan.script import Script
    from producer.plan.thresholds import Threshold
    from producer.rundir.events import EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings(FleetSettings):
    """
    A load as it was asked for.

    Attributes:
        script: Its phases.
        scenario: The file that they are from; empty if they are from the command line.
        thresholds: What it must keep.
        abort_after_s: End it when a threshold is broken after so long; None to go on to the end.
        payload_bytes: Length of a text that each message carries besides.
        priority: Of the messages; None for none.
    """

    kind: ClassVar[str] = "load"

    script: Script
    scenario: str = ""
    thresholds: tuple[Threshold, ...] = field(default=())
    abort_after_s: float | None = None
    payload_bytes: int = 0
    priority: int | None = None

    @property
    def replays(self) -> bool:
        """Jobs come as they were recorded, and cannot be steered."""
        return bool(self.own_app and self.own_app.recorded)

    def to_dict(self) -> dict[str, Any]:
        """For the manifest."""
        plain = FleetSettings.to_dict(self)
        del plain["script"]
        return {
            **plain,
            "profile": self.script.text,
            "replay": self.replays,
            "duration_s": self.script.duration_s,
            "offered_per_s": self.script.mean_per_s,
            "phases": [phase.to_dict() for phase in self.script.phases],
            "thresholds": [threshold.text for threshold in self.thresholds],
        }


def run_load(settings: LoadSettings, progress: Progress) -> tuple[Path, PoolraceError | None]:
    """Hold the load on every lane, and write the run directory; returns and raises what `session.run` does."""
    return session.run_session(settings, progress, hold)


def hold(settings: LoadSettings, session: Session) -> None:
    """One trial on each lane, after a warm-up with each workload; every lane gets the very same jobs."""
    helm = OrderFile(session.writer.path)
    mixed = mixed_jobs(settings.script.mixes, settings.workloads, session.jobs)
    mixed = with_payload(replace(mixed, priority=settings.priority), settings.payload_bytes)
    session.progress.begin(len(settings.lanes))
    for lane in settings.lanes:
        warm_up(session.runner, lane, mixed, session.progress)
        watch = _Watch(settings, lane, helm, session.progress, session.writer.events)
        trial = session.runner.measure(
            TrialSpec(
                kind=Kind.LOAD,
                jobs=mixed,
                lane=lane,
                plan=watch.plan(),
                planned_s=settings.script.duration_s,
                on_tick=watch.look,
            )
        )
        watch.note_changes(trial.ended_at - trial.began_at)
        session.writer.update_manifest(
            changes={**session.writer.manifest.get("changes", {}), lane.key: [c.to_dict() for c in helm.changes]}
        )
        session.progress.trial(f"{lane.key}: {trial.jobs} jobs")
        if watch.broken:
            session.writer.update_manifest(aborted={"lane": lane.key, "at_s": trial.given_up_s, "why": watch.broken})
            return


class _Watch:
    """Tells how a lane does, second by second; takes orders; ends the load when a threshold is broken."""

    def __init__(
        self, settings: LoadSettings, lane: Lane, helm: OrderFile, progress: Progress, events: EventLog
    ) -> None:
        self.broken = ""
        self._events = events
        self._began_at: float | None = None
        self._noted = 0
        self._settings = settings
        self._lane = lane
        self._helm = helm
        self._progress = progress
        self._pace = RateMeter(lane)
        self._so_far = RunningFigures(settings.thresholds, slots=lane.slots, counts=counting(settings.script))

    def plan(self) -> Plan:
        """What is sent, with the changes made until now."""
        settings = self._settings
        seed = seed_for(settings.seed, "load")
        return settings.script.plan(settings.workloads, settings.arrivals, seed, self._helm.changes)

    def look(self, moment: TrialSnapshot, steering: TrialControl) -> None:
        """Once a second."""
        script = self._settings.script
        self._began_at = moment.began_at
        self.note_changes(moment.at_s)
        if not self.broken and moment.at_s < script.duration_s:
            if self._helm.has_new(moment.at_s) and not self._settings.replays:
                steering.replan(self.plan(), script.duration_s)
            self._abort(moment, steering)
        self._progress.lane(
            self._pace.now(moment, script.duration_s, paused=self._helm.paused(moment.at_s)), moment.ended, moment.of
        )

    def note_changes(self, at_s: float) -> None:
        """Take note of the changes that have come into force on this lane until now."""
        if self._began_at is None or self._settings.replays:
            return
        in_force = [change for change in self._helm.changes if change.at_s <= at_s]
        for change in in_force[self._noted :]:
            at, detail = self._began_at + change.at_s, change_text(change.to_dict())
            self._events.note(EventKind.CHANGED, lane=self._lane.key, detail=detail, at=at)
        self._noted = len(in_force)

    def _abort(self, moment: TrialSnapshot, steering: TrialControl) -> None:
        after_s = self._settings.abort_after_s
        if after_s is None:
            return
        self._so_far.add(moment)
        if moment.at_s >= after_s and (judged := self._so_far.broken(self._lane.key)):
            self.broken = judged.threshold
            self._events.note(EventKind.GIVEN_UP, lane=self._lane.key, detail=f"{self.broken}; the load ends")
            steering.give_up(moment.at_s)


def counting(script: Script) -> Callable[[NDArray[np.float64]], NDArray[np.bool_]]:
    """Tells, of offsets at which jobs are due, which are in a phase that counts."""
    ends_s = np.array(script.begins_s[1:-1])
    counts = np.array([phase.counts for phase in script.phases])
    return lambda due_s: counts[np.searchsorted(ends_s, due_s, side="right")]
