"""
Thresholds: comparisons that a run must meet, and the judgement on each. Pure.

    p99(sojourn) < 500ms        p50, p90, p99, p99.9, max, mean of sojourn, sojourn_from_sent, queue_wait, broker_wait,
                                slot_wait, service, publish_lag
    lost == 0                   lost, failed, duplicated, refused, revoked, queued, retried: jobs
    rate(finished) > 150/s      or a part of what was offered: rate(finished) > 0.98 * offered; also rate(sent)
    mem_per_slot < 20MiB        proportional set size of the nodes' processes, by slot
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from producer.errors import UsageError
from producer.plan.stages import STAGES
from producer.plan.units import SIZE_UNITS_BYTES, TIME_UNITS_S, one_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

STATISTICS = ("p50", "p90", "p99", "p99.9", "max", "mean")
COUNTS = ("lost", "failed", "duplicated", "refused", "revoked", "queued", "retried")
RATES = ("finished", "sent")
MEMORY = "mem_per_slot"
THRESHOLD_EXAMPLES = "'p99(sojourn) < 500ms', 'lost == 0', 'rate(finished) > 0.98 * offered' or 'mem_per_slot < 20MiB'"

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
AT_MOST = ("<", "<=")

_SHAPE = re.compile(
    r"\s*(?P<name>[a-z_0-9.]+)\s*(?:\(\s*(?P<of>[a-z_]+)\s*\))?\s*(?P<operator><=|>=|==|<|>)\s*"
    r"(?P<limit>\d+(?:\.\d+)?)\s*(?P<unit>[a-zA-Z]+|/s|\*\s*offered)?\s*"
)


class Figures(Protocol):
    """The figures of a lane that thresholds are held against."""

    @property
    def offered_per_s(self) -> float:
        """Jobs that were due, per second."""

    @property
    def memory_per_slot_bytes(self) -> float | None:
        """Memory of the lane's nodes by slot; None if unknown."""

    def statistic(self, stage: str, name: str) -> float | None:
        """Return a statistic of a stage in seconds, e.g. `p99.9` of `sojourn`; None if no job has the stage."""

    def throughput_per_s(self, of: str) -> float:
        """Return the rate at which jobs were `sent` or `finished`, per second."""

    def jobs(self, fate: str) -> int:
        """Return how many jobs met a fate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """
    One comparison.

    Attributes:
        text: The comparison as it was written.
        name: A statistic, a count, `rate` or `mem_per_slot`.
        of: The stage or rate that it is taken of; empty if there is no choice.
        operator: `<`, `<=`, `>`, `>=` or `==`.
        limit: In seconds, jobs, jobs per second or bytes; a part of the offered rate if `relative`.
        relative: True if the limit is a part of the offered rate.
    """

    text: str
    name: str
    of: str
    operator: str
    limit: float
    relative: bool = False

    def judge(self, figures: Figures) -> Judgement:
        """Compare it with a lane's figures."""
        measured = self._measured(figures)
        limit = self.limit * figures.offered_per_s if self.relative else self.limit
        kept = measured is not None and OPERATORS[self.operator](measured, limit)
        return Judgement(threshold=self.text, measured=measured, limit=limit, kept=kept)

    def _measured(self, figures: Figures) -> float | None:
        if self.name in STATISTICS:
            return figures.statistic(self.of, self.name)
        if self.name == "rate":
            return figures.throughput_per_s(self.of)
        return figures.memory_per_slot_bytes if self.name == MEMORY else figures.jobs(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """
    The result of a threshold on one lane.

    Attributes:
        threshold: The comparison as it was written.
        measured: The measured value, in the limit's unit; None if it could not be measured, which fails it.
        limit: The value that it was compared with, in seconds, jobs, jobs per second or bytes.
        kept: True if it was met.
    """

    threshold: str
    measured: float | None
    limit: float
    kept: bool


def parse_threshold(text: str, option: str = "--threshold") -> Threshold:
    """
    Parse a threshold; an error names the option that it was given with.

    Raises:
        UsageError: If it is not a threshold; the message says what is allowed in the wrong place.
    """
    match = _SHAPE.fullmatch(text)
    if not match:
        raise UsageError(f"{option} {text!r}: not a comparison. E.g. {THRESHOLD_EXAMPLES}.")
    name, of, unit = match["name"], match["of"] or "", (match["unit"] or "").replace(" ", "")
    _check_name(text, name, of, option)
    return Threshold(
        text=" ".join(text.split()),
        name=name,
        of=of,
        operator=match["operator"],
        limit=float(match["limit"]) * _scale(text, name, unit, option),
        relative=unit == "*offered",
    )


def _check_name(text: str, name: str, of: str, option: str) -> None:
    names = (*STATISTICS, *COUNTS, "rate", MEMORY)
    if name not in names:
        raise UsageError(f"{option} {text!r}: unknown figure {name!r}. Allowed: {one_of(name, names)}.")
    allowed = tuple(STAGES) if name in STATISTICS else RATES if name == "rate" else ()
    if of and not allowed:
        raise UsageError(f"{option} {text!r}: {name} is of nothing in particular. Write {name} without brackets.")
    if allowed and of not in allowed:
        raise UsageError(f"{option} {text!r}: {name} of what? Allowed in the brackets: {one_of(of, allowed)}.")


def _scale(text: str, name: str, unit: str, option: str) -> float:
    """Return the factor of a unit."""
    if name in STATISTICS:
        allowed: Mapping[str, float] = TIME_UNITS_S
    elif name == "rate":
        allowed = {"/s": 1.0, "*offered": 1.0, "": 1.0}
    else:
        allowed = SIZE_UNITS_BYTES if name == MEMORY else {"": 1.0}
    if unit not in allowed:
        words = [word or "none" for word in allowed]
        raise UsageError(f"{option} {text!r}: unit {unit or 'none'!r}. Allowed for {name}: {', '.join(words)}.")
    return allowed[unit]
