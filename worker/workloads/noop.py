"""No work: the cost of Celery itself, and only that."""

from __future__ import annotations

from worker.workload import Sizing, Workload


def noop(_amount: int = 0) -> None:
    """Do nothing. It takes an amount, so that all workloads can be called in the same way."""


WORKLOAD = Workload(
    name="noop",
    function=noop,
    sizing=Sizing.FIXED,
    target_s=0.0,
)
