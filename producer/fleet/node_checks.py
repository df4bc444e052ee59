"""Whether a node is what its lane says it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from poolrace.transport_setting import SETTING, STOCK
from producer.errors import FleetError
from producer.plan.lane_settings import AUTOSCALE, EVENTS, ON, RESULTS, START

if TYPE_CHECKING:
    from collections.abc import Mapping

    from producer.plan.lanes import Lane


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
