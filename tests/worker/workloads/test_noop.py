"""No work."""

from __future__ import annotations

from worker.workloads import noop


def test_it_takes_an_amount_like_every_other_or_none_and_returns_nothing() -> None:
    assert [noop.noop(), noop.noop(5)] == [None, None]  # type: ignore[func-returns-value]
