"""Cost: over a backlog where there was one, at the held rate of a load; memory where it is known."""

import pytest

from producer.charts.cost import cost


def run_of(sample, **changes):
    """The summary of the sample with other figures of its lanes."""
    summary, run = sample
    workload = summary["workloads"][0]
    lanes = [{**lane, **changes} for lane in workload["lanes"]]
    return {**summary, "workloads": [{**workload, "lanes": lanes}]}, run


def test_cpu_and_memory_are_a_chart_each(sample):
    found = cost(*sample)
    cpu, memory = (found.figure.data[:2], found.figure.data[2:])
    # 1 ms a job is 1,000 s for a million; 50 MiB for 50,000 s at 20 jobs/s, and half of that at 40.
    assert [trace.y[0] for trace in cpu] == pytest.approx([1000 / 3600] * 2)
    assert [trace.y[0] for trace in memory] == pytest.approx([50 * 50_000 / 3600, 50 * 25_000 / 3600], rel=0.01)
    assert cpu[0].marker.pattern.shape != cpu[1].marker.pattern.shape


def test_a_load_costs_what_it_cost_at_its_rate(sample):
    found = cost(*run_of(sample, backlog_cpu_s_per_job=None, latency_cpu_s_per_job=0.0036, capacity_per_s=None))
    assert [trace.y for trace in found.figure.data] == [(1.0,), (1.0,)]
    assert found.table.rows[0] == ["sleep", "prefork", "held rate", "1.00", "3,600", "-"]
    assert "at a held rate" in found.reads
    assert "memory is not known here" in found.reads


def test_where_no_node_told_its_cpu_time_it_says_so(sample):
    found = cost(*run_of(sample, backlog_cpu_s_per_job=None, latency_cpu_s_per_job=None))
    assert found.figure is None
    assert "No node told its CPU time" in found.missing
