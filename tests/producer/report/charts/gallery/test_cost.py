"""Cost: over a backlog where there was one, at the held rate of a load; memory where it is known."""

import pytest

from producer.report.charts.gallery.cost import cost


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


def test_where_no_node_reported_its_cpu_time_it_says_so(sample):
    found = cost(*run_of(sample, backlog_cpu_s_per_job=None, latency_cpu_s_per_job=None))
    assert found.figure is None
    assert "No node reported its CPU time" in found.missing


def test_a_price_makes_it_money_in_a_chart_of_its_own_and_in_the_table(sample):
    summary, run = run_of(sample, backlog_cpu_s_per_job=0.0036, money_per_million_jobs=0.04)
    found = cost({**summary, "price": {"core_hour": 0.04, "currency": "EUR"}}, run)
    assert found.table.columns[-1] == "EUR a million jobs"
    assert {row[-1] for row in found.table.rows} == {"0.04"}
    assert [each.text for each in found.figure.layout.annotations] == ["CPU hours", "EUR a million jobs", "MiB-hours"]
    assert "money is CPU time at 0.04 EUR a core-hour: what is paid for and idles costs more" in found.reads


def test_without_a_price_it_says_how_to_give_one(sample):
    found = cost(*sample)
    assert "poolrace report --core-hour 0.04" in found.reads
    assert [each.text for each in found.figure.layout.annotations] == ["CPU hours", "MiB-hours"]
