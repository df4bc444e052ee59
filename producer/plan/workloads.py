"""The names of the demonstration's workloads."""

from __future__ import annotations

from poolrace.workloads import declarations

_DECLARED = declarations()

WORKLOADS = tuple(each.name for each in _DECLARED)
"""The workloads of `worker` by name; read from their source, since a producer never imports a worker."""

CALLS_UPSTREAM = frozenset(each.name for each in _DECLARED if "upstream_url" in each.needs)
"""The workloads whose jobs call the upstream."""

ARRIVALS = ("poisson", "constant")
