"""The keys on the broker over which a run and publishers of other hosts speak. All of them expire."""

from __future__ import annotations

from poolrace import __version__

ALIVE = "poolrace.publisher."
"""Before the name of a publisher: what it says of itself, while it lives."""

ALL = "poolrace.publishers"
"""The set of the names of publishers; those that no longer live are taken out by who finds that."""

ALIVE_S = 5
"""How long a publisher counts as alive that says nothing."""

SAY_S = 0.5
"""How often it says that it lives, and how many jobs it has sent."""

ORDER_LEFT_S = 60
"""How long an order stays on the broker if its publisher does not take it."""

TOLD_LEFT_S = 86_400
"""
How long ledgers and counts do, if the run that they are for does not remove them at its end. A run asks for a ledger
when its jobs have ended, which may be long after they were sent.
"""

VERSION = __version__
"""What a publisher and a run must have in common."""


def alive(name: str) -> str:
    """Return the key that a publisher keeps while it lives."""
    return ALIVE + name


def orders(name: str) -> str:
    """Return the list from which a publisher takes its orders."""
    return f"poolrace.orders.{name}"


def answers(run_id: str) -> str:
    """Return the list to which publishers answer a run."""
    return f"poolrace.answers.{run_id}"


def counts(run_id: str) -> str:
    """Return the hash in which publishers count the jobs of the order that a run gave last."""
    return f"poolrace.counts.{run_id}"
