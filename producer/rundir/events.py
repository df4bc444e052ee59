"""
Events: things that happened to a fleet or a load while it ran, as far as the command saw them.

A run directory has one line for each. Runs from before there were any have a load's changes in their manifest; those
are read as events.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from producer.plan.mix import mix_text
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from producer.rundir.trials import Trial

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

    def to_dict(self) -> dict[str, Any]:
        """Return the event as JSON has it."""
        return {**asdict(self), "kind": str(self.kind)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        return cls(**{name: value[name] for name in ("at", "lane", "node", "kind", "detail")})


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


def change_text(change: Mapping[str, Any]) -> str:
    """Return in words what a load does after a change."""
    if change["paused"]:
        return "paused"
    rate = "the script's rate" if change["rate_per_s"] is None else f"{change['rate_per_s']:g}/s"
    return rate if change["mix"] is None else f"{rate}, {mix_text(change['mix'])}"


def told_by_manifest(manifest: Mapping[str, Any], trials: Sequence[Trial]) -> list[Event]:
    """The events of a run from before it noted any: how its load was steered, and whether it ended early."""
    zeros = {trial.lane: trial.began_at for trial in trials if trial.kind is Kind.LOAD}
    return sorted(_told(manifest, zeros), key=lambda event: event.at)


def _told(manifest: Mapping[str, Any], zeros: Mapping[str, float]) -> Iterator[Event]:
    for lane, changes in (manifest.get("changes") or {}).items():
        for change in changes if lane in zeros else ():
            at = zeros[lane] + change["at_s"]
            yield Event(at=at, lane=lane, node="", kind=EventKind.CHANGED, detail=change_text(change))
    aborted = manifest.get("aborted")
    if aborted and aborted["lane"] in zeros:
        lane = aborted["lane"]
        at = zeros[lane] + aborted["at_s"]
        yield Event(at=at, lane=lane, node="", kind=EventKind.GIVEN_UP, detail=aborted["why"])
