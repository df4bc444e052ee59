"""All pictures of a run, and of two side by side, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.charts.changes import changes
from producer.charts.cost import cost
from producer.charts.lanes import lanes
from producer.charts.memory import memory
from producer.charts.nodes import nodes
from producer.charts.ping import ping
from producer.charts.scaling import scaling
from producer.charts.side_by_side import side_by_side
from producer.charts.spectrum import spectrum
from producer.charts.throughput import throughput
from producer.charts.timeline import timeline
from producer.charts.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from producer.charts.picture import Picture
    from producer.rundir import Run

PICTURES: Sequence[Callable[[Mapping[str, Any], Run], Picture]] = (
    verdict, throughput, spectrum, timeline, lanes, memory, nodes, scaling, ping, cost,
)  # fmt: skip


def pictures_of(summary: Mapping[str, Any], run: Run) -> list[Picture]:
    """
    Every picture; one that the run has nothing for says what is missing.

    Args:
        summary: Of the run.
        run: The same run, read.
    """
    return [picture(summary, run) for picture in PICTURES]


OF_BOTH: Sequence[Callable[[Mapping[str, Any], Run], Picture]] = (throughput, spectrum, lanes, memory, ping, cost)
"""Those that tell two runs apart: each run has a verdict of its own, and they ran at different times."""


def pictures_of_both(
    found: Mapping[str, Any], summaries: Sequence[Mapping[str, Any]], runs: Sequence[Run]
) -> list[Picture]:
    """
    What changed between two runs, and pictures with the lanes of both.

    Args:
        found: What `producer.compare.compare_runs` found.
        summaries: Of the first run and of the second.
        runs: The same runs, read.
    """
    summary, run = side_by_side(summaries, runs)
    return [changes(found), *(picture(summary, run) for picture in OF_BOTH)]
