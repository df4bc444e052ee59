"""The nouns of an experiment, so that its file takes them in one line. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator

from producer.lessons.bench import Bench, Nodes
from producer.lessons.lesson import Found, Judgement, Lesson, Measure, Seen, Span, Verdict
from producer.lessons.picture import Lines, bars, printed, timeline

Observed = Iterator[Seen]
"""What the repetitions of an experiment saw, one after the other."""

__all__ = [
    "Bench", "Found", "Judgement", "Lesson", "Lines", "Measure", "Nodes", "Observed", "Seen", "Span", "Verdict",
    "bars", "printed", "timeline",
]  # fmt: skip
