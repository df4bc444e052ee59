"""The registry of workloads."""

from __future__ import annotations

import pytest

from worker.settings import Settings
from worker.workloads import WORKLOADS, Sizing, Workload


def test_these_are_the_workloads() -> None:
    assert list(WORKLOADS) == ["cpu", "native", "io", "disk", "mixed", "sleep", "noop"]


def test_nobody_can_add_one_at_run_time() -> None:
    with pytest.raises(TypeError):
        WORKLOADS["extra"] = WORKLOADS["noop"]  # type: ignore[index]


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_an_entry_is_complete(workload: Workload) -> None:
    assert workload.does.endswith(".")
    assert workload.holds_gil
    assert workload.function.__doc__
    assert 0 <= workload.cpu_share <= 1
    assert all(hasattr(Settings(), name) for name in workload.needs)


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
def test_an_entry_has_what_its_sizing_needs(workload: Workload) -> None:
    measured = workload.sizing in {Sizing.WORK, Sizing.WAIT_AND_WORK}
    assert (workload.work is not None) is measured
    assert workload.sizing is Sizing.FIXED or workload.target_s is not None
