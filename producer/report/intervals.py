"""What a reader has to know of the intervals of verdicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.analysis.verdict import OUTSIDE_ALIKE, OUTSIDE_INTERVAL
from producer.report.formats import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.verdict import Verdict

USUAL, ALIKE = 1 - OUTSIDE_INTERVAL, 1 - OUTSIDE_ALIKE


def interval_note(verdicts: Sequence[Verdict]) -> str:
    """Return how to read the ratios of verdicts and their intervals, as sentences."""
    return f"Ratio, and the interval that its verdict rests on. {confidence_note(verdicts)}"


def confidence_note(verdicts: Sequence[Verdict]) -> str:
    """Return how sure the intervals of verdicts are, as a sentence; it names settled ones only where there are any."""
    winners = [each.confidence for each in verdicts if each.winner and each.confidence is not None]
    usual = f"It holds with {confidence_text(USUAL)} confidence however often one looks"
    if any(each.settled and not each.winner for each in verdicts):
        usual += f", that of a settled no difference with {confidence_text(ALIKE)}"
    if not winners:
        return f"{usual}."
    least, most = confidence_text(min(winners)), confidence_text(max(winners))
    between = most if least == most else f"{least.removesuffix(' %')} to {most}"
    return f"{usual}; that of a settled winner with {between}, which allows for all comparisons of the race."


def confidence_text(confidence: float | None) -> str:
    """Format the confidence of an interval; 99.9 % stands for all above it."""
    return NONE if confidence is None else f"{min(confidence, 0.999) * 100:.1f}".removesuffix(".0") + " %"
