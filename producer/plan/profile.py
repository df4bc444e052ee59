"""
Load profiles: how the arrival rate changes over time, and the times at which jobs are then due.

Pure. A profile is a chain of segments; in each the rate changes linearly. It is written as one of

    200/s                                   held for --duration
    ramp 0->500/s over 60s
    steps 100/s..500/s by 100/s every 10s
    spike 100/s to 1000/s for 5s at 20s     back to 100/s afterwards, until --duration
    variable 100:30s,400:10s                rate:how long, one after the other
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from producer.errors import UsageError
from producer.plan.arrivals import Plan
from producer.plan.units import DAY_S, MAX_RATE_PER_S, parse_duration_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

RATE_EXAMPLES = (
    "200/s, ramp 0->500/s over 60s, steps 100/s..500/s by 100/s every 10s, spike 100/s to 1000/s for 5s at 20s, "
    "variable 100:30s,400:10s"
)
MAX_STEPS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """
    A part of a profile.

    Attributes:
        begin_per_s: Jobs per second at its start.
        end_per_s: Jobs per second at its end; the rate changes linearly in between.
        duration_s: Its length in seconds.
    """

    begin_per_s: float
    end_per_s: float
    duration_s: float

    @property
    def jobs(self) -> float:
        """The expected number of arrivals."""
        return (self.begin_per_s + self.end_per_s) / 2 * self.duration_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """
    The course of the arrival rate over time.

    Attributes:
        text: The profile as it was written.
        segments: Its segments, one after the other.
    """

    text: str
    segments: tuple[Segment, ...]

    @property
    def duration_s(self) -> float:
        """Its length in seconds."""
        return sum(segment.duration_s for segment in self.segments)

    @property
    def jobs(self) -> float:
        """The expected number of arrivals."""
        return sum(segment.jobs for segment in self.segments)

    @property
    def mean_per_s(self) -> float:
        """The mean arrival rate."""
        return self.jobs / self.duration_s


def plan_arrivals(profile: Profile, arrivals: str, seed: int) -> Plan:
    """
    Plan when each job is due.

    With constant arrivals the i-th is due when the expected number reaches i; Poisson arrivals are those of independent
    users whose rate follows the profile. The same arguments give the same plan.
    """
    if arrivals == "constant":
        expected = np.arange(int(profile.jobs) + 2, dtype=np.float64)
        expected = expected[expected < profile.jobs]
    else:
        generator = np.random.Generator(np.random.PCG64(seed))
        # At least one job if there is a rate: an empty plan measures nothing.
        jobs = max(1, int(generator.poisson(profile.jobs))) if profile.jobs else 0
        expected = np.sort(generator.random(jobs) * profile.jobs)
    return Plan(due_s=times_of(profile.segments, expected), rate_per_s=profile.mean_per_s)


def times_of(segments: Sequence[Segment], expected: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Return the times at which the expected number of arrivals reaches some values.

    Args:
        segments: The segments of a profile.
        expected: Numbers of arrivals since the start, ascending, none above the profile's own.

    Returns:
        Seconds since the start.
    """
    ends = np.array(list(accumulate(segment.jobs for segment in segments)))
    starts_s = [0.0, *accumulate(segment.duration_s for segment in segments)]
    places = np.minimum(np.searchsorted(ends, expected, side="right"), len(segments) - 1)
    due_s = np.empty_like(expected)
    for number, segment in enumerate(segments):
        here = places == number
        more = expected[here] - (ends[number] - segment.jobs)
        slope = (segment.end_per_s - segment.begin_per_s) / segment.duration_s
        root = np.sqrt(np.maximum(segment.begin_per_s**2 + 2 * slope * more, 0.0))
        # Of the two ways to write the root of a quadratic, this one also holds for a slope of 0.
        below = segment.begin_per_s + root
        due_s[here] = starts_s[number] + np.divide(2 * more, below, out=np.zeros_like(more), where=below > 0)
    return np.minimum.accumulate(np.maximum.accumulate(due_s)[::-1])[::-1]


