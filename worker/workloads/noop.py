"""No work: what Celery itself costs, and only that."""

from __future__ import annotations


def noop(_amount: int = 0) -> None:
    """Do nothing, whatever the amount; it may be given so that every workload can be called alike."""
