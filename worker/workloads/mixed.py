"""Waiting for another service, then computing with its answer, as most jobs of web back ends do."""

from __future__ import annotations

import json

from worker.workload import Sizing, Workload
from worker.workloads import cpu, fetch


def fetch_and_compute(delay_us: int, iterations: int, *, upstream_url: str) -> int:
    """
    Fetch a document, parse it and compute with its prices, without the GIL first and then with it.

    Args:
        delay_us: The delay to ask the upstream service for, in microseconds.
        iterations: How much to compute, as for `cpu.mix`.
        upstream_url: The URL of `worker.upstream`.

    Returns:
        A number that depends on the document and on the computation.

    Raises:
        UpstreamError: If the answer is not 200.
        urllib3.exceptions.HTTPError: If no answer comes.
    """
    return cpu.mix(iterations, seed=total_cents(fetch.get_items(delay_us, upstream_url=upstream_url)))


def total_cents(document: bytes) -> int:
    """Add up the prices of all items of a document."""
    return sum(item["price_cents"] * item["quantity"] for item in json.loads(document)["items"])


WORKLOAD = Workload(
    name="mixed",
    function=fetch_and_compute,
    needs=("upstream_url",),
    sizing=Sizing.WAIT_AND_WORK,
    target_s=0.040,
    work=cpu.mix,
    cpu_share=0.25,
)
