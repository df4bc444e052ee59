"""The load: one script, held on each lane in turn while the others are idle."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from producer.measure.session import warm_up
from producer.measure.steering import OrderFile
from producer.measure.trial_spec import TrialSpec
from producer.measure.watch import Watch
from producer.plan.arrivals import seed_for
from producer.plan.jobs import mixed_jobs, with_payload
from producer.plan.run_settings import LoadOptions
from producer.plan.settings import FleetSettings
from producer.rundir.events import EventKind, change_text
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from producer.measure.progress import Progress
    from producer.measure.session import Session
    from producer.measure.trial_spec import TrialControl, TrialSnapshot
    from producer.plan.arrivals import Plan
    from producer.plan.lanes import Lane
    from producer.plan.run_settings import RunSettings
    from producer.plan.script import Script
    from producer.plan.thresholds import Threshold
    from producer.rundir.events import EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings(FleetSettings):
    """
    The settings of a load.

    Attributes:
        script: The phases of the load.
        scenario: The file that they are from; empty if they are from the command line.
        thresholds: The thresholds that every lane must keep.
        abort_after_s: The seconds after which a broken threshold ends the load; None to go on to the end.
        payload_bytes: The length of a text that each message carries besides.
        priority: The priority of the messages; None for none.
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
        """True if the jobs are a recording, which cannot be steered."""
        return bool(self.own_app and self.own_app.recorded)

    def run_settings(self) -> RunSettings:
        """Return what the manifest records."""
        options = LoadOptions(
            scenario=self.scenario,
            profile=self.script.text,
            replay=self.replays,
            duration_s=self.script.duration_s,
            offered_per_s=self.script.mean_per_s,
            phases=tuple(phase.planned() for phase in self.script.phases),
            thresholds=tuple(threshold.text for threshold in self.thresholds),
            abort_after_s=self.abort_after_s,
            payload_bytes=self.payload_bytes,
            priority=self.priority,
        )
        return replace(FleetSettings.run_settings(self), load=options)


def measure_load(settings: LoadSettings, session: Session) -> None:
    """Hold the load on each lane in turn, after a warm-up with each workload; every lane gets the very same jobs."""
    orders = OrderFile(session.writer.path)
    mixed = mixed_jobs(settings.script.mixes, settings.workloads, session.jobs)
    mixed = with_payload(replace(mixed, priority=settings.priority), settings.payload_bytes)
    session.progress.begin(len(settings.lanes))
    for lane in settings.lanes:
        warm_up(session.runner, lane, mixed, session.progress)
        watch = LoadWatch(settings, lane, orders, session.progress, session.writer.events)
        trial = session.runner.measure(
            TrialSpec(
                kind=Kind.LOAD,
                jobs=mixed,
                lane=lane,
                plan=watch.plan_so_far(),
                planned_s=settings.script.duration_s,
                on_tick=watch.on_tick,
            )
        )
        watch.note_changes(trial.ended_at - trial.began_at)
        session.writer.update_manifest(changes={**session.writer.manifest.get("changes", {}), lane.key: orders.changes})
        session.progress.trial(f"{lane.key}: {trial.jobs} jobs")
        if watch.broken:
            session.writer.update_manifest(aborted={"lane": lane.key, "at_s": trial.given_up_s, "why": watch.broken})
            return


class LoadWatch(Watch):
    """
    The watcher of a load: it steers by orders, notes changes, and ends the load when a threshold is broken.

    Attributes:
        broken: The threshold that ended the load; empty if none did.
    """

    def __init__(
        self, settings: LoadSettings, lane: Lane, orders: OrderFile, progress: Progress, events: EventLog
    ) -> None:
        super().__init__(
            lane, settings.thresholds, settings.script.duration_s, progress, counts=counted_phases(settings.script)
        )
        self.broken = ""
        self._settings = settings
        self._orders = orders
        self._events = events
        self._began_at: float | None = None
        self._noted = 0

    def plan_so_far(self) -> Plan:
        """Return the plan with the changes made so far."""
        settings = self._settings
        seed = seed_for(settings.seed, "load")
        return settings.script.plan_jobs(settings.workloads, settings.arrivals, seed, self._orders.changes)

    def on_tick(self, snapshot: TrialSnapshot, control: TrialControl) -> None:
        """Take orders, judge thresholds, and show the lane."""
        duration_s = self._settings.script.duration_s
        self._began_at = snapshot.began_at
        self.note_changes(snapshot.at_s)
        if not self.broken and snapshot.at_s < duration_s:
            if self._orders.has_new(snapshot.at_s) and not self._settings.replays:
                control.replan(self.plan_so_far(), duration_s)
            self._abort(snapshot, control)
        self.show(snapshot, paused=self._orders.paused(snapshot.at_s))

    def note_changes(self, at_s: float) -> None:
        """Note the changes that have come into force on this lane by an offset from its start."""
        if self._began_at is None or self._settings.replays:
            return
        in_force = [change for change in self._orders.changes if change.at_s <= at_s]
        for change in in_force[self._noted :]:
            at, detail = self._began_at + change.at_s, change_text(change)
            self._events.note(EventKind.CHANGED, lane=self.lane.key, detail=detail, at=at)
        self._noted = len(in_force)

    def _abort(self, snapshot: TrialSnapshot, control: TrialControl) -> None:
        after_s = self._settings.abort_after_s
        if after_s is None:
            return
        self.figures.add(snapshot)
        if snapshot.at_s >= after_s and (judged := self.figures.broken(self.lane.key)):
            self.broken = judged.threshold
            self._events.note(EventKind.GIVEN_UP, lane=self.lane.key, detail=f"{self.broken}; the load ends")
            control.give_up(snapshot.at_s)


def counted_phases(script: Script) -> Callable[[NDArray[np.float64]], NDArray[np.bool_]]:
    """Return a function of due offsets that is true for those in a phase that counts."""
    ends_s = np.array(script.begins_s[1:-1])
    counts = np.array([phase.counts for phase in script.phases])
    return lambda due_s: counts[np.searchsorted(ends_s, due_s, side="right")]
