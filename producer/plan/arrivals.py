"""
Turns a rate into the times at which jobs are due.

Pure: the times are offsets from a start that the publisher chooses, so nothing here reads a clock or sleeps.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_JOBS = 100_000_000
"""The most jobs in a plan: well inside the 32 bits of a sequence number, and 0.8 GB of due times."""

SEED_BITS = 53
"""A derived seed fits into a float exactly, so that no JSON reader changes it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Plan:
    """
    The time at which each job is due; a job's index is its sequence number.

    Attributes:
        due_s: Offsets from the start in seconds, ascending. A read-only copy of the argument.
        rate_per_s: The arrival rate that was asked for; None for a backlog, whose jobs are all due at once.
        parts: The index of each job's call; None if there is only one call.
    """

    due_s: NDArray[np.float64]
    rate_per_s: float | None
    parts: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        due_s = np.array(self.due_s, dtype=np.float64)
        if self.parts is not None and len(self.parts) != len(due_s):
            raise ValueError(f"{len(self.parts)} parts for {len(due_s)} jobs: each job has one")
        if due_s.size and not (np.isfinite(due_s).all() and due_s[0] >= 0 and (np.diff(due_s) >= 0).all()):
            raise ValueError(f"due times {due_s!r}: must be finite, 0 or more, and ascending")
        due_s.setflags(write=False)
        object.__setattr__(self, "due_s", due_s)

    @property
    def jobs(self) -> int:
        """The number of jobs."""
        return len(self.due_s)

    def part(self, seq: int) -> int:
        """Return the index of a job's call."""
        return 0 if self.parts is None or seq >= len(self.parts) else int(self.parts[seq])

    def parts_of(self, seqs: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the indices of many jobs' calls; 0 for a job that is not in the plan any more."""
        found = np.zeros(len(seqs), dtype=np.uint8)
        if self.parts is not None:
            known = seqs < len(self.parts)
            found[known] = self.parts[seqs[known]]
        return found

    @property
    def duration_s(self) -> float:
        """The time at which the last job is due; 0 without jobs."""
        return float(self.due_s[-1]) if self.jobs else 0.0


def backlog(jobs: int) -> Plan:
    """Return a plan with all jobs due at the start."""
    if not 1 <= jobs <= MAX_JOBS:
        raise ValueError(f"jobs {jobs!r}: must be 1 to {MAX_JOBS}")
    return Plan(due_s=np.zeros(jobs), rate_per_s=None)


def constant(rate_per_s: float, duration_s: float) -> Plan:
    """Return a plan with evenly spaced arrivals: the first at 0, the i-th at i / rate, up to the end."""
    expected = _expected_jobs(rate_per_s, duration_s)
    # Divided, not accumulated, so that the millionth job is as exact as the first; one more than needed, then cut,
    # because the product above may be rounded to either side.
    due_s = np.arange(int(expected) + 2) / rate_per_s
    return Plan(due_s=due_s[due_s < duration_s], rate_per_s=rate_per_s)


def poisson(rate_per_s: float, duration_s: float, seed: int) -> Plan:
    """
    Return a plan with the arrivals of independent users: a homogeneous Poisson process on [0, duration).

    The number of jobs is itself random, with mean rate x duration; given the number, due times are independent and
    uniform. The same arguments give the same plan.
    """
    expected = _expected_jobs(rate_per_s, duration_s)
    generator = _generator(seed)
    return _at_random(generator, int(generator.poisson(expected)), duration_s, rate_per_s)


def poisson_of_one_size(rate_per_s: float, duration_s: float, seed: int) -> Plan:
    """
    Return a Poisson plan that has as many jobs as the rate makes on average, and one at least.

    Plans of the same rate and duration then differ in when jobs are due, and not in how many there are, which moves a
    queue more than all else: what is measured by several of them varies less (`benchmarks.truth.one_size`).
    """
    jobs = max(1, round(_expected_jobs(rate_per_s, duration_s)))
    return _at_random(_generator(seed), jobs, duration_s, rate_per_s)


def _generator(seed: int) -> np.random.Generator:
    if seed < 0:
        raise ValueError(f"seed {seed!r}: must be 0 or more")
    return np.random.Generator(np.random.PCG64(seed))


def _at_random(generator: np.random.Generator, jobs: int, duration_s: float, rate_per_s: float) -> Plan:
    return Plan(due_s=np.sort(generator.random(jobs) * duration_s), rate_per_s=rate_per_s)


def held(rate_per_s: float, duration_s: float, arrivals: str, seed: int) -> Plan:
    """
    Return a plan with a rate that is held, with `poisson` or `constant` arrivals.

    If chance leaves a Poisson plan without any job, they are constant, so that something is measured.
    """
    if arrivals == "constant":
        return constant(rate_per_s, duration_s)
    plan = poisson(rate_per_s, duration_s, seed)
    return plan if plan.jobs else constant(rate_per_s, duration_s)


def _expected_jobs(rate_per_s: float, duration_s: float) -> float:
    """Return the mean number of arrivals, after checking rate and duration."""
    if not 0 < rate_per_s < np.inf:
        raise ValueError(f"rate {rate_per_s!r} per s: must be above 0 and finite")
    if not 0 < duration_s < np.inf:
        raise ValueError(f"duration {duration_s!r} s: must be above 0 and finite")
    expected = rate_per_s * duration_s
    if expected > MAX_JOBS:
        raise ValueError(f"rate {rate_per_s!r} per s for {duration_s!r} s: must be at most {MAX_JOBS} jobs in all")
    return expected


def seed_for(seed: int, *names: str | int) -> int:
    """
    Derive a seed for a named use of the run's seed, e.g. `seed_for(7, "arrivals", trial)`.

    It is the same in every process and on every machine; different names give unrelated seeds.
    """
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> (64 - SEED_BITS)


def split(plan: Plan, parts: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """
    Return the share of the k-th of several publishers: sequence numbers and due times.

    Jobs are dealt in turn, so that each publisher has an equal part of the rate at any time.
    """
    if parts < 1:
        raise ValueError(f"parts {parts!r}: must be 1 or more")
    if not 0 <= k < parts:
        raise ValueError(f"part {k!r}: must be 0 to {parts - 1}")
    indices = np.arange(k, plan.jobs, parts, dtype=np.int64)
    return indices, plan.due_s[indices]
