"""What every picture of a run has: two sentences from its data, a chart, and the same figures as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from producer.report.parts import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """
    A picture of a run.

    Attributes:
        key: Its name in file names and links, e.g. `verdict`.
        title: What it is of, in a few words.
        shows: One sentence that says what it shows, from the data.
        reads: One sentence that says how to read it, from the data.
        figure: The chart; None if the run lacks what it is drawn from.
        table: The same figures; None with `figure`.
        missing: What the run lacks, and how to get it; empty if the chart is there.
    """

    key: str
    title: str
    shows: str = ""
    reads: str = ""
    figure: go.Figure | None = None
    table: Table | None = None
    missing: str = ""
