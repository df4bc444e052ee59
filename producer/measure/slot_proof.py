"""How many slots of a lane have been seen at work, from records of jobs that hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


class SlotProof:
    """
    The slots of a lane that have been seen.

    A slot is told by the process and thread of its jobs. Greenlets share one thread, but as many jobs as run at once
    must have a slot each.

    Args:
        slots: How many the lane should have.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._began_at: dict[tuple[Any, ...], float] = {}
        self._at_once, self._at_once_at = 0, 0.0

    @property
    def seen(self) -> int:
        """How many slots have run a job."""
        return max(len(self._began_at), self._at_once)

    @property
    def all_at_work_at(self) -> float:
        """When the last slot began its first job, in seconds since the epoch; only if all have been seen."""
        return max(self._began_at.values()) if len(self._began_at) >= self._slots else self._at_once_at

    def see(self, records: pl.DataFrame) -> None:
        """Take in the records of some jobs."""
        ended = records.drop_nulls(["started_at", "finished_at"])
        # With the node: containers number their processes independently.
        for *place, started_at in ended.select("node", "pid", "thread_id", "started_at").iter_rows():
            slot = tuple(place)
            self._began_at[slot] = min(started_at, self._began_at.get(slot, started_at))
        self._count(ended)

    def _count(self, ended: pl.DataFrame) -> None:
        # An end sorts before a beginning at the same instant.
        changes = sorted([(at, 1) for at in ended["started_at"]] + [(at, -1) for at in ended["finished_at"]])
        running = 0
        for at, change in changes:
            running += change
            if self._at_once < min(running, self._slots):
                self._at_once, self._at_once_at = running, at
