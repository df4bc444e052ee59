"""No work."""

from __future__ import annotations

from worker.workloads import noop


def test_it_may_be_called_like_every_other() -> None:
    noop.noop()
    noop.noop(5)
