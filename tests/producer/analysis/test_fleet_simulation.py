"""A simulated fleet agrees with queueing theory, and with what can be worked out by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from producer.analysis.fleet_simulation import FleetModel, Work, simulate, through_one_server
from producer.plan.arrivals import poisson

RUNS, JOBS = 12, 6_000
CONFIDENCE = 0.999
"""Of each interval, so that ten comparisons with the truth all hold; the seeds are fixed, so that they always do."""

EXPONENTIAL_S = -np.log1p(-(np.arange(20_000) + 0.5) / 20_000)
"""Quantiles of an exponential with mean 1: drawn at random, they are one."""


def work(*wait_s, cpu_s=None):
    return Work(wait_s=np.array(wait_s, float), cpu_s=np.array(cpu_s or [0.0] * len(wait_s), float))


def model(slots=1, nodes=1, **changes):
    """A fleet of jobs that take a second, whose nodes take any number of messages at once."""
    return FleetModel(**{"nodes": nodes, "slots": slots, "window": 10**9, "work": work(1.0), **changes})


EXPONENTIAL = Work(wait_s=EXPONENTIAL_S, cpu_s=np.zeros(len(EXPONENTIAL_S)))


def mean_wait_interval(fleet, rate_per_s):
    """The simulation's own interval of the mean queue wait: a t-interval over runs that are independent."""
    means = []
    for turn in range(RUNS):
        seen = simulate(fleet, poisson(rate_per_s, JOBS / rate_per_s, 100 + turn).due_s, turn)
        means.append(seen.queue_wait_s[JOBS // 4 :].mean())
    half_s = stats.t.ppf((1 + CONFIDENCE) / 2, RUNS - 1) * stats.sem(means)
    return np.mean(means) - half_s, np.mean(means) + half_s


def erlang_c(slots, busy):
    """The part of jobs that wait, by Erlang: busy slots on average, of so many."""
    waiting = busy**slots / math.factorial(slots) * slots / (slots - busy)
    return waiting / (sum(busy**k / math.factorial(k) for k in range(slots)) + waiting)


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_wait_of_m_m_1_is_that_of_the_textbook(load):
    low, high = mean_wait_interval(model(work=EXPONENTIAL), load)
    assert low < load / (1 - load) < high


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_the_wait_of_m_d_1_is_that_of_pollaczek_and_khinchine(load):
    low, high = mean_wait_interval(model(), load)
    assert low < load / (2 * (1 - load)) < high


@pytest.mark.parametrize(("slots", "load"), [(2, 0.7), (8, 0.8)])
def test_the_wait_of_m_m_c_is_erlangs(slots, load):
    low, high = mean_wait_interval(model(slots, work=EXPONENTIAL), load * slots)
    assert low < erlang_c(slots, load * slots) / (slots * (1 - load)) < high


def test_a_wrong_formula_would_be_seen():
    """The intervals are narrow enough to tell M/M/1 from M/D/1, whose waits differ by a factor of two."""
    low, high = mean_wait_interval(model(work=EXPONENTIAL), 0.5)
    assert not low < 0.5 < high


def test_the_broker_is_a_server_of_its_own():
    """M/D/1 in front of slots that are always free, by Lindley's recursion."""
    low, high = mean_wait_interval(model(slots=400, broker_s=0.1), 8.0)
    assert low < 0.1 + 0.1 * 0.8 / (2 * 0.2) < high


def test_one_server_by_hand():
    """Due at 0, 0 and 5, each takes 2: they leave at 2, at 4 after the first, and at 7 at once."""
    assert through_one_server(np.array([0.0, 0.0, 5.0]), 2.0).tolist() == [2.0, 4.0, 7.0]


def test_one_slot_by_hand():
    """Two jobs at once, each of 1 s, with a hand-over of 0.25 s to a free slot and a gap of 0.5 s to the next job."""
    fleet = model(handover_s=np.array([0.25]), gap_s=np.array([0.5]), broker_s=0.125, take_s=0.25)
    seen = simulate(fleet, np.array([0.0, 0.0]), 1)
    # Out of the broker at 0.125, at the slot after half of 0.25 s, started 0.25 s later: 0.5.
    assert seen.started_s.tolist() == [0.5, 0.5 + 1 + 0.5]
    assert seen.finished_s.tolist() == [1.5, 3.0]
    assert seen.sojourn_s.tolist() == [1.5, 3.0]
    assert seen.service_s.tolist() == [1.0, 1.0]


def test_a_main_process_takes_one_message_after_the_other():
    """A hundred slots are idle, and the node takes 0.5 s for a message: the tenth is there after 4.75 s."""
    seen = simulate(model(slots=100, take_s=0.5), np.zeros(10), 1)
    assert seen.started_s[-1] == pytest.approx(9 * 0.5 + 0.25)


def test_a_distance_is_waited_for_with_each_message():
    seen = simulate(model(slots=100, trip_s=0.5), np.zeros(10), 1)
    assert seen.started_s[-1] == pytest.approx(5.0)


def test_messages_that_a_busy_node_took_wait_there_while_another_is_idle():
    """
    Jobs of 10 s and of 1 s in turn on two nodes of one slot: with a window of 2, a node takes one job more than it
    runs, and both long jobs are on the same node; with late acknowledgement and a window of 1 no job waits like that.
    """
    due_s = np.array([0.0, 0.1, 0.2, 0.3])
    rows = Work(wait_s=np.array([1.0, 1.0]), cpu_s=np.zeros(2))
    apart = simulate(FleetModel(nodes=2, slots=1, window=1, acks_late=True, work=rows), due_s, 1)
    ahead = simulate(FleetModel(nodes=1, slots=2, window=2, work=rows), due_s, 1)
    assert apart.started_s.tolist() == ahead.started_s.tolist() == [0.0, 0.1, 1.0, 1.1]


def test_a_window_bounds_what_a_node_holds():
    """The first node has a job of 10 s, and takes as many messages as its window allows; the other does the rest."""
    long_then_short = _Sequence([10.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    due_s = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    waits = {}
    for window in (1, 2):
        fleet = FleetModel(nodes=2, slots=1, window=window, work=long_then_short)
        waits[window] = simulate(fleet, due_s, 1).queue_wait_s
    assert (waits[1] > 8).sum() == 1
    assert (waits[2] > 8).sum() == 2


class _Sequence(Work):
    """Work whose rows are drawn in their order, not at random, so that instants can be worked out by hand."""

    def __init__(self, wait_s):
        rows = _InOrder(wait_s)
        object.__setattr__(self, "wait_s", rows)
        object.__setattr__(self, "cpu_s", _InOrder([0.0] * len(wait_s)))


class _InOrder(list):
    def __getitem__(self, rows):
        return np.array(list(self), float) if isinstance(rows, np.ndarray) else super().__getitem__(rows)


def test_jobs_that_compute_share_the_cores_in_turns():
    """Four jobs of 40 ms on two cores end at about 80 ms, all of them in the last turns; two would end at 40 ms."""
    fleet = model(slots=4, work=work(0.0, cpu_s=[0.04]), cores=2.0)
    assert simulate(fleet, np.zeros(2), 1).finished_s.tolist() == pytest.approx([0.04, 0.04])
    ended_s = simulate(fleet, np.zeros(4), 1).finished_s
    assert ended_s.max() == pytest.approx(0.08)
    assert ended_s.min() >= 0.07


def test_jobs_behind_a_lock_have_one_core_whatever_the_node_has():
    fleet = model(slots=4, work=work(0.0, cpu_s=[0.04]), cores=8.0, one_interpreter=True)
    assert simulate(fleet, np.zeros(4), 1).finished_s.max() == pytest.approx(0.16)


def test_a_part_of_a_core_is_a_slower_one():
    fleet = model(slots=1, work=work(0.0, cpu_s=[0.04]), cores=0.5)
    assert simulate(fleet, np.zeros(1), 1).finished_s.tolist() == pytest.approx([0.08])


def test_use_is_the_part_of_each_resource_that_a_rate_takes():
    """
    100 jobs/s on 5 nodes of 4 slots: 20/s a node. A job holds its slot for 0.1 s (0.06 of it computing) and a gap of
    0.02 s: 20 x 0.12 / 4 slots. The node takes 0.01 s, the broker 0.002 s; 20 x (0.06 + 0.01) on 2 cores.
    """
    fleet = model(
        slots=4, nodes=5, work=work(0.04, cpu_s=[0.06]), gap_s=np.array([0.02]), take_s=0.01, broker_s=0.002, cores=2.0
    )
    assert fleet.use(100.0) == pytest.approx({"slots": 0.6, "node": 0.2, "cores": 0.7, "broker": 0.2})


def test_slots_are_as_busy_as_their_use_says():
    fleet = model(slots=4, nodes=5, window=16)
    seen = simulate(fleet, poisson(12.0, 500.0, 3).due_s, 1)
    within = (seen.started_s > 100) & (seen.started_s < 400)
    assert within.sum() * 1.0 / 300 / 20 == pytest.approx(fleet.use(12.0)["slots"], rel=0.05)


def test_the_same_seed_gives_the_same_jobs_on_every_fleet():
    due_s = poisson(3.0, 200.0, 1).due_s
    few, many = (simulate(model(slots, work=EXPONENTIAL), due_s, 7) for slots in (4, 8))
    assert np.allclose(few.service_s, many.service_s)
    assert (many.sojourn_s <= few.sojourn_s + 1e-9).all()
