"""No work."""

from __future__ import annotations

from worker.workload import Sizing
from worker.workloads import noop


def test_no_amount_is_work() -> None:
    noop.noop()
    noop.noop(10**15)  # in a loop, this would outlast any patience


def test_it_is_not_sized_and_no_time_is_expected_of_it() -> None:
    assert (noop.WORKLOAD.name, noop.WORKLOAD.sizing, noop.WORKLOAD.target_s) == ("noop", Sizing.FIXED, 0.0)
    assert noop.WORKLOAD.function is noop.noop
