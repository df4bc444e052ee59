"""
The soak: the same load for long, on each lane in turns, while the memory and the files of each process are sampled.

A user's tasks run all together and each alone, so that growth has a name. Beside a lane whose pool can replace its
children runs the same lane with replacement, on the same jobs: what that costs is then known, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from producer.measure.rounds import Rounds, result_in
from producer.plan.run_settings import SoakOptions
from producer.plan.settings import RaceSettings
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.measure.rounds import Group
    from producer.measure.session import Session
    from producer.plan.lanes import Lane
    from producer.plan.run_settings import RunSettings

ROUNDS = 12
"""How many rounds should fit: the growth by a task is told from what it grew by in each."""

LEAST_ROUNDS = 4
LEAST_TRIAL_S, MOST_TRIAL_S = 2.0, 30.0
"""How long a trial takes: long enough for several samples of memory, and short enough for several rounds."""

REST_S = 2.5
"""A pause before and after a task that runs alone, in which every process is sampled: nodes do so every two seconds."""

BESIDE = 1.4
"""How much longer a trial takes than the load that counts: its lead-in, and the wait for the last records."""

SOAK_S = 600.0
RECYCLE_JOBS = 100
TOLERATED_MIB_PER_H = 4
"""About 100 MiB in a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoakSettings(RaceSettings):
    """
    The settings of a soak.

    Attributes:
        for_s: How long it measures, the start of nodes apart, in seconds.
        recycled: Lanes that replace a child after some jobs, each with the key of the lane that is like it and does
            not; `lanes` has both.
        recycle_jobs: After how many jobs they replace a child.
        tolerated_bytes_per_h: A process that grows by no more than this in an hour of work leaks nothing that matters.
    """

    kind: ClassVar[str] = "soak"

    for_s: float = SOAK_S
    recycled: tuple[tuple[str, str], ...] = ()
    recycle_jobs: int = RECYCLE_JOBS
    tolerated_bytes_per_h: int = TOLERATED_MIB_PER_H << 20

    @property
    def together(self) -> str:
        """The workload of which capacity is measured, and which lanes that recycle have: all tasks together."""
        return self.workloads[-1]

    def run_settings(self) -> RunSettings:
        """Return what the manifest records."""
        options = SoakOptions(
            for_s=self.for_s,
            recycled=dict(self.recycled),
            recycle_jobs=self.recycle_jobs,
            tolerated_bytes_per_h=self.tolerated_bytes_per_h,
        )
        return replace(RaceSettings.run_settings(self), soak=options)

    def groups(self) -> Iterator[tuple[Group, Sequence[Lane]]]:
        """Yield what a round consists of, each with the lanes that it is measured on."""
        kept = [lane for lane in self.lanes if lane.key not in dict(self.recycled)]
        yield (Kind.CAPACITY, self.together), self.lanes
        yield (Kind.LATENCY, self.together), self.lanes
        yield from (((Kind.LATENCY, workload), kept) for workload in self.workloads[:-1])

    @property
    def _trials_a_round(self) -> int:
        return sum(len(lanes) for _, lanes in self.groups())

    @property
    def _rests_a_round(self) -> int:
        return len(self.workloads) if len(self.workloads) > 1 else 0

    @property
    def least_s(self) -> float:
        """The time of so many rounds that growth has a name: the first is left out, and an interval needs three."""
        return LEAST_ROUNDS * (self._trials_a_round * LEAST_TRIAL_S * BESIDE + self._rests_a_round * REST_S)

    def with_trials_that_fit(self) -> SoakSettings:
        """Return the same soak with trials of such a length that enough rounds fit into its time."""
        trial_s = (self.for_s / ROUNDS - self._rests_a_round * REST_S) / (self._trials_a_round * BESIDE)
        return replace(self, trial_s=min(max(trial_s, LEAST_TRIAL_S), MOST_TRIAL_S))


def measure_soak(settings: SoakSettings, session: Session) -> None:
    """Measure round after round until the time is up; the last one may be a part of one."""
    runner, lanes_of = session.runner, list(settings.groups())
    session.progress.begin(None, settings.for_s)
    rounds = Rounds(settings, runner, session.progress, result_in(session.writer.path))
    ends_s = runner.monotonic() + settings.for_s
    before = settings.together
    while runner.monotonic() < ends_s:
        for group, lanes in lanes_of:
            if rounds.trials and runner.monotonic() + rounds.expected_s(group, lanes) > ends_s:
                return
            if group[1] != before:
                runner.rest(REST_S)
            before = group[1]
            rounds.measure(group, session.jobs[group[1]], lanes)
