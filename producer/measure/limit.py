"""The search for the limit: probes at held rates, one lane at a time, the lanes in turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from producer.analysis.limit import probe
from producer.analysis.search import MOST_PROBES, Search
from producer.analysis.settle import settle
from producer.measure.progress import LimitSoFar
from producer.measure.session import warm_up
from producer.measure.trial_spec import TrialSpec
from producer.measure.watch import Watch
from producer.plan.arrivals import seed_for
from producer.plan.jobs import mixed_jobs
from producer.plan.mix import mix_name
from producer.plan.profile import Profile, Segment
from producer.plan.run_settings import LimitOptions
from producer.plan.script import Phase, Script
from producer.plan.settings import FleetSettings
from producer.rundir.reader import read_trial
from producer.rundir.trials import Kind, rate_per_s

if TYPE_CHECKING:
    from collections.abc import Mapping

    from producer.measure.progress import Progress
    from producer.measure.session import Session
    from producer.measure.trial_spec import TrialControl, TrialSnapshot
    from producer.plan.arrivals import Plan
    from producer.plan.jobs import Jobs
    from producer.plan.lanes import Lane
    from producer.plan.run_settings import RunSettings
    from producer.plan.thresholds import Threshold
    from producer.rundir.trials import Trial

FIRST_SHARE = 0.5
"""The first rate to probe, as a part of the rate of the warm-up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings(FleetSettings):
    """
    The settings of a search for the limit.

    Attributes:
        slo: The thresholds that a lane must keep to hold a rate.
        mix: The shares of the workloads.
        probe_s: The duration of each probe in seconds.
        precision: How long the limit's interval may be, as a part of its lower end.
        most_probes: How many probes a lane has at most.
        first_per_s: The first rate to probe; None to take it from the warm-up.
    """

    kind: ClassVar[str] = "limit"

    slo: tuple[Threshold, ...]
    mix: Mapping[str, float]
    probe_s: float = 10.0
    precision: float = 0.1
    most_probes: int = MOST_PROBES
    first_per_s: float | None = None

    def run_settings(self) -> RunSettings:
        """Return what the manifest records."""
        options = LimitOptions(
            slo=tuple(threshold.text for threshold in self.slo),
            mix=dict(self.mix),
            probe_s=self.probe_s,
            precision=self.precision,
            most_probes=self.most_probes,
            first_per_s=self.first_per_s,
        )
        return replace(FleetSettings.run_settings(self), limit=options)


def measure_limit(settings: LimitSettings, session: Session) -> None:
    """Probe each lane in turn until every lane's search is done."""
    mixed = mixed_jobs(mix_name(settings.mix), settings.workloads, session.jobs)
    searches = [LaneSearch(settings, session, mixed, lane) for lane in settings.lanes]
    while waiting := [each for each in searches if not each.search.over]:
        for each in waiting:
            each.probe()


class LaneSearch:
    """
    The search for one lane's limit.

    Attributes:
        search: The rates that passed and failed so far, and the next one to probe.
    """

    def __init__(self, settings: LimitSettings, session: Session, jobs: Jobs, lane: Lane) -> None:
        self._settings = settings
        self._session = session
        self._jobs = jobs
        self._lane = lane
        slowest = min(map(rate_per_s, warm_up(session.runner, lane, jobs, session.progress)))
        self.search = Search(
            settings.first_per_s or FIRST_SHARE * slowest,
            precision=settings.precision,
            most_probes=settings.most_probes,
        )

    def probe(self) -> None:
        """Hold the next rate, record whether it passed, and report where the limit lies."""
        rate = self.search.next_per_s()
        plan = self._plan(rate)
        watch = ProbeWatch(self._settings, self._lane, plan, self._session.progress)
        trial = self._session.runner.measure(
            TrialSpec(
                kind=Kind.PROBE,
                jobs=self._jobs,
                lane=self._lane,
                plan=plan,
                round=len(self.search.probes),
                planned_s=self._settings.probe_s,
                on_tick=watch.on_tick,
            )
        )
        passed = watch.can_pass and self._passed(trial)
        self.search.tell(rate, passed=passed)
        found = self.search.fit
        self._session.progress.probe(
            LimitSoFar(
                lane=self._lane.key,
                probes=len(self.search.probes),
                rate_per_s=rate,
                passed=passed,
                low_per_s=found.low_per_s if found else None,
                high_per_s=found.high_per_s if found else None,
                over=self.search.over,
            )
        )

    def _plan(self, rate: float) -> Plan:
        held = Segment(begin_per_s=rate, end_per_s=rate, duration_s=self._settings.probe_s)
        profile = Profile(text=f"{rate:g}/s", segments=(held,))
        script = Script(phases=(Phase(name="probe", profile=profile, mix=self._settings.mix),))
        seed = seed_for(self._settings.seed, "probe", len(self.search.probes))
        return script.plan_jobs(self._settings.workloads, self._settings.arrivals, seed)

    def _passed(self, trial: Trial) -> bool:
        run = read_trial(self._session.writer.path, trial)
        return probe(run, trial, settle(run.sent, run.records, run.trials), self._settings.slo).passed


class ProbeWatch(Watch):
    """
    The watcher of a probe: it ends the probe when it can no longer pass.

    Attributes:
        can_pass: False once a threshold would fail even if all other jobs took no time.
    """

    def __init__(self, settings: LimitSettings, lane: Lane, plan: Plan, progress: Progress) -> None:
        super().__init__(lane, settings.slo, settings.probe_s, progress)
        self.can_pass = True
        self._planned = plan.jobs
        self._probe_s = settings.probe_s

    def on_tick(self, snapshot: TrialSnapshot, control: TrialControl) -> None:
        """Judge the probe so far, and show the lane."""
        self.figures.add(snapshot)
        if self.can_pass and self.figures.cannot_pass(self._planned):
            self.can_pass = False
            if snapshot.at_s < self._probe_s:
                control.give_up(snapshot.at_s)
        self.show(snapshot)
