"""The continuous load: what a window holds, where its jobs go, and what the exporter hears of it."""

from collections import Counter

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from kombu.exceptions import OperationalError

from producer.plan.jobs import Jobs
from producer.stack.live import WINDOW_S, LiveLoad, window
from producer.stack.live_settings import LiveSettings

JOBS = {name: Jobs.of(name, f"worker.{name}", (1,), expected_s=0.01) for name in ("cpu", "io")}
BUSY = LiveSettings(rate_per_s=200.0, mix={"cpu": 1.0, "io": 3.0})
HELLOS = {
    f"{pool}@a": {
        "pool": pool, "queues": [pool], "concurrency": 8, "prefetch_multiplier": 4, "acks": "early",
        "transport": "stock",
    }
    for pool in ("prefork", "threads")
}  # fmt: skip


class Nodes:
    """Remote control of nodes that answer."""

    def __init__(self, hellos):
        self.hellos = hellos

    def hello(self, *_):
        return self.hellos


class Sender:
    """Sends nothing, and notes what it was asked to send; some of it fails."""

    def __init__(self, *, fails=False):
        self.sent = []
        self.fails = fails

    def send(self, order, batch, _):
        if self.fails:
            raise OperationalError("the broker is away")
        ((seq, due_at),) = batch
        self.sent.append((order.queue, order.trial, seq, due_at))
        return [due_at + 0.25]


class Exporter:
    """Notes what it hears."""

    def __init__(self):
        self.heard = Counter()

    def lanes(self, found, _):
        self.heard.update(found)

    def sent(self, lane, workload, lag_s):
        self.heard[lane, workload, round(lag_s, 6)] += 1

    def refused(self, lane, workload):
        self.heard["refused", lane, workload] += 1


@pytest.fixture
def load():
    """A load on two lanes, and its exporter."""
    exporter = Exporter()
    load = LiveLoad(Celery("live", broker="memory://", set_as_current=False), JOBS, BUSY, exporter)
    load._find(Nodes(HELLOS))
    exporter.heard.clear()
    return load, exporter


@given(st.integers(0, 2**32), st.floats(0.1, 500))
def test_a_window_is_in_order_of_due_and_on_every_lane(seed, rate):
    jobs = window(LiveSettings(rate_per_s=rate, mix={"cpu": 1.0, "io": 0.0}), ("prefork", "threads"), seed)
    assert jobs == sorted(jobs)
    assert all(0 <= due_s <= WINDOW_S for due_s, _, _ in jobs)
    assert {workload for _, _, workload in jobs} <= {"cpu"}


def test_rate_and_mix_hold_over_many_windows():
    jobs = [job for seed in range(200) for job in window(LiveSettings(rate_per_s=20, mix=BUSY.mix), ("a", "b"), seed)]
    counts = Counter((lane, workload) for _, lane, workload in jobs)
    for lane in ("a", "b"):
        # 200 windows of a second, 20 jobs each: 4,000 jobs, whose number varies by 63, a quarter of them cpu.
        of_lane = counts[lane, "cpu"] + counts[lane, "io"]
        assert abs(of_lane - 4000) < 5 * 63
        assert abs(counts[lane, "cpu"] / of_lane - 0.25) < 0.05


def test_the_same_seed_gives_the_same_window():
    assert window(BUSY, ("a", "b"), 7) == window(BUSY, ("a", "b"), 7) != window(BUSY, ("a", "b"), 8)


def test_a_job_goes_to_the_queue_of_its_lane_with_its_workload_and_a_number_of_its_own(load):
    running, exporter = load
    sender = Sender()
    for lane, workload in (("threads", "io"), ("prefork", "cpu")):
        running._send_job(sender, running._lanes[lane], workload, 10.0)
    assert sender.sent == [("threads", 1, 0, 10.0), ("prefork", 0, 1, 10.0)]
    assert exporter.heard == {("threads", "io", 0.25): 1, ("prefork", "cpu", 0.25): 1}


def test_a_job_that_the_broker_refuses_is_counted_and_has_no_number(load):
    running, exporter = load
    with pytest.raises(OperationalError):
        running._send_job(Sender(fails=True), running._lanes["threads"], "io", 10.0)
    assert exporter.heard == {("refused", "threads", "io"): 1}
    sender = Sender()
    running._send_job(sender, running._lanes["threads"], "io", 10.0)
    assert sender.sent[0][2] == 0


def test_a_window_is_sent_at_its_instants_and_takes_a_second(load):
    running, exporter = load
    sender, began_at = Sender(), running._clock.now()
    running._send_window(BUSY, sender)
    due = [due_at for _, _, _, due_at in sender.sent]
    assert due == sorted(due)
    assert {queue for queue, _, _, _ in sender.sent} == {"prefork", "threads"}
    assert running._clock.now() - began_at >= WINDOW_S
    assert exporter.heard.total() == len(due)


def test_after_it_was_stopped_nothing_more_is_sent(load):
    running, _ = load
    running.stop()
    sender = Sender()
    running._send_window(BUSY, sender)
    assert sender.sent == []


def test_nodes_of_one_pool_alone_are_waited_for(load):
    running, exporter = load
    running._lanes = {}
    running._find(Nodes({"threads@a": HELLOS["threads@a"]}))
    assert (dict(running._lanes), exporter.heard) == ({}, {})


def test_trouble_with_the_broker_is_reported_and_the_work_goes_on(load, monkeypatch):
    running, exporter = load
    monkeypatch.setattr("producer.stack.live.BACK_OFF_S", 0.0)
    troubles = []
    exporter.trouble = troubles.append

    def work():
        if len(troubles) < 2:
            raise OperationalError("away")
        running.stop()

    running._keep(work)
    assert [str(error) for error in troubles] == ["away", "away"]


def test_a_bug_is_no_trouble_with_the_broker(load):
    running, _ = load

    def work():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        running._keep(work)
