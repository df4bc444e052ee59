"""Where a race runs: a broker and the nodes of each lane."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from celery import Celery

    from producer.fleet.broker import Broker
    from producer.plan.lanes import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeFacts:
    """
    What is known of a node once it is ready.

    Attributes:
        node: Celery's node name.
        lane: Key of its lane.
        ready_s: From starting the process until every slot had begun a first job; None if it ran already.
        hello: What the node says of itself.
    """

    node: str
    lane: str
    ready_s: float | None
    hello: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


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
