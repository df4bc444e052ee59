"""The registry of workloads."""

from __future__ import annotations

import pytest

from worker.settings import Settings
from worker.workload import Sizing, Workload
from worker.workloads import WORKLOADS


def test_these_are_the_workloads_in_the_order_of_names() -> None:
    assert list(WORKLOADS) == ["cpu", "disk", "io", "mixed", "native", "noop", "sleep"]


def test_nobody_can_add_one_at_run_time() -> None:
    with pytest.raises(TypeError):
        WORKLOADS["extra"] = WORKLOADS["noop"]  # type: ignore[index]


@pytest.mark.parametrize("name", WORKLOADS)
def test_an_entry_is_complete(name: str) -> None:
    workload = WORKLOADS[name]
    assert workload.name == name
    assert workload.function.__doc__
    assert all(hasattr(Settings(), need) for need in workload.needs)


@pytest.mark.parametrize(
    ("sizing", "message"),
    [
        (Sizing.WORK, "Sizing.WORK measures work. Give work="),
        (Sizing.WAIT_AND_WORK, "Sizing.WAIT_AND_WORK measures work. Give work="),
        (Sizing.WAIT, "Sizing.WAIT needs a target. Give target_s="),
    ],
)
def test_a_workload_without_what_its_sizing_needs_is_an_error(sizing: Sizing, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Workload(name="odd", function=print, sizing=sizing, target_s=None)


def test_a_cpu_share_is_a_part() -> None:
    with pytest.raises(ValueError, match=r"workload odd: cpu_share 1.5 must be from 0 to 1"):
        Workload(name="odd", function=print, sizing=Sizing.WAIT, target_s=0.02, cpu_share=1.5)
