"""
The script of a load: its phases, one after the other, and the changes that were made while it ran. Pure.

The same script, seed and changes give the same plan, so that every lane gets the very same jobs; and a change leaves
alone what is due before it, so that a plan can be changed while it is worked on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from producer.errors import UsageError
from producer.plan.arrivals import MAX_JOBS, Plan, seed_for
from producer.plan.mix import mix_text, sample_mix
from producer.plan.profile import Profile, Segment, plan
from producer.plan.run_settings import PlannedPhase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """
    A part of a load.

    Attributes:
        name: What reports call it.
        profile: How the arrival rate changes over its time; the rate may be none, to see a backlog drain.
        mix: Shares of the workloads.
        counts: Whether thresholds and the lane's own figures take its jobs in; a warm-up's do not count.
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
    What was changed while a load ran, and holds until the next change.

    Attributes:
        at_s: Since when, in seconds from the load's start.
        rate_per_s: A held rate instead of the script's; None for the script's.
        mix: Shares of the workloads instead of the script's; None for the script's.
        paused: Nothing is sent.
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
        """Refuse what sends nothing, or more than a plan holds."""
        if not 1 <= self.jobs <= MAX_JOBS:
            rates = ", ".join(repr(phase.profile.text) for phase in self.phases)
            raise UsageError(
                f"--rate {rates}: {self.jobs:,.1f} jobs in all; must be 1 to {MAX_JOBS:,}. Change rate or time."
            )
        if not any(phase.counts and phase.profile.jobs for phase in self.phases):
            raise UsageError("The load has no phase that counts and sends jobs. Leave one without `counts = false`.")

    @property
    def jobs(self) -> float:
        """How many arrivals are expected."""
        return sum(phase.profile.jobs for phase in self.phases)

    @property
    def duration_s(self) -> float:
        """How long it takes."""
        return sum(phase.profile.duration_s for phase in self.phases)

    @property
    def mean_per_s(self) -> float:
        """The arrival rate over all of it."""
        return self.jobs / self.duration_s

    @property
    def workloads(self) -> tuple[str, ...]:
        """Every workload that is named, if only with no share, in that order."""
        return tuple(dict.fromkeys(name for phase in self.phases for name in phase.mix))

    @property
    def begins_s(self) -> tuple[float, ...]:
        """When each phase begins, and when the last one ends."""
        return (0.0, *accumulate(phase.profile.duration_s for phase in self.phases))

    @property
    def text(self) -> str:
        """The whole in a line."""
        if len(self.phases) == 1:
            return self.phases[0].profile.text
        return "; ".join(f"{phase.name} {phase.profile.text}" for phase in self.phases)

    @property
    def mixes(self) -> str:
        """The mixes in a line."""
        return "; ".join(dict.fromkeys(mix_text(phase.mix) for phase in self.phases))

    def plan(self, workloads: Sequence[str], arrivals: str, seed: int, changes: Sequence[Change] = ()) -> Plan:
        """
        When each job is due, and which workload it is.

        Args:
            workloads: Their names, in the order of the parts that the plan tells jobs by; all that are named anywhere.
            arrivals: `poisson` or `constant`.
            seed: Of arrivals and draws.
            changes: In ascending order.
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
class _Jobs:
    """When each of some jobs is due, and which workload it is."""

    due_s: NDArray[np.float64]
    parts: NDArray[np.uint8]

    def between(self, begin_s: float, end_s: float) -> _Jobs:
        """Those that are due from one moment on and before another."""
        here = (self.due_s >= begin_s) & (self.due_s < end_s)
        return _Jobs(self.due_s[here], self.parts[here])


class _Drawing:
    """A script with a seed: draws arrivals and workloads."""

    def __init__(self, script: Script, workloads: Sequence[str], arrivals: str, seed: int) -> None:
        self._script = script
        self._workloads = workloads
        self._arrivals = arrivals
        self._seed = seed

    def phases(self) -> _Jobs:
        """What the script says."""
        due_s = [
            begin_s + self._due_s(phase.profile, "phase", number)
            for number, (begin_s, phase) in enumerate(zip(self._script.begins_s[:-1], self._script.phases, strict=True))
        ]
        parts = [
            self._parts(phase.mix, len(due), "mix", number)
            for number, (phase, due) in enumerate(zip(self._script.phases, due_s, strict=True))
        ]
        return _Jobs(np.concatenate(due_s), np.concatenate(parts))

    def changed(self, number: int, change: Change, base: _Jobs) -> _Jobs:
        """What is sent from a change on until the end of the script, if no other comes."""
        left_s = self._script.duration_s - change.at_s
        if change.paused or left_s <= 0:
            return base.between(np.inf, np.inf)
        rest = base.between(change.at_s, np.inf)
        if change.rate_per_s is not None:
            held = Segment(begin_per_s=change.rate_per_s, end_per_s=change.rate_per_s, duration_s=left_s)
            due_s = change.at_s + self._due_s(Profile(text="", segments=(held,)), "change", number)
            rest = _Jobs(due_s, self._parts_of_phases(due_s, number))
        if change.mix is not None:
            rest = _Jobs(rest.due_s, self._parts(change.mix, len(rest.due_s), "changed mix", number))
        return rest

    def _due_s(self, profile: Profile, *names: str | int) -> NDArray[np.float64]:
        return plan(profile, self._arrivals, seed_for(self._seed, *names)).due_s

    def _parts(self, mix: Mapping[str, float], jobs: int, *names: str | int) -> NDArray[np.uint8]:
        weights = [mix.get(workload, 0.0) for workload in self._workloads]
        return sample_mix(weights, jobs, seed_for(self._seed, *names))

    def _parts_of_phases(self, due_s: NDArray[np.float64], number: int) -> NDArray[np.uint8]:
        """Workloads of jobs whose rate was changed and whose mix was not: each phase has its own."""
        phase_of = np.searchsorted(np.array(self._script.begins_s[1:-1]), due_s, side="right")
        parts = np.zeros(len(due_s), dtype=np.uint8)
        for place, phase in enumerate(self._script.phases):
            here = phase_of == place
            parts[here] = self._parts(phase.mix, int(here.sum()), "mix after change", number, place)
        return parts
