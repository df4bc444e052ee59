"""
Events: things that happened to a fleet or a load while it ran, as far as the command saw them.

A run directory has one line for each.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from producer.plan.mix import mix_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from producer.plan.script import Change

MOST_NAMED = 4
"""The most child processes of one sample that are named by their ids; more are counted."""


class EventKind(StrEnum):
    """The kinds of events."""

    LOST = "node lost"
    SILENT = "node silent"
    ANSWERS = "node answers again"
    RESTARTED = "node restarted"
    JOINED = "node joined"
    CHILDREN = "children replaced"
    REFUSED = "jobs refused"
    CHANGED = "load changed"
    GIVEN_UP = "threshold broken"
    CUT_SHORT = "cut short"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    Something that happened.

    Attributes:
        at: When it was seen, in seconds since the epoch on the broker's clock.
        lane: Key of the lane; empty if it concerns no lane.
        node: The node's name; empty if it concerns no node.
        kind: One of `EventKind`; as text, since a later version may have more.
        detail: The rest, for a reader.
    """

    at: float
    lane: str
    node: str
    kind: str
    detail: str

    @property
    def text(self) -> str:
        """The event in a line, without its time."""
        who = f"{self.kind}: {self.node}" if self.node else self.kind
        return f"{who}, {self.detail}" if self.node and self.detail else f"{who}: {self.detail}" if self.detail else who


class EventLog:
    """
    Writes events, each at once.

    Attributes:
        now: The broker's clock, in seconds since the epoch; this machine's until the broker's is known.
    """

    def __init__(self, write: Callable[[Event], None], now: Callable[[], float] = time.time) -> None:
        self.now = now
        self._write = write

    def note(
        self, kind: EventKind, *, lane: str = "", node: str = "", detail: str = "", at: float | None = None
    ) -> None:
        """Write an event that happened now, or at an instant of the broker's clock."""
        at = self.now() if at is None else at
        self._write(Event(at=at, lane=lane, node=node, kind=kind, detail=detail))


NULL_LOG = EventLog(lambda _: None)
"""A log for a fleet without a run directory: it writes nothing."""


def children_text(ended: set[int], began: set[int]) -> str:
    """Return in words which child processes of a node ended and began between two samples."""
    parts = [f"{_processes(pids)} {verb}" for pids, verb in ((ended, "ended"), (began, "began")) if pids]
    return ", ".join(parts)


def _processes(pids: set[int]) -> str:
    if len(pids) > MOST_NAMED:
        return f"{len(pids)} processes"
    return f"pid {', '.join(map(str, sorted(pids)))}"


def change_text(change: Change) -> str:
    """Return in words what a load does after a change."""
    if change.paused:
        return "paused"
    rate = "the script's rate" if change.rate_per_s is None else f"{change.rate_per_s:g}/s"
    return rate if change.mix is None else f"{rate}, {mix_text(change.mix)}"
