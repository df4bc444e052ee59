"""The facts about a lane as it ran: its nodes, the lock in its slots and its memory. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

import polars as pl

from producer.analysis.memory import lane_memory_per_slot_bytes
from producer.plan.lanes import Lane

if TYPE_CHECKING:
    from producer.rundir.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFacts(Lane):
    """
    A lane as it ran.

    Attributes:
        node: Name of its first node; None if none was ready.
        ready_s: From starting its nodes until every slot had begun a first job, in seconds, the median of its starts;
            None if they ran already.
        hello: What that node says of itself; None if none was ready.
        gil_in_slots: The global lock, seen from inside: `on`, `off` or `mixed`; None if no job ran.
        memory_per_slot_bytes: Proportional set size of its nodes by slot; None if unknown.
        private_per_slot_bytes: The part of it that each process has to itself.
    """

    node: str | None
    ready_s: float | None
    hello: Mapping[str, Any] | None
    gil_in_slots: str | None
    memory_per_slot_bytes: float | None
    private_per_slot_bytes: float | None


def lane_facts(run: Run, lane: Lane) -> LaneFacts:
    """Return what is known of a lane as it ran."""
    nodes = [node for node in run.manifest.nodes if node.lane == lane.key]
    node = next(iter(nodes), None)
    ready_s = [each.ready_s for each in nodes if each.ready_s is not None]
    return LaneFacts(
        **asdict(lane),
        node=node.node if node else None,
        ready_s=median(ready_s) if ready_s else None,
        hello=node.hello if node else None,
        gil_in_slots=_gil(run.records, lane),
        memory_per_slot_bytes=lane_memory_per_slot_bytes(run, lane),
        private_per_slot_bytes=lane_memory_per_slot_bytes(run, lane, "private_bytes"),
    )


def _gil(records: pl.DataFrame, lane: Lane) -> str | None:
    seen = records.filter(pl.col("lane") == lane.key)["gil"].unique().to_list()
    if not seen:
        return None
    return "mixed" if len(seen) > 1 else ("on" if seen[0] else "off")
