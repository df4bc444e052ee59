"""Every benchmark measures something; how much is for a quiet machine to say, not for a test."""

import json

import numpy as np
import pytest

from benchmarks import (
    analysis,
    arrivals,
    collecting,
    contrast,
    endurance,
    fidelity,
    limits,
    noting,
    planning,
    publishing,
    resting,
    scaling,
    stamping,
    transport,
)
from benchmarks.figures import Figure, Skipped
from producer.analysis.pairs import PairedValues
from producer.fleet.machine import describe


def test_publishing_compares_ways_to_send_with_the_common_one():
    figures = publishing.measure(rounds=2, batch_jobs=60, loop_jobs=20, group_jobs=20)
    assert len(figures) == 5
    for found in figures:
        assert len(found.ratios) == 2
        assert found.median > 0


@pytest.mark.parametrize("pool", [pytest.param("prefork", marks=pytest.mark.heavy), "threads"])
def test_stamping_compares_a_node_with_itself(pool):
    capacity, cpu = stamping.measure(pools=[pool], starts=1, rounds=1, jobs=40)
    assert capacity.name == f"{pool}: capacity with stamping / without"
    assert capacity.median > 0
    assert cpu.promise is None


@pytest.mark.heavy
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_ledgers_cost_is_taken_on_one_node_with_and_without_notes(pool):
    (found,) = noting.measure(pools=[pool], rounds=2, jobs=20)
    assert found.name == f"{pool}: throughput of jobs of 10 ms with the ledger / without"
    assert len(found.ratios) == 2
    assert 0 < found.median < 2


@pytest.mark.heavy
def test_fidelity_looks_at_lag_and_at_both_pools():
    lag, bare, fast_lag, fast_bare, *pools = fidelity.measure(rounds=1, duration_s=0.2, jobs=40)
    assert all(found.median > 0 for found in (lag, bare, fast_lag, fast_bare))
    assert ("1,000 jobs/s" in lag.name, "5,000 jobs/s" in fast_lag.name) == (True, True)
    assert [found.name.partition(":")[0] for found in pools] == ["prefork", "threads"]
    assert all(found.median > 0 for found in pools)


def test_contrast_takes_the_ratio_of_the_pools_pair_by_pair(monkeypatch):
    monkeypatch.setattr(contrast, "CPU_CORES", describe().cores)
    values = PairedValues(measure="capacity", workload="cpu", a="prefork", b="threads", ratios=[1.8, None, 1.9])
    found = contrast._result(values)
    assert isinstance(found, Figure)
    assert found.ratios == [1.8, 1.9]


def test_contrast_leaves_out_cpu_jobs_where_nothing_is_promised_of_them(monkeypatch):
    monkeypatch.setattr(contrast, "CPU_CORES", describe().cores + 1)
    values = PairedValues(measure="capacity", workload="cpu", a="prefork", b="threads", ratios=[1.8])
    found = contrast._result(values)
    assert isinstance(found, Skipped)
    assert "cores" in found.reason


def test_analysis_reports_a_run_that_it_made_up():
    elapsed, memory = analysis.measure(rounds=1, records=3200)
    assert elapsed.median > 0
    assert memory.median > 0


def test_arrivals_of_a_poisson_plan_are_as_near_to_exponential_as_chance_allows():
    (found,) = arrivals.measure(rounds=20, duration_s=10.0)
    assert 0.2 < found.median < 1.0


def test_arrivals_that_are_no_such_thing_are_found_out():
    distance, critical = arrivals._distance(np.full(1000, 1 / arrivals.RATE_PER_S))
    assert distance > 5 * critical


@pytest.mark.heavy
def test_limits_are_searched_on_both_pools():
    prefork, threads = limits.measure(probe_s=1.0, precision=0.5)
    assert (prefork.name.partition(":")[0], threads.name.partition(":")[0]) == ("prefork", "threads")
    assert prefork.median > 0
    assert threads.median > 0


@pytest.mark.heavy
def test_endurance_sees_the_memory_of_the_generator_early_and_late():
    (found,) = endurance.measure(duration_s=12.0)
    assert found.median > 0.5
    assert "MiB" in found.terms


@pytest.mark.heavy
def test_transport_compares_both_of_them_busy_and_at_rest(monkeypatch):
    monkeypatch.setattr(resting, "SETTLE_S", 0.5)
    found = {
        figure.name: figure
        for figure in transport.measure(
            busy_rounds=1, rounds=1, stock_jobs=400, atomic_jobs=400, idle_s=1.0, held_s=1.0, herd=2
        )
    }
    for pool in ("threads", "prefork"):
        # In numbers, and against each other: on a busy machine a node finds fewer jobs at a time, and asks more often.
        stock, atomic = (found[f"{pool}: commands to the broker / jobs, {name}"].median for name in ("stock", "atomic"))
        assert stock > 8
        assert atomic < stock / 2
        assert found[f"{pool}: no-op jobs/s, atomic / stock"].median > 0
        assert found[f"{pool}: wait at 10 jobs/s, p99, atomic / stock"].median > 0
    assert any(name.startswith("2 nodes on a queue") for name in found)


@pytest.mark.heavy
def test_a_plan_is_held_against_more_nodes_than_it_has_seen(tmp_path):
    found = planning.measure(out=tmp_path, pairs=3, trial_s=0.5)
    (file,) = tmp_path.glob("*.prediction.json")
    written = json.loads(file.read_text())
    assert set(written) == {"prefork", "threads"}
    assert len(list(tmp_path.glob("*-race-*/"))) == 3
    for pool in written:
        figures = [figure for figure in found if figure.name.startswith(pool)]
        assert [figure.name.rpartition(": ")[2].split(" ")[0] for figure in figures] == ["throughput", "p50", "p99"]
        assert all(figure.median > 0 for figure in figures)


def test_collecting_counts_every_record_that_real_shippers_ship():
    cores, records, time_s = collecting.measure(rounds=1, nodes=3, rate_per_s=600, for_s=1.0)
    assert cores.median > 0
    assert (records.ratios, records.terms) == ([1.0], "600 / 600")
    assert time_s.promise is None


def test_scaling_divides_by_so_many_times_what_one_node_did_in_the_same_round(monkeypatch):
    done = {("cpu", "threads-1"): [4.0, 5.0, 6.0], ("cpu", "threads-4"): [16.0, 18.0, 12.0]}
    done |= {("io", lane): rates for (_, lane), rates in done.items()}
    monkeypatch.setattr(scaling, "why_not", lambda _: "")
    monkeypatch.setattr(scaling, "_capacities", lambda _: done)
    monkeypatch.setattr(scaling, "_measured", lambda *_: None)
    cpu, io = scaling.measure(nodes=(1, 4), pools=["threads"])
    assert cpu.name == "cpu, threads: capacity of 4 nodes of 0.1 cores / 4 x that of one"
    assert (cpu.ratios, cpu.kept, io.kept) == ([1.0, 0.9, 0.5], True, False)


def test_scaling_is_skipped_where_nodes_cannot_have_a_limit(monkeypatch):
    monkeypatch.setattr(scaling, "why_not", lambda _: "that needs root.")
    (found,) = scaling.measure()
    assert isinstance(found, Skipped)
    assert found.reason == "that needs root."


@pytest.mark.heavy
def test_scaling_measures_real_nodes_with_a_limit():
    found = scaling.measure(rounds=1, nodes=(1, 2), trial_s=2.0, pools=["threads"])
    assert all(isinstance(each, Skipped) or 0 < each.median < 2 for each in found)
