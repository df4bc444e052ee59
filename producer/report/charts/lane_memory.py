"""The memory of the nodes of each lane while it worked, and the limit that a run knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from producer.analysis.memory import memory_per_slot_bytes
from producer.report.charts.swept import key_of, slots_vary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from producer.analysis.lane_facts import LaneFacts
    from producer.analysis.summary import Summary
    from producer.analysis.sweep import SweepSummary
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

FAR = 3.0
"""A limit so many times above all that is measured would flatten it; it is named instead of drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMemory:
    """
    Memory of a node.

    Attributes:
        pss_bytes: All of it (PSS).
        private_bytes: The part that no other process maps; None if unknown.
    """

    pss_bytes: float
    private_bytes: float | None

    @property
    def shared_bytes(self) -> float | None:
        """Its part of pages that other processes map, too."""
        return None if self.private_bytes is None else self.pss_bytes - self.private_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneMemory:
    """
    The memory of a lane at one count of slots.

    Attributes:
        lane: Key of the lane; in a sweep that of the lane that was varied.
        slots: Slots of all its nodes together.
        nodes: By node, the median of its process tree while the lane worked; in a sweep all of them together.
        of: How many nodes that is.
    """

    lane: str
    slots: int
    nodes: Mapping[str, NodeMemory]
    of: int

    @property
    def total_bytes(self) -> float:
        """PSS of all nodes."""
        return sum(each.pss_bytes for each in self.nodes.values())

    @property
    def private_bytes(self) -> float | None:
        """Private memory of all nodes; None if that of one is unknown."""
        known = [each.private_bytes for each in self.nodes.values() if each.private_bytes is not None]
        return sum(known) if len(known) == len(self.nodes) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryLimit:
    """
    A bound on the memory of a lane.

    Attributes:
        size_bytes: How much.
        whose: What sets it, e.g. `the container`.
    """

    size_bytes: float
    whose: str

    def is_near(self, taken: Sequence[LaneMemory]) -> bool:
        """Check whether it can be drawn beside the memory of lanes."""
        return self.size_bytes <= FAR * max(each.total_bytes for each in taken)


def of_sweep(summary: Summary, sweep: SweepSummary, run: Run) -> Iterator[LaneMemory]:
    """Yield the memory of each lane at each value of a sweep."""
    for point in sweep.points:
        for lane in point.lanes:
            if lane.memory_bytes:
                key = key_of(summary, point.workload, lane.lane)
                private = _private_bytes(run, key, point.workload)
                yield LaneMemory(
                    lane=lane.lane if slots_vary(summary) else f"{lane.lane} {point.value}",
                    slots=lane.slots,
                    nodes={lane.lane: NodeMemory(pss_bytes=lane.memory_bytes, private_bytes=private)},
                    of=next(each.nodes for each in summary.lanes if each.key == key),
                )


def _private_bytes(run: Run, lane: str, workload: str) -> float | None:
    """Measure the private memory of a lane at one value of a sweep, as the sweep measures all of it."""
    trials = [trial for trial in run.trials if (trial.lane, trial.workload) == (lane, workload)]
    # The turns and what lies between them.
    window = (min((each.began_at for each in trials), default=0), max((each.ended_at for each in trials), default=0))
    return memory_per_slot_bytes(run.samples, lane=lane, windows=[window], slots=1, column="private_bytes")


def of_lanes(summary: Summary, run: Run, trials: Sequence[Trial]) -> Iterator[LaneMemory]:
    """Yield the memory of each lane while these trials ran."""
    for lane in summary.lanes:
        windows = [(trial.began_at, trial.ended_at) for trial in trials if trial.lane == lane.key]
        names = run.samples.filter(pl.col("lane") == lane.key)["node"].unique().sort()
        known = {name: _node_memory(run.samples.filter(pl.col("node") == name), lane.key, windows) for name in names}
        if known and all(known.values()):
            sizes = {name: size for name, size in known.items() if size}
            yield LaneMemory(lane=lane.key, slots=lane.slots, nodes=sizes, of=len(sizes))


def _node_memory(samples: pl.DataFrame, lane: str, windows: Sequence[tuple[float, float]]) -> NodeMemory | None:
    """Measure one node; None if it was never sampled while its lane worked."""
    pss = memory_per_slot_bytes(samples, lane=lane, windows=windows, slots=1)
    private = memory_per_slot_bytes(samples, lane=lane, windows=windows, slots=1, column="private_bytes")
    return NodeMemory(pss_bytes=pss, private_bytes=private) if pss else None


def by_lane(taken: Sequence[LaneMemory]) -> dict[str, list[LaneMemory]]:
    """Group by lane, ascending by slots."""
    return {
        key: sorted((each for each in taken if each.lane == key), key=lambda each: each.slots)
        for key in dict.fromkeys(each.lane for each in taken)
    }


def memory_limit(summary: Summary) -> MemoryLimit | None:
    """Return the tightest bound that the run knows."""
    bounds = [
        (summary.sweep.memory_bytes if summary.sweep else None, "--memory"),
        *((_limit_of_node(lane), f"the container of {lane.key}") for lane in summary.lanes),
        (summary.machine.limits.memory_bytes if summary.machine else None, "the container"),
    ]
    known = [MemoryLimit(size_bytes=size, whose=whose) for size, whose in bounds if size]
    return min(known, key=lambda limit: limit.size_bytes, default=None)


def _limit_of_node(lane: LaneFacts) -> float | None:
    """Return the limit that a lane's node reported of its container."""
    limits = (lane.hello or {}).get("limits") or {}
    return limits.get("memory_bytes")


def slots_differ(taken: Sequence[LaneMemory]) -> bool:
    """Check whether a lane has several counts of slots: a sweep over concurrency or nodes."""
    return len({each.lane for each in taken}) < len(taken)
