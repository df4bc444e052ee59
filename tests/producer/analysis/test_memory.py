"""The memory of a slot, and limits that it does not keep."""

from __future__ import annotations

from typing import Any

import pytest
from jobs import a_job, a_run, a_sample, a_trial

from producer.analysis.memory import recycling_warnings
from producer.plan.lanes import parse_lanes
from producer.rundir.trials import Kind

APP = {"app": "shop", "folder": "shop", "shares": {"sleep": 1.0}, "timeout_s": 60.0, "backend": "none"}


def warned(spec: str, *, slot_mib: int, facts: dict[str, Any] | None = None) -> list[str]:
    """Return what is said of a lane of two slots that take so much memory each."""
    trial = a_trial(kind=Kind.CAPACITY, lane=spec.partition(":")[0])
    run = a_run(
        trial,
        [a_job()],
        samples=[a_sample(trial, 1.0, pss_bytes=2 * slot_mib << 20)],
        settings={"kind": "race", "lanes": parse_lanes([spec], least=1), "app": facts and {**APP, "facts": facts}},
    )
    return recycling_warnings(run)


def test_a_limit_below_what_a_slot_takes_is_said_to_end_children() -> None:
    (said,) = warned("prefork:2:max-memory=20MiB", slot_mib=29)
    assert said.startswith("On prefork each job may end its child, and the next one waits for another")
    assert said.endswith("a slot takes 29 MiB, more than worker_max_memory_per_child, 20 MiB.")


@pytest.mark.parametrize(("kib", "said"), [(20_000, 1), (40_000, 0), (None, 0)])
def test_the_limit_of_the_apps_settings_counts_too(kib: int | None, said: int) -> None:
    assert len(warned("prefork:2", slot_mib=29, facts={"max_memory_kib": kib})) == said


def test_that_of_the_lane_overrules_it() -> None:
    assert warned("prefork:2:max-memory=40MiB", slot_mib=29, facts={"max_memory_kib": 20_000}) == []


def test_a_pool_without_children_has_none_to_end() -> None:
    assert warned("threads:2", slot_mib=29, facts={"max_memory_kib": 20_000}) == []
