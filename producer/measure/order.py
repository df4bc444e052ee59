"""The order that a publisher works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from producer.plan.arrivals import Plan
    from producer.plan.jobs import Call

BATCH_JOBS = 500
"""Most jobs in one batch: large enough to spare round trips, small enough that the first does not wait long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """
    What one trial sends.

    Attributes:
        run_id: 16 hexadecimal digits.
        trial: The trial's number.
        calls: What jobs do; a plan of several parts says which of these each job is.
        queue: The lane's queue.
        plan: When each job is due.
        priority: Of the messages; None to leave it out.
        open_s: Until when, in seconds from the plan's zero, another order may take this one's place.
    """

    run_id: str
    trial: int
    calls: tuple[Call, ...]
    queue: str
    plan: Plan
    priority: int | None = None
    open_s: float = 0.0
