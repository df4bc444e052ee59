"""A race: its verdicts and recommendations are all that it finds. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.analysis.kind import KindParts, RunKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.results import Analysis
    from producer.analysis.verdict import Verdict
    from producer.rundir.run import Run


def race_parts(run: Run, analysis: Analysis, verdicts: Sequence[Verdict]) -> KindParts:  # noqa: ARG001 - as of any kind
    """Return nothing: what a race has, other kinds have, too."""
    return KindParts()


RACE = RunKind(name="race", summarise=race_parts, comparable=True, recommends=True)
