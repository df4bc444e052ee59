"""Progress of a run: a bar with rate and time left on a terminal, plain lines elsewhere. Goes to standard error."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from producer.errors import UsageError
from producer.report.formats import NONE, count, milliseconds, number
from producer.report.progress.lanes_view import LanesView
from producer.report.progress.race_view import RaceView

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rich.console import RenderableType

    from producer.measure.progress import LimitSoFar, Score
    from producer.measure.snapshot import LaneSnapshot


class Silent:
    """Says nothing."""

    def stage(self, text: str) -> None:
        """Do nothing."""

    def begin(self, trials: int | None, at_most_s: float | None = None) -> None:
        """Do nothing."""

    def trial(self, text: str) -> None:
        """Do nothing."""

    def score(self, score: Score) -> None:
        """Do nothing."""

    def probe(self, limit: LimitSoFar) -> None:
        """Do nothing."""

    def lane(self, now: LaneSnapshot, ended: int, of: int) -> None:
        """Do nothing."""


class Lines:
    """A line for each step, and one every few seconds while trials run; for logs."""

    EVERY_S = 5.0

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._trials: int | None = 0
        self._at_most_s: float | None = None
        self._done = 0
        self._began_s = 0.0
        self._said_s = 0.0

    def stage(self, text: str) -> None:
        """Say which step has begun."""
        print(text, file=self._stream, flush=True)

    def begin(self, trials: int | None, at_most_s: float | None = None) -> None:
        """Start counting trials, or the time."""
        self._trials, self._at_most_s, self._done = trials, at_most_s, 0
        self._began_s = self._said_s = self._clock()
        most = f"at most {at_most_s:.0f} s" if at_most_s else "until all is settled"
        self.stage(f"Measuring: {trials} trials" if trials else f"Measuring: {most}")

    def trial(self, text: str) -> None:
        """Print the number of trials done, if nothing was printed for a while."""
        self._done += 1
        now_s = self._clock()
        if now_s - self._said_s >= self.EVERY_S or self._done == self._trials:
            self._said_s = now_s
            self.stage(f"{self._so_far(now_s - self._began_s)}; {text}")

    def _so_far(self, took_s: float) -> str:
        if self._trials:
            left_s = took_s / self._done * (self._trials - self._done)
            return f"{self._done}/{self._trials} trials, about {left_s:.0f} s left"
        return f"{took_s:.0f} s" + (f" of at most {self._at_most_s:.0f} s" if self._at_most_s else "")

    def score(self, score: Score) -> None:
        """Do nothing: the line of the trial says it."""

    def probe(self, limit: LimitSoFar) -> None:
        """Print the probe and the limit in a line."""
        self.stage(probe_line(limit))

    def lane(self, now: LaneSnapshot, ended: int, of: int) -> None:
        """Print its rates."""
        self.stage(line(now, ended, of))


class Bar:
    """A bar that moves; below the lanes while one is under load, or below what they scored where that is wanted."""

    def __init__(self, progress: _WithLanes, *, scores: bool = False) -> None:
        self._progress = progress
        self._scores = scores
        self._timed_from_s: float | None = None
        self._task: TaskID = progress.add_task("Starting", total=None)

    def stage(self, text: str) -> None:
        """Say which step has begun."""
        self._progress.update(self._task, description=text)

    def begin(self, trials: int | None, at_most_s: float | None = None) -> None:
        """Start counting trials, or the seconds."""
        self._timed_from_s = None if trials else time.monotonic()
        self._progress.reset(self._task, total=trials or at_most_s)

    def trial(self, text: str) -> None:
        """Move the bar."""
        if self._timed_from_s is None:
            self._progress.update(self._task, advance=1, description=text)
        else:
            took_s = round(time.monotonic() - self._timed_from_s)
            self._progress.update(self._task, completed=took_s, description=text)

    def score(self, score: Score) -> None:
        """Show what a trial of a race gave, beside those before it."""
        if self._scores:
            self._progress.race.add(score)

    def probe(self, limit: LimitSoFar) -> None:
        """Show the probe and the limit beside the bar."""
        self.stage(probe_line(limit))

    def lane(self, now: LaneSnapshot, ended: int, of: int) -> None:
        """Show its rates; the last ones of the lanes before it stay."""
        self._progress.lanes.add(now)
        text = f"{now.lane}: {ended:,} of {of:,} jobs ended" + (", paused" if now.paused else "")
        self._progress.update(self._task, description=text)


class _WithLanes(Progress):
    """A bar below the lanes under load, or below what they scored in a race."""

    def __init__(self, *columns: ProgressColumn, console: Console, **options: Any) -> None:
        self.lanes = LanesView()
        self.race = RaceView()
        super().__init__(*columns, console=console, **options)

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the lanes, if any has anything to show, and the bar."""
        yield from filter(None, (self.race, self.lanes))
        yield from super().get_renderables()


def probe_line(limit: LimitSoFar) -> str:
    """Put a probe, and where the limit lies by all of them, into a line."""
    line = f"{limit.lane} probe {limit.probes} at {limit.rate_per_s:.1f}/s: {'passed' if limit.passed else 'FAILED'}"
    if limit.low_per_s is not None:
        line += f"; the limit lies between {number(limit.low_per_s)} and {number(limit.high_per_s)}/s (90 %)"
    return line + (", done" if limit.over else "")


def line(now: LaneSnapshot, ended: int, of: int) -> str:
    """Put the rates of a lane into a line for a log."""
    rates = (now.offered_per_s, now.accepted_per_s, now.started_per_s, now.finished_per_s)
    offered, accepted, started, finished = (NONE if each is None else f"{each:.0f}" for each in rates)
    wait = f"queue wait p50 {milliseconds(now.queue_wait_p50_s)} p99 {milliseconds(now.queue_wait_p99_s)} ms"
    return (
        f"{now.lane} {now.at_s:4.0f}/{now.of_s:.0f} s: offered {offered}/s, accepted {accepted}/s, "
        f"started {started}/s, finished {finished}/s, backlog {count(now.backlog)}, {wait}, {ended:,} of {of:,}"
        + (f", {now.failed} failed" if now.failed else "")
        + (", paused" if now.paused else "")
    )


@contextmanager
def progress_for(*, quiet: bool, live: bool | None = None) -> Iterator[Silent | Lines | Bar]:
    """
    Choose what suits the terminal: nothing if quiet, a bar on a terminal, plain lines elsewhere. Respects NO_COLOR.

    Args:
        quiet: Say nothing.
        live: Whether to show what moves; None for where there is a terminal. What each trial of a race gave is shown
            only if it is wanted.

    Raises:
        UsageError: If it is wanted and there is no terminal.
    """
    console = Console(stderr=True)
    if live and not console.is_terminal:
        raise UsageError("--live: standard error is no terminal. Leave it out to have plain lines.")
    if quiet:
        yield Silent()
    elif console.is_terminal if live is None else live:
        columns = BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}")
        with _WithLanes(*columns, console=console, transient=True) as progress:
            yield Bar(progress, scores=bool(live))
    else:
        yield Lines(sys.stderr)
