"""Lanes as a heading names them, and what differs between their nodes beside what was asked."""

from __future__ import annotations

from pathlib import PurePath
from statistics import median
from typing import TYPE_CHECKING

from producer.report.formats import milliseconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.lane_facts import LaneFacts
    from producer.plan.lanes import Lane
    from producer.rundir.manifest import Distance

VERSIONS = ("python", "celery", "kombu")
"""What a node says of itself that an interpreter of its own may have otherwise."""

NAMED_LANES = 4
"""Lanes that a sentence names; of more it says how many there are."""


def lane_name(lane: Lane) -> str:
    """Return a lane's key with all that sets it apart."""
    extras = [f"prefetch {lane.prefetch}", "acks as each task says" if lane.acks == "own" else f"acks {lane.acks}"]
    extras += [PurePath(lane.python).name] if lane.python else []
    extras += lane.extras
    nodes = f"{lane.nodes} nodes, " if lane.nodes > 1 else ""
    return f"{lane.key} ({nodes}{lane.slots} slots, {', '.join(extras)})"


def versions_that_differ(lanes: Sequence[LaneFacts]) -> list[str]:
    """Return a sentence for each version in which the nodes of lanes differ, e.g. "celery: threads 5.7.0, …"."""
    known = [lane for lane in lanes if lane.hello]
    found = []
    for name in VERSIONS:
        values = {lane.key: str((lane.hello or {}).get(name, "?")) for lane in known}
        if len(set(values.values())) > 1:
            found.append(f"{name}: {', '.join(f'{key} {value}' for key, value in values.items())}.")
    return found


def distances_told(distances: Sequence[Distance]) -> list[str]:
    """Return a sentence on how far lanes were from the broker, if any was; of several the least and the most."""
    far = [each for each in distances if each.rtt_s]
    if not far:
        return []
    low, high = (milliseconds(pick(each.ping_s for each in far)) for pick in (min, max))
    took = low if low == high else f"{low} to {high}"
    lanes = ", ".join(each.lane for each in far) if len(far) <= NAMED_LANES else f"{len(far)} lanes"
    direct = milliseconds(median(each.direct_s for each in far))
    return [f"At a distance from the broker: {lanes}, a PING of {took} ms; without their relays {direct} ms."]
