"""How far the clocks of nodes are from the broker's, how they drift, and how far the nodes themselves are. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from producer.rundir.manifest import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeClock:
    """
    The clock of a node beside the broker's.

    Attributes:
        node: The node's name.
        host: The part of it after the @.
        round_trip_s: The fastest answer of the broker as the node last compared clocks, in seconds.
        offset_s: The broker's clock minus that of the node, in seconds.
        bound_s: By how much the offset may be off, in seconds: half the round trip.
        drift_s: How much the offset grew from the first comparison to the last, in seconds; None if there was one.
        drift_bound_s: By how much that may be off, in seconds: the bounds of both comparisons together.
    """

    node: str
    host: str
    round_trip_s: float
    offset_s: float
    bound_s: float
    drift_s: float | None
    drift_bound_s: float | None

    @property
    def is_off(self) -> bool:
        """True if the node's clock is surely not the broker's."""
        return abs(self.offset_s) > self.bound_s


def node_clocks(clocks: Mapping[str, Clock]) -> tuple[NodeClock, ...]:
    """
    Return the clock of each node, by name, where that says something: on several hosts, or if one is off.

    Args:
        clocks: The clocks as the manifest has them; those that could not be compared are left out.
    """
    found = tuple(
        NodeClock(
            node=name, host=name.partition("@")[2], round_trip_s=2 * clock.bound_s, offset_s=clock.offset_s,
            bound_s=clock.bound_s, drift_s=clock.drift_s, drift_bound_s=clock.drift_bound_s,
        )
        for name, clock in sorted(clocks.items())
        if clock.offset_s is not None and clock.bound_s is not None
    )  # fmt: skip
    return found if len({each.host for each in found}) > 1 or any(each.is_off for each in found) else ()
