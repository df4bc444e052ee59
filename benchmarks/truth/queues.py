"""Queues whose steady state is known: many independent trials of each are run side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LOAD = 0.7
"""The part of its capacity at which a race holds a lane."""

SETTLING_JOBS = 400
"""Jobs from an idle start after which a queue at this load is as good as steady: ten relaxation times of M/M/1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """
    Poisson arrivals in front of some slots, first come first served.

    Attributes:
        name: In Kendall's notation.
        slots: How many.
        service_s: Mean time that a job holds a slot.
        equal: Whether each job takes as long; otherwise times are exponential.
    """

    name: str
    slots: int
    service_s: float
    equal: bool

    @property
    def rate_per_s(self) -> float:
        """The arrival rate."""
        return LOAD * self.slots / self.service_s

    def trials(self, draw: np.random.Generator, trials: int, jobs: int) -> tuple[Floats, Floats]:
        """
        Run trials from an idle start.

        Returns:
            When each job was due, from the start of its trial, and its sojourn, in seconds; a row a trial.
        """
        due_s = draw.exponential(1 / self.rate_per_s, (trials, jobs)).cumsum(axis=1)
        took_s = np.full((trials, jobs), self.service_s)
        if not self.equal:
            took_s = draw.exponential(self.service_s, (trials, jobs))
        sojourns_s = np.empty((trials, jobs))
        free_s, rows = np.zeros((trials, self.slots)), np.arange(trials)
        for job in range(jobs):
            slot = free_s.argmin(axis=1)
            waits_s = np.maximum(free_s[rows, slot] - due_s[:, job], 0.0)
            sojourns_s[:, job] = waits_s + took_s[:, job]
            free_s[rows, slot] = due_s[:, job] + sojourns_s[:, job]
        return due_s, sojourns_s

    def steady(self, draw: np.random.Generator, trials: int, jobs: int) -> tuple[Floats, Floats]:
        """Run trials that begin in the steady state; returns as `trials`."""
        due_s, sojourns_s = self.trials(draw, trials, SETTLING_JOBS + jobs)
        return due_s[:, SETTLING_JOBS:], sojourns_s[:, SETTLING_JOBS:]


QUEUES = (
    Queue(name="M/D/1", slots=1, service_s=0.033, equal=True),
    Queue(name="M/D/8", slots=8, service_s=0.050, equal=True),
    Queue(name="M/M/8", slots=8, service_s=0.050, equal=False),
)
"""CPU-bound jobs on threads, jobs that sleep, and jobs that differ."""
