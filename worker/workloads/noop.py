"""No work: the cost of Celery itself, and only that."""

from __future__ import annotations

from worker.workload import Sizing, Workload


def noop(_amount: int = 0) -> None:
    """Do nothing, whatever the amount, which it takes so that every workload can be called alike."""


WORKLOAD = Workload(
    name="noop",
    function=noop,
    sizing=Sizing.FIXED,
    target_s=0.0,
)
