"""The analysis agrees with queueing theory: simulated records of known queues have the mean waits of the textbook."""

import heapq
import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from producer.analysis.latency import first_successes, latency
from producer.plan.arrivals import poisson, seed_for

LOAD = 0.7
SERVICE_S = 0.05
BATCHES = 30
BATCH_JOBS = 10_000
CONFIDENCE = 0.999


def deterministic_waits_s(arrivals_at, service_s):
    """
    Waits in front of one server by Lindley's recursion: W' = max(0, W + service - gap).

    Without the loop: the sum of all steps so far minus the lowest it has ever been.
    """
    steps = np.concatenate([[0.0], service_s - np.diff(arrivals_at)])
    level = np.cumsum(steps)
    return level - np.minimum.accumulate(level)


def multi_server_waits_s(arrivals_at, services_s, servers):
    """Waits in front of several servers, first come first served: each job takes the server that is free first."""
    free_at, waits_s = [0.0] * servers, []
    for arrival_at, service_s in zip(arrivals_at.tolist(), services_s.tolist(), strict=True):
        started_at = max(arrival_at, free_at[0])
        heapq.heapreplace(free_at, started_at + service_s)
        waits_s.append(started_at - arrival_at)
    return np.array(waits_s)


def records_of(arrivals_at, waits_s, services_s):
    """As nodes would have recorded it: sent when due, received halfway through the wait."""
    jobs = len(arrivals_at)
    started_at = arrivals_at + waits_s
    return pl.DataFrame(
        {
            "trial": np.zeros(jobs, dtype=np.uint32),
            "seq": np.arange(jobs, dtype=np.uint32),
            "due_at": arrivals_at,
            "sent_at": arrivals_at,
            "received_at": arrivals_at + waits_s / 2,
            "started_at": started_at,
            "finished_at": started_at + services_s,
            "cpu_s": np.zeros(jobs),
            "outcome": ["succeeded"] * jobs,
        }
    )


def arrivals_at(rate_per_s, name):
    """One batch more than needed: the first lets the queue forget that it began empty."""
    jobs = (BATCHES + 1) * BATCH_JOBS
    due_s = poisson(rate_per_s, 1.05 * jobs / rate_per_s, seed_for(1, name)).due_s
    return due_s[:jobs]


def batch_interval_s(records, stretch):
    """
    Confidence interval of a mean by batch means, each from the analysis.

    Successive waits depend on each other; means of 10,000 hardly do, so a t-interval over them is sound.
    """
    means = []
    for start in range(BATCH_JOBS, (BATCHES + 1) * BATCH_JOBS, BATCH_JOBS):
        batch = records.filter(pl.col("seq").is_between(start, start + BATCH_JOBS - 1))
        found = getattr(latency(first_successes(batch), batch), stretch)
        assert found.n == BATCH_JOBS
        means.append(found.mean)
    half_width = stats.t.ppf((1 + CONFIDENCE) / 2, BATCHES - 1) * stats.sem(means)
    return np.mean(means) - half_width, np.mean(means) + half_width


def erlang_c(servers, load):
    """Probability that an arrival has to wait, with `load` the share of the servers that is busy."""
    offered = servers * load
    waiting = offered**servers / math.factorial(servers) / (1 - load)
    return waiting / (sum(offered**k / math.factorial(k) for k in range(servers)) + waiting)


def test_erlang_c_by_hand():
    """One server: an arrival waits when it is busy. Two servers at half load: 1/2 / (1 + 1 + 1/2 / (1/2)) = 1/3."""
    assert erlang_c(1, 0.7) == pytest.approx(0.7)
    assert erlang_c(2, 0.5) == pytest.approx(1 / 3)


def test_lindley_by_hand():
    # Service 2 s, arrivals at 0 1 2 9: waits 0, 0 + 2 - 1 = 1, 1 + 2 - 1 = 2, max(0, 2 + 2 - 7) = 0.
    assert deterministic_waits_s(np.array([0.0, 1, 2, 9]), 2.0).tolist() == [0.0, 1.0, 2.0, 0.0]


def test_two_servers_by_hand():
    # Services of 3 s, arrivals at 0 1 2: the third waits for the server that is free at 3.
    assert multi_server_waits_s(np.array([0.0, 1, 2]), np.array([3.0, 3, 3]), 2).tolist() == [0.0, 0.0, 1.0]


def test_the_mean_wait_of_one_slot_with_equal_jobs_is_that_of_pollaczek_and_khinchine():
    """M/D/1: mean wait = load x service / (2 (1 - load)); 0.7 x 0.05 / 0.6 = 0.0583 s."""
    arrivals = arrivals_at(LOAD / SERVICE_S, "M/D/1")
    services = np.full(len(arrivals), SERVICE_S)
    records = records_of(arrivals, deterministic_waits_s(arrivals, SERVICE_S), services)
    expected_s = LOAD * SERVICE_S / (2 * (1 - LOAD))
    low, high = batch_interval_s(records, "queue_wait")
    assert low < expected_s < high
    assert high - low < 0.1 * expected_s
    low, high = batch_interval_s(records, "sojourn")
    assert low < expected_s + SERVICE_S < high


def test_the_mean_wait_of_four_slots_is_that_of_erlang():
    """M/M/4: mean wait = C(4, 2.8) x service / (4 (1 - load)); 0.4287 x 0.05 / 1.2 = 0.0179 s."""
    slots = 4
    arrivals = arrivals_at(slots * LOAD / SERVICE_S, "M/M/4")
    services = np.random.default_rng(seed_for(1, "services")).exponential(SERVICE_S, len(arrivals))
    records = records_of(arrivals, multi_server_waits_s(arrivals, services, slots), services)
    expected_s = erlang_c(slots, LOAD) * SERVICE_S / (slots * (1 - LOAD))
    low, high = batch_interval_s(records, "queue_wait")
    assert low < expected_s < high
    assert high - low < 0.2 * expected_s
    low, high = batch_interval_s(records, "service")
    assert low < SERVICE_S < high
