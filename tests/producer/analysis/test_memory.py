"""The memory of a slot, and limits that it does not keep."""

from __future__ import annotations

from typing import Any

import pytest
from jobs import a_job, a_run, a_trial

from producer.analysis.memory import recycling_warnings
from producer.plan.lanes import parse_lanes
from producer.rundir.trials import Kind

APP = {"app": "shop", "folder": "shop", "shares": {"sleep": 1.0}, "timeout_s": 60.0, "backend": "none"}


def warned(spec: str, *, jobs: int, children: int, facts: dict[str, Any] | None = None) -> list[str]:
    """Return what is said of a lane of two slots that did so many jobs in a trial, on so many children."""
    trial = a_trial(kind=Kind.CAPACITY, lane=spec.partition(":")[0])
    run = a_run(
        trial,
        [a_job(pid=100 + number % children) for number in range(jobs)],
        settings={"kind": "race", "lanes": parse_lanes([spec], least=1), "app": facts and {**APP, "facts": facts}},
    )
    return recycling_warnings(run)


def test_a_limit_that_ends_each_child_after_a_few_jobs_is_told_with_their_number() -> None:
    (said,) = warned("prefork:2:max-memory=20MiB", jobs=12, children=8)
    assert said.startswith("On prefork a child does 1.5 jobs before it is replaced, and the next waits for another")
    assert "worker_max_memory_per_child is 20 MiB" in said


@pytest.mark.parametrize(
    ("jobs", "children"),
    [(12, 2), (4, 3), (44, 4)],
    ids=["each does what there is", "one was replaced", "they do many before"],
)
def test_children_that_stay_or_do_many_jobs_are_no_fault(jobs: int, children: int) -> None:
    assert warned("prefork:2:max-memory=20MiB", jobs=jobs, children=children) == []


@pytest.mark.parametrize(("kib", "said"), [(20_000, 1), (None, 0)])
def test_the_limit_of_the_apps_settings_counts_too(kib: int | None, said: int) -> None:
    assert len(warned("prefork:2", jobs=12, children=12, facts={"max_memory_kib": kib})) == said


def test_that_of_the_lane_overrules_it() -> None:
    (said,) = warned("prefork:2:max-memory=40MiB", jobs=12, children=12, facts={"max_memory_kib": 20_480})
    assert "40 MiB" in said


def test_a_pool_without_children_has_none_to_end() -> None:
    assert warned("threads:2", jobs=12, children=12, facts={"max_memory_kib": 20_000}) == []
