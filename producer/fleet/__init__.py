"""Where a race runs: a broker and the nodes of each lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celery import Celery

    from producer.fleet.broker import Broker
    from producer.plan.lanes import Lane
    from producer.rundir.manifest import NodeFacts


class Fleet(Protocol):
    """A broker with nodes on lanes, as a race sees it."""

    @property
    def broker(self) -> Broker:
        """The broker that carries the jobs."""

    @property
    def app(self) -> Celery:
        """A Celery app on that broker, for control commands."""

    @property
    def lanes(self) -> Sequence[Lane]:
        """The lanes under test."""

    def queue(self, lane: Lane) -> str:
        """Where the jobs of a lane go, unless they say otherwise."""

    def queues(self, lane: Lane) -> Sequence[str]:
        """All queues of a lane, that one first."""

    def nodes(self, lane: Lane) -> Sequence[str]:
        """Names of the nodes of a lane."""

    def start(self, lane: Lane) -> Sequence[NodeFacts]:
        """
        Have the nodes of a lane run and answer.

        Raises:
            FleetError: If one does not.
        """

    def stop(self, lane: Lane) -> None:
        """End the nodes of a lane, if we started them."""

    def started_at(self, lane: Lane) -> float | None:
        """When the lane's node was started, seconds since the epoch; None if it ran already."""

    def check(self) -> None:
        """
        See that all is well.

        Raises:
            FleetError: If the broker or a node is gone.
        """
