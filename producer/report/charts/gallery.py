"""All pictures of a run, and of two side by side, in the order of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.report.charts.changes import changes
from producer.report.charts.cost import cost
from producer.report.charts.memory import memory
from producer.report.charts.nodes import nodes
from producer.report.charts.ping import ping
from producer.report.charts.scaling import scaling
from producer.report.charts.side_by_side import side_by_side
from producer.report.charts.slots import lanes
from producer.report.charts.spectrum import spectrum
from producer.report.charts.throughput import throughput
from producer.report.charts.timeline import timeline
from producer.report.charts.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from producer.report.charts.picture import Picture
    from producer.rundir.run import Run

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
        found: What `producer.analysis.compare.compare_runs` found.
        summaries: Of the first run and of the second.
        runs: The same runs, read.
    """
    summary, run = side_by_side(summaries, runs)
    return [changes(found), *(picture(summary, run) for picture in OF_BOTH)]
