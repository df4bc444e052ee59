"""The names of the demonstration's workloads."""

from __future__ import annotations

WORKLOADS = ("cpu", "native", "io", "disk", "mixed", "sleep", "noop")
"""What `worker` can do; known here by name, since a producer never imports a worker."""

CALLS_UPSTREAM = frozenset({"io", "mixed"})

ARRIVALS = ("poisson", "constant")
