"""
The script of a load: its phases, one after the other, and the changes that were made while it ran. Pure.

The same script, seed and changes give the same plan, so that every lane gets exactly the same jobs. A change leaves
jobs that are due before it alone, so a plan can be changed while it is being sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from producer.errors import UsageError
from producer.plan.arrivals import MAX_JOBS, Plan, seed_for
from producer.plan.mix import deal_mix, mix_name
from producer.plan.profile import Profile, Segment, plan_arrivals
from producer.plan.run_settings import PlannedPhase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """
    A part of a load.

    Attributes:
        name: Its name in reports.
        profile: The course of its arrival rate; a rate of 0 lets a backlog drain.
        mix: Shares of the workloads.
        counts: True if its jobs count for thresholds and the lane's figures; those of a warm-up do not.
    """

    name: str
    profile: Profile
    mix: Mapping[str, float]
    counts: bool = True

    def planned(self) -> PlannedPhase:
        """Return what the manifest records of it."""
        return PlannedPhase(
            name=self.name,
            rate=self.profile.text,
            duration_s=self.profile.duration_s,
            mix=dict(self.mix),
            counts=self.counts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """
    A change to a load while it runs; it holds until the next.

    Attributes:
        at_s: When it begins to hold, in seconds from the load's start.
        rate_per_s: A held rate instead of the script's; None for the script's.
        mix: Shares of the workloads instead of the script's; None for the script's.
        paused: True to send nothing.
    """

    at_s: float
    rate_per_s: float | None = None
    mix: Mapping[str, float] | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """
    Phases, one after the other.

    Attributes:
        phases: At least one, with at least one job in all.
    """

    phases: tuple[Phase, ...]

    def __post_init__(self) -> None:
        """Refuse a script that sends nothing, or more than a plan can hold."""
        if not 1 <= self.jobs <= MAX_JOBS:
            rates = ", ".join(repr(phase.profile.text) for phase in self.phases)
            raise UsageError(
                f"--rate {rates}: {self.jobs:,.1f} jobs in all; must be 1 to {MAX_JOBS:,}. Change rate or time."
            )
        if not any(phase.counts and phase.profile.jobs for phase in self.phases):
            raise UsageError("The load has no phase that counts and sends jobs. Leave one without `counts = false`.")

    @property
    def jobs(self) -> float:
        """The expected number of arrivals."""
        return sum(phase.profile.jobs for phase in self.phases)

    @property
    def duration_s(self) -> float:
        """Its length in seconds."""
        return sum(phase.profile.duration_s for phase in self.phases)

    @property
    def mean_per_s(self) -> float:
        """The mean arrival rate."""
        return self.jobs / self.duration_s

    @property
    def workloads(self) -> tuple[str, ...]:
        """Every workload that a mix names, even with a share of 0, in that order."""
        return tuple(dict.fromkeys(name for phase in self.phases for name in phase.mix))

    @property
    def begins_s(self) -> tuple[float, ...]:
        """The times at which each phase begins, and at which the last one ends."""
        return (0.0, *accumulate(phase.profile.duration_s for phase in self.phases))

    @property
    def text(self) -> str:
        """The script in a line."""
        if len(self.phases) == 1:
            return self.phases[0].profile.text
        return "; ".join(f"{phase.name} {phase.profile.text}" for phase in self.phases)

    @property
    def mixes(self) -> str:
        """The mixes in a line."""
        return "; ".join(dict.fromkeys(mix_name(phase.mix) for phase in self.phases))

    def plan_jobs(self, workloads: Sequence[str], arrivals: str, seed: int, changes: Sequence[Change] = ()) -> Plan:
        """
        Plan when each job is due, and which workload it is.

        Args:
            workloads: All workloads that are named anywhere; the plan's parts are indices into them.
            arrivals: `poisson` or `constant`.
            seed: The seed of arrivals and workloads.
            changes: The changes so far, in ascending order.
        """
        script = _Drawing(self, workloads, arrivals, seed)
        base = script.phases()
        pieces = [base.between(0.0, changes[0].at_s if changes else np.inf)]
        for number, change in enumerate(changes):
            until_s = changes[number + 1].at_s if number + 1 < len(changes) else np.inf
            # Drawn to the end of the script and then cut, so that a later change does not touch what comes before it.
            pieces.append(script.changed(number, change, base).between(change.at_s, until_s))
        due_s, parts = (np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("due_s", "parts"))
        return Plan(due_s=due_s, rate_per_s=self.mean_per_s, parts=parts)


@dataclass(frozen=True, slots=True, eq=False)
class _DrawnJobs:
    """The time at which each of some jobs is due, and its workload."""

    due_s: NDArray[np.float64]
    parts: NDArray[np.uint8]

    def between(self, begin_s: float, end_s: float) -> _DrawnJobs:
        """Return the jobs that are due from one time on and before another."""
        here = (self.due_s >= begin_s) & (self.due_s < end_s)
        return _DrawnJobs(self.due_s[here], self.parts[here])


class _Drawing:
    """Draws the arrivals and workloads of a script."""

    def __init__(self, script: Script, workloads: Sequence[str], arrivals: str, seed: int) -> None:
        self._script = script
        self._workloads = workloads
        self._arrivals = arrivals
        self._seed = seed

    def phases(self) -> _DrawnJobs:
        """Draw the jobs of the script's phases, without changes."""
        due_s = [
            begin_s + self._due_s(phase.profile, "phase", number)
            for number, (begin_s, phase) in enumerate(zip(self._script.begins_s[:-1], self._script.phases, strict=True))
        ]
        parts = [
            self._parts(phase.mix, len(due), "mix", number)
            for number, (phase, due) in enumerate(zip(self._script.phases, due_s, strict=True))
        ]
        return _DrawnJobs(np.concatenate(due_s), np.concatenate(parts))

    def changed(self, number: int, change: Change, base: _DrawnJobs) -> _DrawnJobs:
        """Draw the jobs from a change on to the end of the script, as if no other change came."""
        left_s = self._script.duration_s - change.at_s
        if change.paused or left_s <= 0:
            return base.between(np.inf, np.inf)
        rest = base.between(change.at_s, np.inf)
        if change.rate_per_s is not None:
            held = Segment(begin_per_s=change.rate_per_s, end_per_s=change.rate_per_s, duration_s=left_s)
            due_s = change.at_s + self._due_s(Profile(text="", segments=(held,)), "change", number)
            rest = _DrawnJobs(due_s, self._parts_of_phases(due_s, number))
        if change.mix is not None:
            rest = _DrawnJobs(rest.due_s, self._parts(change.mix, len(rest.due_s), "changed mix", number))
        return rest

    def _due_s(self, profile: Profile, *names: str | int) -> NDArray[np.float64]:
        return plan_arrivals(profile, self._arrivals, seed_for(self._seed, *names)).due_s

    def _parts(self, mix: Mapping[str, float], jobs: int, *names: str | int) -> NDArray[np.uint8]:
        weights = [mix.get(workload, 0.0) for workload in self._workloads]
        return deal_mix(weights, jobs, seed_for(self._seed, *names))

    def _parts_of_phases(self, due_s: NDArray[np.float64], number: int) -> NDArray[np.uint8]:
        """Draw the workloads of jobs whose rate was changed and whose mix was not: each phase has its own mix."""
        phase_of = np.searchsorted(np.array(self._script.begins_s[1:-1]), due_s, side="right")
        parts = np.zeros(len(due_s), dtype=np.uint8)
        for place, phase in enumerate(self._script.phases):
            here = phase_of == place
            parts[here] = self._parts(phase.mix, int(here.sum()), "mix after change", number, place)
        return parts
