"""
A picture of a run: two sentences from its data, a chart, and the same figures as a table; and how one is registered.

A picture is a function in a file of its own in `gallery/`, with `@picture(...)` above it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import plotly.graph_objects as go

    from producer.analysis.summary import Summary
    from producer.report.parts import Table
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

    Draw = Callable[[Summary, Run], "Drawn | Missing | None"]

MEASURED = tuple(kind for kind in Kind if kind not in {Kind.WARM_UP, Kind.PING})
"""Kinds of trial that count for something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """
    A picture's content, from the data of one run.

    Attributes:
        shows: One sentence that says what the picture shows.
        reads: One sentence that says how to read it.
        figure: The chart.
        table: The same figures.
        title: A title for this run; empty for the registered one.
    """

    shows: str
    reads: str
    figure: go.Figure
    table: Table
    title: str = ""


@dataclass(frozen=True, slots=True)
class Missing:
    """A sentence on what a run lacks for a picture, and how to get it, where the registered one does not say it."""

    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """
    A picture of a run, as the page and files have it.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """
    The part of a picture that is the same for every run.

    Attributes:
        key: Its name in file names and links; letters alone.
        title: What it is of, in a few words.
        missing: The sentence in its place if the run lacks what it is drawn from: what that is, and how to get it.
    """

    key: str
    title: str
    missing: str

    def around(self, drawn: Drawn | Missing | None) -> Picture:
        """Return the picture of what was drawn; None is what `missing` says."""
        if isinstance(drawn, Drawn):
            return Picture(
                key=self.key,
                title=drawn.title or self.title,
                shows=drawn.shows,
                reads=drawn.reads,
                figure=drawn.figure,
                table=drawn.table,
            )
        return Picture(key=self.key, title=self.title, missing=drawn.sentence if drawn else self.missing)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredPicture(Frame):
    """
    A picture of the gallery. Called with a summary and its run, it draws them.

    Attributes:
        draw: Draws a run of which the summary has all of `needs`.
        order: Its place on the page; smaller is further up.
        needs: Parts of the summary without which there is nothing to draw, e.g. `sweep`.
        trials: Kinds of trial that it is drawn from, the most telling first.
        compares: It is drawn of two runs side by side, too.
    """

    draw: Draw
    order: int
    needs: Sequence[str] = ()
    trials: Sequence[Kind] = MEASURED
    compares: bool = False

    def __call__(self, summary: Summary, run: Run) -> Picture:
        """Draw a run, or say what it lacks."""
        return self.around(self.draw(summary, run) if all(getattr(summary, part) for part in self.needs) else None)

    def trials_of(self, run: Run) -> list[Trial]:
        """Return the trials that it is drawn from, in order."""
        return [trial for trial in run.trials if trial.kind in self.trials]


def picture(
    *,
    key: str,
    title: str,
    missing: str,
    order: int,
    needs: Sequence[str] = (),
    trials: Sequence[Kind] = MEASURED,
    compares: bool = False,
) -> Callable[[Draw], RegisteredPicture]:
    """Make the function below a picture; the arguments are those of `RegisteredPicture`."""

    def register(draw: Draw) -> RegisteredPicture:
        return RegisteredPicture(
            key=key,
            title=title,
            missing=missing,
            draw=draw,
            order=order,
            needs=needs,
            trials=trials,
            compares=compares,
        )

    return register
