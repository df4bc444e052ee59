"""How far a race is: a bar with rate and time left on a terminal, plain lines elsewhere. Goes to standard error."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Silent:
    """Says nothing."""

    def stage(self, text: str) -> None:
        """Nothing."""

    def begin(self, trials: int) -> None:
        """Nothing."""

    def trial(self, text: str) -> None:
        """Nothing."""


class Lines:
    """One line a stage, and one every few seconds while trials run; for logs."""

    EVERY_S = 5.0

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._trials = 0
        self._done = 0
        self._began_s = 0.0
        self._said_s = 0.0

    def stage(self, text: str) -> None:
        """Say what has begun."""
        print(text, file=self._stream, flush=True)

    def begin(self, trials: int) -> None:
        """Start counting trials."""
        self._trials, self._done = trials, 0
        self._began_s = self._said_s = self._clock()
        self.stage(f"Racing: {trials} trials")

    def trial(self, text: str) -> None:
        """Say how far it is, if it has not been said for a while."""
        self._done += 1
        now_s = self._clock()
        if now_s - self._said_s >= self.EVERY_S or self._done == self._trials:
            self._said_s = now_s
            left_s = (now_s - self._began_s) / self._done * (self._trials - self._done)
            self.stage(f"{self._done}/{self._trials} trials, about {left_s:.0f} s left; {text}")


class Bar:
    """A bar that moves."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task("Starting", total=None)

    def stage(self, text: str) -> None:
        """Say what has begun."""
        self._progress.update(self._task, description=text)

    def begin(self, trials: int) -> None:
        """Start counting trials."""
        self._progress.reset(self._task, total=trials)

    def trial(self, text: str) -> None:
        """Move the bar."""
        self._progress.update(self._task, advance=1, description=text)


@contextmanager
def progress_for(*, quiet: bool) -> Iterator[Silent | Lines | Bar]:
    """What suits the terminal: nothing if quiet, a bar on a terminal, plain lines elsewhere. NO_COLOR is respected."""
    console = Console(stderr=True)
    if quiet:
        yield Silent()
    elif console.is_terminal:
        columns = BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}")
        with Progress(*columns, console=console, transient=True) as progress:
            yield Bar(progress)
    else:
        yield Lines(sys.stderr)
