"""What a comparison of two runs says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.report.formats import ratio
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from producer.report.tables import Summary


def comparison(found: Summary) -> Iterator[Table | Prose]:
    """The parts of a comparison of two runs."""
    differs = [
        f"{name}: {values['first']} before, {values['second']} after" for name, values in found["differs_in"].items()
    ]
    yield Prose(
        title=f"{found['second']} against {found['first']}",
        lines=differs or ["The two runs were asked for the same, on the same machine and software."],
    )
    yield second_over_first(found)


def second_over_first(found: Summary) -> Table:
    """The ratio of every figure that both runs have."""
    return Table(
        title="Second run over first",
        columns=["workload", "lane", "measure", "ratio", "verdict"],
        rows=[
            [
                each["workload"],
                each["lane"],
                each["measure"],
                ratio(each["ratio"], each["low"], each["high"]),
                each["word"],
            ]
            for each in found["changes"]
        ],
        note="Ratio with its 95 % interval (Welch). Not interleaved: a machine that changed shows here too.",
    )
