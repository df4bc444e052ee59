"""A quota that was not applied is a problem of the run, and one that stops nodes at a held rate is worth a warning."""

from __future__ import annotations

from typing import Any

import pytest
from jobs import a_job, a_run, a_sample, a_trial

from poolrace.cgroup import Throttling
from producer.analysis.summary import summarise
from producer.plan.lanes import parse_lanes
from producer.report.parts import Table
from producer.report.tables import cpu_limits
from producer.rundir.manifest import NodeFacts

SPEC = "threads:2:cpus=0.5"


def told(*used: tuple[float, float], spec: str = SPEC, **trial: Any) -> tuple[list[str], list[str]]:
    """Return problems and warnings of a run whose node had used so many CPU seconds after so many seconds."""
    summary = summarised(*used, spec=spec, **trial)
    return list(summary.problems), list(summary.warnings)


def summarised(*used: tuple[float, float], spec: str = SPEC, **trial: Any) -> Any:
    loaded = a_trial(**trial)
    lanes = parse_lanes([spec], least=1)
    node = NodeFacts(node="threads@host", lane="threads", ready_s=1.0, hello={"limits": {"cpu_quota": 0.5}})
    return summarise(
        a_run(
            loaded,
            [a_job(float(second)) for second in range(4)],
            samples=[a_sample(loaded, at_s, cpu_s=cpu_s) for at_s, cpu_s in used],
            settings={"lanes": lanes},
            manifest={"nodes": (node,)},
        )
    )


@pytest.mark.parametrize(
    "used",
    [
        [(0.0, 1.0), (10.0, 6.0)],  # all that 0.5 cores give
        [(0.0, 1.0), (10.0, 6.6)],  # what the kernel lends of other periods, and a sample that came late
        [(0.0, 1.0)],
        [],
        [(0.0, 20.0), (10.0, 24.0), (11.0, 0.5), (21.0, 5.0)],  # a node that was started anew
    ],
)
def test_a_node_that_kept_its_quota_is_no_problem(used: list[tuple[float, float]]) -> None:
    assert told(*used) == ([], [])


def test_a_node_that_used_more_than_its_quota_allows_is_named_with_how_much() -> None:
    problems, _ = told((0.0, 1.0), (10.0, 11.0))
    (said,) = problems
    assert said == (
        "The quota of threads@host was not applied: it used 10.0 s of CPU time in 10.0 s, 1.00 cores, and cpus is 0.5. "
        "Something moved its processes out of their control group: find out what, and run it again."
    )


def test_one_of_two_lives_of_a_node_is_enough() -> None:
    problems, _ = told((0.0, 1.0), (10.0, 5.0), (11.0, 0.5), (31.0, 20.5))
    assert [problem.partition(":")[2][:50] for problem in problems] == [
        " it used 20.0 s of CPU time in 20.0 s, 1.00 cores,"
    ]


def test_a_lane_without_a_quota_may_use_what_it_gets() -> None:
    assert told((0.0, 0.0), (10.0, 40.0), spec="threads:2") == ([], [])


def test_a_lane_that_was_throttled_at_the_rate_that_it_holds_is_warned_of() -> None:
    _, warnings = told(throttling=Throttling(periods=80, throttled=20, throttled_s=1.5))
    (said,) = warnings
    assert said == (
        "Nodes were throttled at the held rate: threads in 25% of the periods of their CPU limit. Sojourn times have "
        "these stops in them: give nodes more, or take more of them."
    )


def test_one_that_was_hardly_throttled_is_not() -> None:
    assert told(throttling=Throttling(periods=80, throttled=4, throttled_s=0.25)) == ([], [])


def test_the_report_has_a_table_of_it() -> None:
    (table,) = cpu_limits(summarised(throttling=Throttling(periods=80, throttled=20, throttled_s=1.5)))
    assert isinstance(table, Table)
    assert dict(zip(table.columns, table.rows[0], strict=True)) == {
        "workload": "sleep", "lane": "threads", "cores a node": "0.5", "nodes": "1", "backlog": "-",
        "held rate": "25 %",
    }  # fmt: skip


def test_where_no_node_has_a_limit_there_is_no_table() -> None:
    assert list(cpu_limits(summarised())) == []
