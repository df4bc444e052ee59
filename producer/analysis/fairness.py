"""
How the nodes of a lane share its jobs, and what they hold while others have nothing to do. Pure.

A node takes more jobs than it has slots, so that the next is there when a slot is free. Where jobs differ in length,
one node then holds jobs behind a long one while another is idle: *prefetch hoarding*. It is found here by counting, at
each instant, the jobs that wait in nodes for want of a slot there, and the slots that are free elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from producer.plan.stages import STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Counts = NDArray[np.int64]

HOARDED_SHARE = 0.1
"""From this share of the jobs' queue wait on, hoarding is told first: below, a cure would not be felt."""
WAITED = ("received_at", "started_at")
HELD_S = 0.05
"""A job that is held for less has not waited for a slot, but for its turn to be given one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeShare:
    """
    What a node did of its lane's jobs.

    Attributes:
        node: Its name.
        host: The part of it after the @.
        slots: Its slots.
        jobs: Jobs that it ran.
        busy_share: The share of its slots' time that jobs took, from the lane's first start to its last end.
        queue_wait_s: The median of the queue waits of its jobs, in seconds; None without jobs.
        hoarded_s: How long its jobs waited in it while slots were free on other nodes, in seconds of all jobs together.
    """

    node: str
    host: str
    slots: int
    jobs: int
    busy_share: float
    queue_wait_s: float | None
    hoarded_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostShare:
    """
    What the nodes of a lane on one host did of its jobs.

    Attributes:
        host: Its name.
        nodes: Nodes of the lane on it.
        slots: Their slots.
        jobs: Jobs that they ran.
        busy_share: The share of their slots' time that jobs took, from the lane's first start to its last end.
        queue_wait_s: The median of the queue waits of their jobs, in seconds; None without jobs.
        hoarded_s: How long jobs waited in one of them while slots were free on other nodes, in seconds.
    """

    host: str
    nodes: int
    slots: int
    jobs: int
    busy_share: float
    queue_wait_s: float | None
    hoarded_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fairness:
    """
    How the nodes of a lane shared its jobs.

    Attributes:
        nodes: Each node, by name.
        hosts: Each host, by name, where there are several and one has several nodes; else empty.
        hoarded_s: How long jobs waited in a node while slots were free on others, in seconds of all jobs together.
        hoarded_share: The same as a share of the queue waits of all jobs; 0 where none waited.
        jobs_held: Jobs that waited so for at least 50 ms.
        longest_s: The longest job that ran on a node while it held others so, in seconds; None if there was none.
    """

    nodes: tuple[NodeShare, ...]
    hosts: tuple[HostShare, ...] = ()
    hoarded_s: float
    hoarded_share: float
    jobs_held: int
    longest_s: float | None

    @property
    def hoards(self) -> bool:
        """True if hoarding is a part of the waiting that can be felt."""
        return self.hoarded_share >= HOARDED_SHARE


def fairness(records: pl.DataFrame, slots: Mapping[str, int]) -> Fairness | None:
    """
    Return how nodes shared jobs.

    Args:
        records: Records of one trial on one lane.
        slots: The slots of each of its nodes, by name.

    Returns:
        None for a lane of one node, and where no job ran.
    """
    ran = records.filter(pl.col("started_at").is_not_null() & pl.col("finished_at").is_not_null()).with_columns(
        # A job that was not seen when it came has not waited in the node.
        received_at=pl.min_horizontal(pl.col("received_at").fill_null(pl.col("started_at")), "started_at"),
        queue_wait=STAGES["queue_wait"].took_s,
    )
    if len(slots) < 2 or ran.is_empty():
        return None
    course = _Course(ran, slots)
    lasted_s = float(course.times[-1] - course.times[0])
    nodes = tuple(
        _share(ran.filter(pl.col("node") == node), node, slots[node], course, lasted_s) for node in sorted(slots)
    )
    waited_s = float(ran["queue_wait"].clip(0).sum())
    hoarded_s = sum(node.hoarded_s for node in nodes)
    held = course.held(ran)
    return Fairness(
        nodes=nodes,
        hosts=_by_host(ran, nodes),
        hoarded_s=hoarded_s,
        hoarded_share=hoarded_s / waited_s if waited_s else 0.0,
        jobs_held=held.height,
        longest_s=_longest_s(ran, held),
    )


class _Course:
    """The jobs that each node held and ran, between one instant and the next."""

    def __init__(self, ran: pl.DataFrame, slots: Mapping[str, int]) -> None:
        instants = pl.concat([ran["received_at"], ran["started_at"], ran["finished_at"]])
        self.times: Any = np.unique(instants.to_numpy())
        self._lasts_s = np.diff(self.times)
        by_node = {node: ran.filter(pl.col("node") == node) for node in slots}
        held = {node: self._between(jobs, "received_at", "started_at") for node, jobs in by_node.items()}
        busy = {node: self._between(jobs, "started_at", "finished_at") for node, jobs in by_node.items()}
        self._excess = {n: np.maximum(held[n] - np.maximum(slots[n] - busy[n], 0), 0) for n in slots}
        free = sum(np.maximum(slots[n] - busy[n] - held[n], 0) for n in slots)
        excess = sum(self._excess.values())
        # The share of the jobs in excess that the free slots elsewhere would have taken.
        self._taken = np.minimum(excess, free) / np.maximum(excess, 1)

    def _between(self, jobs: pl.DataFrame, begin: str, end: str) -> Counts:
        """Count the jobs of a node that were between two of their instants."""
        steps = np.zeros(len(self.times), dtype=np.int64)
        np.add.at(steps, np.searchsorted(self.times, jobs[begin].to_numpy()), 1)
        np.add.at(steps, np.searchsorted(self.times, jobs[end].to_numpy()), -1)
        return np.cumsum(steps)[:-1]

    def hoarded_s(self, node: str) -> float:
        """Return how long jobs waited in a node while slots were free elsewhere, all jobs together."""
        return float(np.sum(self._excess[node] * self._taken * self._lasts_s))

    def held(self, ran: pl.DataFrame) -> pl.DataFrame:
        """Return the jobs that waited in a node whose slots were taken while slots were free elsewhere."""
        found = []
        for (node,), jobs in ran.group_by("node"):
            hoarding_s = np.where((self._excess[str(node)] > 0) & (self._taken > 0), self._lasts_s, 0.0)
            so_far_s = np.concatenate([[0.0], np.cumsum(hoarding_s)])
            received, started = (np.searchsorted(self.times, jobs[name].to_numpy()) for name in WAITED)
            found.append(jobs.filter(pl.Series(so_far_s[started] - so_far_s[received] >= HELD_S)))
        return pl.concat(found)


def _share(jobs: pl.DataFrame, node: str, slots: int, course: _Course, lasted_s: float) -> NodeShare:
    busy_s = float((jobs["finished_at"] - jobs["started_at"]).sum())
    return NodeShare(
        node=node,
        host=node.partition("@")[2],
        slots=slots,
        jobs=jobs.height,
        busy_share=busy_s / (slots * lasted_s) if lasted_s else 0.0,
        queue_wait_s=jobs["queue_wait"].median() if jobs.height else None,  # type: ignore[arg-type]
        hoarded_s=course.hoarded_s(node),
    )


def _by_host(ran: pl.DataFrame, nodes: Sequence[NodeShare]) -> tuple[HostShare, ...]:
    """Return what the nodes of each host did; empty where that says no more than the nodes do, or there is one host."""
    names = sorted({node.host for node in nodes})
    if len(names) in (1, len(nodes)):
        return ()
    return tuple(_host(ran, name, [node for node in nodes if node.host == name]) for name in names)


def _host(ran: pl.DataFrame, name: str, nodes: Sequence[NodeShare]) -> HostShare:
    jobs, slots = ran.filter(pl.col("node").is_in([node.node for node in nodes])), sum(node.slots for node in nodes)
    return HostShare(
        host=name,
        nodes=len(nodes),
        slots=slots,
        jobs=jobs.height,
        busy_share=sum(node.busy_share * node.slots for node in nodes) / slots,
        queue_wait_s=jobs["queue_wait"].median() if jobs.height else None,  # type: ignore[arg-type]
        hoarded_s=sum(node.hoarded_s for node in nodes),
    )


def _longest_s(ran: pl.DataFrame, held: pl.DataFrame) -> float | None:
    """Return the longest job beside which others were held on its node, in seconds."""
    took = (pl.col("finished_at") - pl.col("started_at")).alias("took_s")
    columns = ("node", "started_at", "finished_at", "took_s")
    waits = {node: jobs for (node,), jobs in held.group_by("node")}
    for node, started_at, finished_at, took_s in (
        ran.with_columns(took).sort("took_s", descending=True).select(columns).iter_rows()
    ):
        waited = waits.get(node)
        if waited is not None and ((waited["started_at"] > started_at) & (waited["received_at"] < finished_at)).any():
            return float(took_s)
    return None
