"""Finding the limit: probes at held rates on each lane, one lane at a time, the lanes taking turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from producer.analysis.early_stop import RunningFigures
from producer.analysis.limit import probe
from producer.analysis.search import Search
from producer.analysis.settle import settle
from producer.measure import session
from producer.measure.progress import Bracket
from producer.measure.session import warm_up
from producer.measure.snapshot import RateMeter
from producer.measure.trial_spec import TrialSpec
from producer.plan.arrivals import seed_for
from producer.plan.jobs import mixed_jobs
from producer.plan.mix import mix_text
from producer.plan.profile import Profile, Segment
from producer.plan.script import Phase, Script
from producer.plan.settings import FleetSettings
from producer.rundir.reader import read_trial
from producer.rundir.trials import Kind, rate_per_s

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from producer.errors import PoolraceError
    from producer.measure.progress import Progress
    from producer.measure.session import Session
    from producer.measure.trial_spec import TrialControl, TrialSnapshot
    from producer.plan.arrivals import Plan
    from producer.plan.jobs import Jobs
    from producer.plan.lanes import Lane
    from producer.plan.thresholds import Threshold
    from producer.rundir.trials import Trial

FIRST_SHARE = 0.5
"""The first rate, as a part of what the warm-up did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings(FleetSettings):
    """
    A search as it was asked for.

    Attributes:
        slo: What must be kept at a rate for the lane to hold it.
        mix: Shares of the workloads.
        probe_s: How long each probe takes, in seconds.
        precision: How far apart the highest rate held and the lowest one broken may be, as a part of the former.
        first_per_s: The first rate to probe; None to take it from the warm-up.
    """

    kind: ClassVar[str] = "limit"

    slo: tuple[Threshold, ...]
    mix: Mapping[str, float]
    probe_s: float = 10.0
    precision: float = 0.05
    first_per_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """For the manifest."""
        plain = FleetSettings.to_dict(self)
        return {**plain, "slo": [threshold.text for threshold in self.slo], "mix": dict(self.mix)}


def run_limit(settings: LimitSettings, progress: Progress) -> tuple[Path, PoolraceError | None]:
    """Find every lane's limit, and write the run directory; returns and raises what `session.run` does."""
    return session.run_session(settings, progress, find)


def find(settings: LimitSettings, session: Session) -> None:
    """Probe until every lane's search is over."""
    mixed = mixed_jobs(mix_text(settings.mix), settings.workloads, session.jobs)
    hunts = [_LaneSearch(settings, session, mixed, lane) for lane in settings.lanes]
    while waiting := [hunt for hunt in hunts if not hunt.search.over]:
        for hunt in waiting:
            hunt.probe()


class _LaneSearch:
    """One lane's search under way."""

    def __init__(self, settings: LimitSettings, session: Session, jobs: Jobs, lane: Lane) -> None:
        self._settings = settings
        self._grounds = session
        self._jobs = jobs
        self._lane = lane
        self._probes = 0
        slowest = min(map(rate_per_s, warm_up(session.runner, lane, jobs, session.progress)))
        self.search = Search(settings.first_per_s or FIRST_SHARE * slowest, precision=settings.precision)

    def probe(self) -> None:
        """Hold the next rate, and say what came of it."""
        rate, confirming = self.search.next_per_s(), self.search.confirming
        plan = self._plan(rate)
        watch = _Watch(self._settings, self._lane, plan, self._grounds.progress)
        trial = self._grounds.runner.measure(
            TrialSpec(
                kind=Kind.CONFIRMATION if confirming else Kind.PROBE,
                jobs=self._jobs,
                lane=self._lane,
                plan=plan,
                round=self._probes,
                planned_s=self._settings.probe_s,
                on_tick=watch.look,
            )
        )
        self._probes += 1
        passed = self._passed(trial, watch)
        self.search.tell(rate, passed=passed)
        self._say(rate, confirming=confirming, passed=passed)

    def _plan(self, rate: float) -> Plan:
        held = Segment(begin_per_s=rate, end_per_s=rate, duration_s=self._settings.probe_s)
        profile = Profile(text=f"{rate:g}/s", segments=(held,))
        script = Script(phases=(Phase(name="probe", profile=profile, mix=self._settings.mix),))
        seed = seed_for(self._settings.seed, "probe", self._probes)
        return script.plan(self._settings.workloads, self._settings.arrivals, seed)

    def _passed(self, trial: Trial, watch: _Watch) -> bool:
        if not watch.hopeful:
            return False
        run = read_trial(self._grounds.writer.path, trial)
        return bool(probe(run, trial, settle(run.sent, run.records, run.trials))["passed"])

    def _say(self, rate: float, *, confirming: bool, passed: bool) -> None:
        search = self.search
        self._grounds.progress.probe(
            Bracket(
                lane=self._lane.key,
                probes=self._probes,
                rate_per_s=rate,
                confirming=confirming,
                passed=passed,
                held_per_s=search.held_per_s,
                broke_per_s=search.broke_per_s,
                confirmed=search.confirmed,
            )
        )


class _Watch:
    """Shows how a probe goes, and ends it when it cannot pass any more."""

    def __init__(self, settings: LimitSettings, lane: Lane, plan: Plan, progress: Progress) -> None:
        self.hopeful = True
        self._planned = plan.jobs
        self._planned_s = settings.probe_s
        self._pace = RateMeter(lane)
        self._progress = progress
        self._so_far = RunningFigures(
            settings.slo, slots=lane.slots, counts=lambda due_s: np.full(len(due_s), fill_value=True)
        )

    def look(self, moment: TrialSnapshot, steering: TrialControl) -> None:
        """Once a second."""
        self._so_far.add(moment)
        if self.hopeful and self._so_far.cannot_pass(self._planned):
            self.hopeful = False
            if moment.at_s < self._planned_s:
                steering.give_up(moment.at_s)
        self._progress.lane(self._pace.now(moment, self._planned_s, paused=False), moment.ended, moment.of)
