"""What may become of jobs while something happens to a swarm."""

from swarm.hosts import HOSTS, LANES, PREFETCH, SLOTS

from producer.analysis.drill import Toll

HOLDABLE = len(HOSTS) * len(LANES) * SLOTS * (1 + PREFETCH)
"""The most jobs that all nodes hold at once."""


def nothing_was_lost(toll: Toll) -> None:
    """Check that each job was done, and run again only if a node held it when a fault struck."""
    assert toll.sent > 100
    assert (toll.done, toll.lost, toll.failed, toll.queued, toll.refused) == (toll.sent, 0, 0, 0, 0)
    assert toll.repeated <= HOLDABLE
    assert toll.unexplained == 0
