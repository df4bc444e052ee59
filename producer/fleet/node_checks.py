"""Whether a node is what its lane says it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poolrace.transport_setting import SETTING, STOCK
from producer.errors import FleetError
from producer.plan.lane_settings import AUTOSCALE, CPUS, EVENTS, ON, RESULTS, START, cpus_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from producer.plan.lanes import Lane

SAME_CPUS = 0.001
"""Two CPU limits that differ by less are the same: the kernel counts in microseconds of a tenth of a second."""


def check_transport(lane: Lane, node: str, hello: Mapping[str, object]) -> None:
    """
    Check that a node takes messages by its lane's transport, whatever its app or its poolrace has set.

    Raises:
        FleetError: If it does not: its figures would be those of the other transport.
    """
    found = hello.get("transport", STOCK)  # a poolrace that does not say has no other transport
    if found != lane.transport:
        raise FleetError(
            f"The node {node} runs the {found} transport, and its lane is {lane.transport}. Remove {SETTING} from its "
            "app, use the same poolrace on all lanes, or race it with the transport it has: "
            f"--lane {lane.pool}:transport={found}."
        )


def check_node(lane: Lane, node: str, hello: Mapping[str, object]) -> None:
    """
    Check that a node is what its lane says, whatever its app has set.

    Raises:
        FleetError: If it is not: its figures would be those of something else.
    """
    for name, value in _expected(lane).items():
        found = hello.get(name, value)
        if found != value:
            raise FleetError(
                f"The node {node} has {name.replace('_', ' ')} {found}, and its lane {value}: a setting of its app, or "
                "something that it runs at its start, overrules the command line, or its Celery "
                f"({hello.get('celery', 'unknown')}) is too old to know it. Find what sets it, and race again."
            )


def check_cpus(lane: Lane, node: str, hello: Mapping[str, Any]) -> None:
    """
    Check that the CPU limit of a lane is the tightest that a node finds on itself.

    Raises:
        FleetError: If it is not: the quota was not applied, or a group around it leaves it less.
    """
    asked, found = cpus_of(lane.settings), hello["limits"]["cpu_quota"]
    if asked is None or (found is not None and abs(found - asked) < SAME_CPUS):
        return
    if found is not None and found < asked:
        raise FleetError(
            f"The node {node} may use {found:g} cores, and its lane says {CPUS} {asked:g}: what runs this command may "
            f"use no more. Raise that limit, or race with {CPUS}={found:g}."
        )
    raise FleetError(
        f"The quota of {node}, {CPUS} {asked:g}, was not applied: its process finds "
        f"{'none' if found is None else f'one of {found:g}'} on itself. Something has moved it out of its control "
        f"group; find out what, or leave {CPUS} out."
    )


def _expected(lane: Lane) -> dict[str, object]:
    """Return what a node of a lane says of itself."""
    given = dict(lane.settings)
    expected: dict[str, object] = {"pool": lane.pool, "prefetch_multiplier": lane.prefetch, "acks": lane.acks}
    if EVENTS in given:
        expected["events"] = given[EVENTS] == ON
    if RESULTS in given:
        expected["results"] = given[RESULTS]
    if START in given:
        expected["start_method"] = given[START]
    if AUTOSCALE in given:
        expected["autoscale"] = [lane.concurrency, int(given[AUTOSCALE])]
    return expected