def parse_profile(text: str, duration_s: float | None) -> Profile:
    """
    Parse a profile as it is written on the command line.

    Args:
        text: One of the forms above.
        duration_s: The length of a held rate or a spike's profile; the other forms have their own.

    Raises:
        UsageError: If it is none of them, or the duration is missing or not allowed.
    """
    for pattern, read, wants_duration in _FORMS:
        match = re.fullmatch(pattern, text.strip())
        if match:
            if wants_duration and duration_s is None:
                raise UsageError(f"--rate {text!r}: also say for how long, e.g. --duration 60s.")
            if not wants_duration and duration_s is not None:
                raise UsageError(f"--duration: --rate {text!r} says itself how long it takes. Leave --duration out.")
            return Profile(text=text.strip(), segments=tuple(read(match, duration_s or 0.0)))
    raise UsageError(f"--rate {text!r}: not a load profile. Allowed, by example: {RATE_EXAMPLES}.")


def _held(match: re.Match[str], duration_s: float) -> list[Segment]:
    rate = _rate(match["rate"])
    return [Segment(begin_per_s=rate, end_per_s=rate, duration_s=duration_s)]


def _ramp(match: re.Match[str], _: float) -> list[Segment]:
    return [Segment(begin_per_s=_rate(match["begin"]), end_per_s=_rate(match["end"]), duration_s=_time(match["over"]))]


def _steps(match: re.Match[str], _: float) -> list[Segment]:
    begin, end, by, every_s = _rate(match["begin"]), _rate(match["end"]), _rate(match["by"]), _time(match["every"])
    steps = int(abs(end - begin) / by + 1e-9) + 1 if by else 0
    if not 1 <= steps <= MAX_STEPS:
        raise UsageError(f"--rate {match[0]!r}: {steps} steps; must be 1 to {MAX_STEPS}. Change the step.")
    sign = 1 if end >= begin else -1
    rates = [begin + sign * by * number for number in range(steps)]
    return [Segment(begin_per_s=rate, end_per_s=rate, duration_s=every_s) for rate in rates]


def _spike(match: re.Match[str], duration_s: float) -> list[Segment]:
    base, top, lasts_s, at_s = _rate(match["base"]), _rate(match["top"]), _time(match["lasts"]), _time(match["at"])
    if at_s + lasts_s > duration_s:
        raise UsageError(f"--rate {match[0]!r}: the spike ends after {duration_s:g}s. Give a longer --duration.")
    parts = [(base, at_s), (top, lasts_s), (base, duration_s - at_s - lasts_s)]
    return [Segment(begin_per_s=rate, end_per_s=rate, duration_s=for_s) for rate, for_s in parts if for_s > 0]


def _variable(match: re.Match[str], _: float) -> list[Segment]:
    parts = [part.split(":") for part in match["parts"].split(",")]
    return [Segment(begin_per_s=_rate(rate), end_per_s=_rate(rate), duration_s=_time(for_s)) for rate, for_s in parts]


def _rate(text: str) -> float:
    rate = float(text)
    if rate > MAX_RATE_PER_S:
        raise UsageError(f"--rate {text}: must be at most {MAX_RATE_PER_S:,.0f}/s.")
    return rate


def _time(text: str) -> float:
    return parse_duration_s(text, "--rate, time", 0.001, DAY_S)


_PER_S = r"(?:/s)?"
_NUMBER = r"\d+(?:\.\d+)?"
_TIME = rf"{_NUMBER}(?:us|ms|s|m|h)?"
_FORMS: tuple[tuple[str, Callable[[re.Match[str], float], list[Segment]], bool], ...] = (
    (rf"(?P<rate>{_NUMBER}){_PER_S}", _held, True),
    (rf"ramp (?P<begin>{_NUMBER}){_PER_S}->(?P<end>{_NUMBER}){_PER_S} over (?P<over>{_TIME})", _ramp, False),
    (
        (
            rf"steps (?P<begin>{_NUMBER}){_PER_S}\.\.(?P<end>{_NUMBER}){_PER_S} by (?P<by>{_NUMBER}){_PER_S} "
            rf"every (?P<every>{_TIME})"
        ),
        _steps,
        False,
    ),
    (
        rf"spike (?P<base>{_NUMBER}){_PER_S} to (?P<top>{_NUMBER}){_PER_S} for (?P<lasts>{_TIME}) at (?P<at>{_TIME})",
        _spike,
        True,
    ),
    (rf"variable (?P<parts>{_NUMBER}:{_TIME}(?:,{_NUMBER}:{_TIME})*)", _variable, False),
)
