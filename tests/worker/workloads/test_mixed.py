"""Waiting for another service, then computing with its answer."""

from __future__ import annotations

import pytest

from worker import upstream
from worker.workloads import cpu, fetch, mixed


def test_the_total_is_price_times_quantity() -> None:
    document = b'{"items": [{"price_cents": 250, "quantity": 2}, {"price_cents": 7, "quantity": 3}]}'
    assert mixed.total_cents(document) == 521


def test_it_computes_with_what_it_fetched(upstream_url: str) -> None:
    total_cents = mixed.total_cents(upstream.make_document())
    assert mixed.fetch_and_compute(0, 50, upstream_url=upstream_url) == cpu.mix(50, seed=total_cents)


def test_without_iterations_it_only_fetches_and_parses(upstream_url: str) -> None:
    assert mixed.fetch_and_compute(1, 0, upstream_url=upstream_url) == mixed.total_cents(upstream.make_document())


def test_a_failed_fetch_fails_the_job(upstream_url: str) -> None:
    with pytest.raises(fetch.UpstreamError):
        mixed.fetch_and_compute(0, 50, upstream_url=f"{upstream_url}/nowhere")
