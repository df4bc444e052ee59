"""
An autoscaler as Kubernetes and KEDA have it, in a few lines: so that a signal can be tried on nodes of any engine.

The formula and its brakes are those of the HorizontalPodAutoscaler with a metric of type AverageValue, which KEDA makes
of a trigger. Times are shorter here: a cluster asks every 15 s and waits 300 s before it takes nodes away.
"""

import math
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

TOLERANCE = 0.1


@dataclass(kw_only=True)
class Autoscaler:
    """
    Decides how many nodes there should be.

    Attributes:
        target: The part of the signal that one node should have.
        least: The fewest nodes.
        most: The most.
        window_s: Nodes are taken away only if fewer were wanted for so long.
    """

    target: float
    least: int
    most: int
    window_s: float
    _wanted: deque = field(default_factory=deque)

    def nodes(self, signal, now, at_s):
        """Return how many nodes there should be: the signal over the target, braked."""
        wanted = math.ceil(signal / self.target)
        if now and abs(signal / (self.target * now) - 1) <= TOLERANCE:
            wanted = now
        wanted = min(max(wanted, self.least), self.most, max(now + 4, 2 * now))
        self._wanted.append((at_s, wanted))
        while self._wanted[0][0] < at_s - self.window_s:
            self._wanted.popleft()
        return max(wanted, min(now, max(each for _, each in self._wanted)))


def follow(autoscaler, *, signal, scale, nodes, every_s, for_s):
    """
    Scale by a signal for a while.

    Args:
        autoscaler: What decides.
        signal: Returns the signal now.
        scale: Takes the number of nodes that there should be.
        nodes: How many there are.
        every_s: How often to ask.
        for_s: How long.

    Returns:
        Each look: seconds from the beginning, signal, and how many nodes there should be from then on.
    """
    looks = []
    began_s = time.monotonic()
    while (at_s := time.monotonic() - began_s) < for_s:
        seen = signal()
        wanted = autoscaler.nodes(seen, nodes, at_s)
        if wanted != nodes:
            scale(wanted)
            nodes = wanted
        looks.append((at_s, seen, nodes))
        time.sleep(every_s)
    return looks


def turns(looks):
    """Count how often it went on in the other direction: a rise and a fall of the load need one turn."""
    counts = [nodes for _, _, nodes in looks]
    moves = [after > before for before, after in pairwise(counts) if after != before]
    return sum(one != other for one, other in pairwise(moves))
