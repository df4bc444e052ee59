"""Waiting for another service, then computing with what came: most web back ends' jobs."""

from __future__ import annotations

import json

from worker.workloads import cpu, fetch


def fetch_and_compute(delay_us: int, iterations: int, *, upstream_url: str) -> int:
    """
    Fetch a document, parse it and compute with what it says, without the GIL first and then with it.

    Args:
        delay_us: How long the upstream service shall hold the document back, in microseconds.
        iterations: How much to compute, as for `cpu.mix`.
        upstream_url: Where `worker.upstream` listens.

    Returns:
        A number that depends on the document and on the computation.

    Raises:
        UpstreamError: If the answer is not 200.
        urllib3.exceptions.HTTPError: If no answer comes.
    """
    return cpu.mix(iterations, seed=total_cents(fetch.get_items(delay_us, upstream_url=upstream_url)))


def total_cents(document: bytes) -> int:
    """What all the items of a document cost."""
    return sum(item["price_cents"] * item["quantity"] for item in json.loads(document)["items"])
