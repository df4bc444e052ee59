"""
Where the next pair of trials decides most. Pure.

Pairs go first to a workload for which nothing could be recommended yet, and then to the comparison that is likely to be
settled soonest, counted in time. What is settled gets none. A comparison that has too few pairs to be judged comes
last: a race tries all of them equally often before it asks, so its rounds are those that something always disturbs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from producer.analysis.recommendation import WORST_SHARE, worst_shares
from producer.analysis.sequential import LEAST_PAIRS, MOST_PAIRS, half_width
from producer.analysis.stats import LogRatio
from producer.analysis.verdict import OUTSIDE_ALIKE, WRONG_WINNERS, estimate, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.analysis.pairs import Measure, PairedValues
    from producer.analysis.verdict import Verdict

AHEAD_PAIRS = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 65, 80, 100, 150, 200)
"""So many pairs further on it is looked whether a comparison would be settled."""

Group = tuple["Measure", str]
"""A measure and a workload: one round of it is a trial on each lane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """
    How a race stands.

    Attributes:
        verdicts: The verdicts so far.
        next: The measure and workload that a further round should go to; None if all is settled.
    """

    verdicts: Sequence[Verdict]
    next: Group | None

    @property
    def settled(self) -> int:
        """The number of comparisons that are settled."""
        return sum(each.settled for each in self.verdicts)


def standing(comparisons: Sequence[PairedValues], margin: float, round_s: Mapping[Group, float]) -> Standing:
    """
    Return how a race stands, and where its next round should go.

    Args:
        comparisons: All comparisons of the race.
        margin: Lanes that differ by less than this share are equal.
        round_s: What a round of each measure and workload takes, in seconds.
    """
    verdicts = judge(comparisons, margin)
    open_ones = [
        (c, v)
        for c, v in zip(comparisons, verdicts, strict=True)
        if not v.settled and not c.failing and len(c.ratios) < MOST_PAIRS
    ]
    if not open_ones:
        return Standing(verdicts=verdicts, next=None)
    level = WRONG_WINNERS / (len(verdicts) - sum(each.winner is not None for each in verdicts))
    helpless = _without_recommendation(verdicts)

    def urgency(found: tuple[PairedValues, Verdict]) -> tuple[bool, bool, float, int]:
        comparison, verdict = found
        rest = pairs_to_settle(estimate(comparison), float(np.log1p(margin)), level)
        rounds = rest * len(comparison.ratios) / max(verdict.pairs, 1)  # a pair that does not count takes its time, too
        needed = verdict.measure == "capacity" and verdict.workload in helpless
        took_s = rounds * round_s.get((verdict.measure, verdict.workload), 1.0)
        # Equally far ones in turn: those with fewer pairs first.
        return verdict.pairs < LEAST_PAIRS, not needed, took_s, verdict.pairs

    chosen, _ = min(open_ones, key=urgency)
    return Standing(verdicts=verdicts, next=(chosen.measure, chosen.workload))


def pairs_to_settle(ratio: LogRatio, log_margin: float, level: float) -> int:
    """
    Return how many more pairs would settle a comparison if they were like those so far; a large number if none would.

    Args:
        ratio: Estimated from the pairs so far.
        log_margin: The logarithm of the ratio up to which lanes show no difference.
        level: The level at which a winner is settled.
    """
    if ratio.pairs < 2:
        return LEAST_PAIRS - ratio.pairs
    distance = abs(ratio.mean) - log_margin
    for ahead in AHEAD_PAIRS:
        pairs = max(ratio.pairs + ahead, LEAST_PAIRS)
        if distance > 0 and half_width(level, pairs, ratio.sd) < abs(ratio.mean):
            return ahead
        if distance <= 0 and half_width(OUTSIDE_ALIKE, pairs, ratio.sd) <= -distance:
            return ahead
    return 10 * AHEAD_PAIRS[-1]


def _without_recommendation(verdicts: Sequence[Verdict]) -> set[str]:
    """Return the workloads for which no lane's worst case is small enough yet."""
    capacity = [each for each in verdicts if each.measure == "capacity"]
    return {
        workload
        for workload in {each.workload for each in capacity}
        if min(worst_shares([each for each in capacity if each.workload == workload]).values(), default=1.0)
        > WORST_SHARE
    }
