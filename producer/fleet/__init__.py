"""The fleet of a run: a broker and the nodes of each lane, started here or running already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from celery import Celery

    from producer.fleet.broker import Broker
    from producer.plan.lanes import Lane
    from producer.rundir.manifest import Distance, NodeFacts


class Fleet(Protocol):
    """A broker with nodes on lanes, as a run sees it."""

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
        """Return the queue for the jobs of a lane that name none."""

    def queues(self, lane: Lane) -> Sequence[str]:
        """Return all queues of a lane, beginning with that one."""

    def nodes(self, lane: Lane) -> Sequence[str]:
        """Return the names of a lane's nodes."""

    def start(self, lane: Lane) -> Sequence[NodeFacts]:
        """
        Start the nodes of a lane, unless they run already, and wait until all of them answer.

        Raises:
            FleetError: If one does not answer.
        """

    def stop(self, lane: Lane) -> None:
        """End the nodes of a lane, if this fleet started them."""

    def started_at(self, lane: Lane) -> float | None:
        """Return when the lane's first node was started, in seconds since the epoch; None if it ran already."""

    def distances(self) -> Sequence[Distance]:
        """Return how far the nodes of lanes are from the broker, of lanes for which a distance was asked."""

    def check(self) -> None:
        """
        Check that the broker and every node still run.

        Raises:
            FleetError: If one of them is gone.
        """
