"""The order that a publisher works on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from producer.plan.arrivals import Plan
    from producer.plan.jobs import Call

BATCH_JOBS = 500
"""The most jobs in a batch: enough to save round trips, few enough that the first does not wait long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    The jobs that the publishers send in one trial.

    Attributes:
        run_id: The run, 16 hexadecimal digits.
        trial: The trial's number.
        calls: The calls of tasks; a plan of several parts says which of these each job is.
        queue: The lane's queue.
        results_by_node: True if the setting of the lane's nodes says whether results are stored, and not the messages
            of the user's app.
        elsewhere: The queues of the lanes that take the jobs of some calls instead, by the workload of the call.
        plan: When each job is due.
        priority: The priority of the messages; None to leave it out.
        open_s: Until when, in seconds from the plan's zero, the order may still be revised.
    """

    run_id: str
    trial: int
    calls: tuple[Call, ...]
    queue: str
    plan: Plan
    priority: int | None = None
    open_s: float = 0.0
    results_by_node: bool = False
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def queue_of(self, call: Call) -> str:
        """Return the queue of the lane that takes the jobs of a call."""
        return self.elsewhere.get(call.workload, self.queue)
