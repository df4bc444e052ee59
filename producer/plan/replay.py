"""Recorded arrivals as the script of a load. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from producer.errors import UsageError
from producer.plan.arrivals import Plan
from producer.plan.profile import Profile, Segment
from producer.plan.script import Change, Phase, Script

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPEED = re.compile(r"(\d+(?:\.\d+)?)x?")
LEAST_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay(Script):
    """
    A script that sends jobs at the times at which they were recorded; it cannot be steered.

    Attributes:
        due_s: The time at which each job is due, ascending from 0.
        names: The workload of each job.
    """

    due_s: tuple[float, ...]
    names: tuple[str, ...]

    def plan_jobs(self, workloads: Sequence[str], arrivals: str, seed: int, changes: Sequence[Change] = ()) -> Plan:
        """Plan every job as it came; nothing is drawn, and nothing can be changed."""
        del arrivals, seed, changes
        places = {name: place for place, name in enumerate(workloads)}
        parts = np.array([places[name] for name in self.names], dtype=np.uint8)
        return Plan(due_s=np.array(self.due_s), rate_per_s=self.mean_per_s, parts=parts)


def replay(recorded: Sequence[tuple[float, str]], speed: float) -> Replay:
    """
    Return the script of a recording.

    Args:
        recorded: The time at which each job came, in seconds and ascending, and its workload.
        speed: The factor on its speed: 2 for twice as fast.
    """
    due_s = tuple((at - recorded[0][0]) / speed for at, _ in recorded)
    names = tuple(name for _, name in recorded)
    counts = {name: float(names.count(name)) for name in dict.fromkeys(names)}
    # One more mean gap, so that the last job has its time too.
    duration_s = max(LEAST_S, due_s[-1] * (len(due_s) / max(1, len(due_s) - 1)))
    rate = len(due_s) / duration_s
    held = Segment(begin_per_s=rate, end_per_s=rate, duration_s=duration_s)
    profile = Profile(text=f"replay {speed:g}x", segments=(held,))
    return Replay(phases=(Phase(name="replay", profile=profile, mix=counts),), due_s=due_s, names=names)


def parse_speed(text: str) -> float:
    """
    Parse a speed from `2x` or `0.5`.

    Raises:
        UsageError: If it is not a speed.
    """
    match = _SPEED.fullmatch(text.strip())
    speed = float(match[1]) if match else 0.0
    if not 0.01 <= speed <= 1000:
        raise UsageError(f"--replay {text!r}: must be a speed from 0.01x to 1000x, e.g. 1x or 10x.")
    return speed
