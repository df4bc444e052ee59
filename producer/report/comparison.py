"""The report of a comparison of two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.report.formats import ratio
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from producer.analysis.compare import Comparison


def comparison(found: Comparison) -> Iterator[Table | Prose]:
    """Yield the parts of a comparison of two runs."""
    differs = [f"{name}: {each.first} before, {each.second} after" for name, each in found.differs_in.items()]
    yield Prose(
        title=f"{found.second} against {found.first}",
        lines=differs or ["The two runs were asked for the same, on the same machine and software."],
    )
    yield second_over_first(found)


def second_over_first(found: Comparison) -> Table:
    """Return the ratio of every figure that both runs have."""
    return Table(
        title="Second run over first",
        columns=["workload", "lane", "measure", "ratio", "verdict"],
        rows=[
            [each.workload, each.lane, each.measure, ratio(each.ratio, each.low, each.high), each.word]
            for each in found.changes
        ],
        note="Ratio with its 95 % interval (Welch). Not interleaved: a machine that changed shows here too.",
    )
