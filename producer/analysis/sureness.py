"""How sure a verdict is, in words: settled, likely with its probability, or open. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from producer.analysis.verdict_words import OPEN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.recommendation import Recommendation
    from producer.analysis.verdict import Verdict

UNDECIDED = "nothing was compared"


def told(verdict: Verdict) -> str:
    """Return the word of a verdict and how sure it is, e.g. "prefork, settled" or "threads, likely (93 %)"."""
    return verdict.word if verdict.word == OPEN else f"{verdict.word}, {how_sure(verdict)}"


def how_sure(verdict: Verdict) -> str:
    """Return how sure a verdict is, e.g. "settled", "likely (93 %)" or "open"."""
    if verdict.probability is None:
        return verdict.sure
    # Rounded down: what is not settled is never told to be 100 % probable.
    return f"{verdict.sure} ({math.floor(100 * verdict.probability)} %)"


def explained(verdict: Verdict) -> str:
    """Return a verdict with its reason, e.g. "prefork, settled: prefork does 1.3 to 2.6 times as many as threads"."""
    return f"{told(verdict)}: {verdict.reason}"


def sureness(chosen: Recommendation, verdicts: Sequence[Verdict]) -> str:
    """Return what a recommendation rests on: the verdicts on capacity of its lane, or without one all of them."""
    capacity = [each for each in verdicts if each.measure == "capacity"]
    ours = [each for each in capacity if chosen.lane in (None, each.a, each.b)]
    return "; ".join(map(explained, ours)) or UNDECIDED
