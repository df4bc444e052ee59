"""Keeps the runs that watch a node, each for as long as it gives a sign of life."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WATCH_S = 60.0
"""A run without a sign of life for this long gets no more samples, until it gives one again."""

MOST_KNOWN = 100
"""So many runs are remembered that may give a sign of life again: a node may live for months."""


class Watchers:
    """
    The runs that want samples of a node, and the instant of the next one. May be used from several threads.

    Args:
        monotonic: A clock that nobody can set, in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._runs: dict[str, tuple[float, float]] = {}
        self._known: dict[str, float] = {}
        self._due_s = 0.0

    def add(self, run_id: str, every_s: float) -> None:
        """Send samples to a run, `every_s` seconds apart; it gets more while another run wants more."""
        now_s = self._monotonic()
        self._known[run_id] = every_s
        if len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._runs[run_id] = now_s + WATCH_S, every_s
        self._due_s = min(self._due_s, now_s + every_s)

    def renew(self, run_id: str) -> None:
        """Prolong a run that has given a sign of life, if it watches, or did until it was silent for long."""
        if run_id in self._runs:
            self._runs[run_id] = self._monotonic() + WATCH_S, self._runs[run_id][1]
        elif run_id in self._known:
            # The lane was idle while others had their turn.
            self.add(run_id, self._known[run_id])

    def remove(self, run_id: str) -> None:
        """Send no more samples to a run."""
        self._runs.pop(run_id, None)
        self._known.pop(run_id, None)

    def due_in_s(self) -> float | None:
        """Return how long it is until the next sample; None if nobody watches."""
        return max(0.0, self._due_s - self._monotonic()) if self._runs else None

    def take_due(self) -> list[str]:
        """Return the runs that get a sample now, if one is due; the next is then due later."""
        now_s = self._monotonic()
        for run_id in [run for run, (until_s, _) in tuple(self._runs.items()) if until_s < now_s]:
            self._runs.pop(run_id, None)
        runs = tuple(self._runs.items())
        if not runs or now_s < self._due_s:
            return []
        self._due_s = now_s + min(every_s for _, (_, every_s) in runs)
        return [run_id for run_id, _ in runs]
