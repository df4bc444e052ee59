"""Records reach their queue even if the slot dies, and a slot never waits for it."""

import logging
import os
import secrets
import threading
import time

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from poolrace import shipping
from poolrace.contract import NO_OFFSET, ROW, Outcome, Shipment, Stamp, records_queue, unpack_rows
from poolrace.records_sender import RecordsSender
from poolrace.shipping import LOOK_S, Shipper
from poolrace.watchers import WATCH_S

# Forking a process that has threads is what this module is about; newer Pythons warn of it.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def parts(seq, run_id):
    """Return the arguments of `put`: the job's header, and the node's part of the record."""
    stamp = Stamp(run_id=run_id, trial=0, seq=seq, due_at=1.0, sent_at=1.0)
    return stamp.to_header(), (1.0, 2.0, 3.0, 0.5, 7, 8, 1, 0, Outcome.SUCCEEDED, 0, "")


def seqs(rows):
    return [record.seq for record in unpack_rows(rows)]


def in_child(work):
    """Run something in a forked child, and wait for its end."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    os.waitpid(pid, 0)


class UnsteadySender(RecordsSender):
    """A sender whose connection breaks at the next message, when a test asks for it."""

    breaks = False

    def send(self, run_id, body):
        if self.breaks:
            self.breaks = False
            raise OperationalError("connection reset")
        super().send(run_id, body)


class SwitchedApp:
    """An app whose broker can be away."""

    def __init__(self, app):
        self.app = app
        self.is_away = False
        self.connections = 0

    def connection_for_write(self):
        if self.is_away:
            raise OperationalError("connection refused")
        self.connections += 1
        return self.app.connection_for_write()


class Site:
    """A shipper on a broker in memory, and a reader of its queues."""

    def __init__(self, clock):
        self.run_id = secrets.token_hex(8)
        self.app = Celery("site", broker="memory://", set_as_current=False)
        self.broker = SwitchedApp(self.app)
        self.sender = UnsteadySender(self.broker)
        self.clock = clock
        self.shipper = Shipper(self.sender, node="threads@host", pool="threads", monotonic=self.clock)

    def arrived(self, run_id=None):
        """Take the shipments from a run's queue, oldest first."""
        with self.app.connection_for_read() as connection:
            queue = connection.SimpleQueue(records_queue(run_id or self.run_id), queue_opts={"durable": False})
            shipments = []
            while queue.qsize():
                message = queue.get_nowait()
                message.ack()
                shipments.append(Shipment.decode(bytes(message.body)))
            queue.close()
            return shipments

    def arrived_seqs(self, run_id=None):
        return [seq for shipment in self.arrived(run_id) for seq in seqs(shipment.rows)]

    def arrived_samples(self, run_id=None):
        return sum(len(shipment.samples) for shipment in self.arrived(run_id))

    def awaited_seqs(self):
        """Wait for the next shipment, however long it takes, and return its jobs."""
        while not (arrived := self.arrived_seqs()):
            time.sleep(0.01)
        return arrived


@pytest.fixture
def site(clock):
    site = Site(clock)
    yield site
    site.shipper.close()


@pytest.fixture
def at_work(clock):
    """A site whose shipper has a clock that moves, as its thread needs, and wakes for nothing but records."""
    site = Site(clock)
    site.shipper.close()
    site.shipper = Shipper(site.sender, node="threads@host", pool="threads", idle_s=3600.0)
    yield site
    site.shipper.close()


def test_records_of_slots_are_shipped_in_order(site):
    for seq in range(10):
        site.shipper.put(*parts(seq, site.run_id))
    site.shipper.ship()
    (shipment,) = site.arrived()
    assert (shipment.node, shipment.pool, shipment.clock) == ("threads@host", "threads", NO_OFFSET)
    assert seqs(shipment.rows) == list(range(10))


def test_a_slot_in_a_child_process_hands_over_through_the_pipe(site):
    def put():
        site.shipper.put(*parts(8, site.run_id))
        os._exit(0)

    site.shipper.put(*parts(7, site.run_id))
    in_child(put)
    site.shipper.ship()
    assert sorted(site.arrived_seqs()) == [7, 8]


class Pauses:
    """Stands in for the event that a shipper sleeps on; while it first does, another record comes."""

    def __init__(self, come):
        self.lasted_s, self._come = [], come

    def wait(self, for_s):
        if not self.lasted_s:
            self._come()
        self.lasted_s.append(for_s)

    def set(self):
        """Nobody sleeps."""


@pytest.mark.parametrize(("idle", "second_s"), [(False, 2 * LOOK_S), (True, LOOK_S / 2)])
def test_a_node_without_a_job_waits_less_long_for_more_records(site, idle, second_s):
    shipper = Shipper(site.sender, node="threads@host", pool="threads", monotonic=site.clock, idle=lambda: idle)
    shipper._stopping = pauses = Pauses(lambda: shipper.put(*parts(2, site.run_id)))
    shipper.put(*parts(1, site.run_id))
    shipper._let_gather()
    shipper.close()
    assert pauses.lasted_s == [LOOK_S, second_s]


@pytest.mark.parametrize("header", [None, "another program's", ["00", 1, 2, 3.0, 4.0]])
def test_a_header_of_somebody_else_leaves_no_record(site, header):
    _, end = parts(1, site.run_id)
    site.shipper.put(header, end)
    site.shipper.put(*parts(2, site.run_id))
    site.shipper.ship()
    assert site.arrived_seqs() == [2]


def test_many_records_go_in_several_messages(site):
    jobs = 2 * shipping.ROWS_PER_MESSAGE + 1
    for seq in range(jobs):
        site.shipper.put(*parts(seq, site.run_id))
    site.shipper.ship()
    sizes = [len(shipment.rows) // ROW.size for shipment in site.arrived()]
    assert sizes == [shipping.ROWS_PER_MESSAGE, shipping.ROWS_PER_MESSAGE, 1]


def test_every_run_gets_its_own_records(site):
    other = secrets.token_hex(8)
    for seq in range(6):
        site.shipper.put(*parts(seq, other if seq % 2 else site.run_id))
    site.shipper.ship()
    assert site.arrived_seqs() == [0, 2, 4]
    assert site.arrived_seqs(other) == [1, 3, 5]


def test_nothing_is_sent_while_there_is_nothing_to_say(site):
    site.shipper.ship()
    assert site.arrived() == []


def test_a_run_that_watches_gets_samples_of_the_node(site):
    site.shipper.watch(site.run_id)
    site.shipper.ship()
    (shipment,) = site.arrived()
    (sample,) = shipment.samples
    assert shipment.rows == b""
    assert sample.processes >= 1
    assert sample.cpu_s > 0


def test_records_and_samples_of_a_run_travel_together(site):
    site.shipper.watch(site.run_id)
    site.shipper.put(*parts(1, site.run_id))
    site.shipper.ship()
    (shipment,) = site.arrived()
    assert (seqs(shipment.rows), len(shipment.samples)) == ([1], 1)


def test_samples_are_a_second_apart(site):
    site.shipper.watch(site.run_id)
    for _ in range(21):
        site.shipper.ship()
        site.clock.now_s += 0.125
    assert site.arrived_samples() == 3


def test_every_second_sample_has_the_memory(site):
    site.shipper.watch(site.run_id)
    for _ in range(3):
        site.shipper.ship()
        site.clock.now_s += 1
    samples = [sample for shipment in site.arrived() for sample in shipment.samples]
    assert [sample.pss_bytes is not None for sample in samples] == [True, False, True]


def test_the_thread_sleeps_until_the_next_sample_or_for_long_if_no_run_watches(site):
    assert site.shipper.patience_s() == shipping.IDLE_S
    site.shipper.watch(site.run_id)
    assert site.shipper.patience_s() == 0
    site.shipper.ship()
    assert site.shipper.patience_s() == 1
    site.clock.now_s += 0.25
    assert site.shipper.patience_s() == 0.75


def test_a_run_that_has_been_forgotten_gets_no_more_samples(site):
    site.shipper.watch(site.run_id)
    site.shipper.forget(site.run_id)
    site.shipper.ship()
    assert site.arrived() == []


def test_a_run_whose_jobs_end_goes_on_watching(site):
    site.shipper.watch(site.run_id)
    for _ in range(3):
        site.clock.now_s += WATCH_S - 1
        site.shipper.put(*parts(1, site.run_id))
        site.shipper.ship()
    assert site.arrived_samples() == 3


def test_stopping_ships_the_remaining_records(at_work):
    at_work.shipper.start()
    at_work.shipper.put(*parts(1, at_work.run_id))
    at_work.shipper.stop()
    assert at_work.arrived_seqs() == [1]
    assert "poolrace-shipper" not in {thread.name for thread in threading.enumerate()}


def test_an_idle_shipper_wakes_for_a_record_of_its_own_process_and_of_a_child(at_work):
    at_work.shipper.start()

    def put():
        at_work.shipper.put(*parts(2, at_work.run_id))
        os._exit(0)

    at_work.shipper.put(*parts(1, at_work.run_id))
    assert at_work.awaited_seqs() == [1]
    in_child(put)
    assert at_work.awaited_seqs() == [2]


def test_starting_twice_starts_one_thread(at_work):
    at_work.shipper.start()
    at_work.shipper.start()
    assert [thread.name for thread in threading.enumerate()].count("poolrace-shipper") == 1


def test_records_wait_in_the_node_while_the_broker_is_away(site, caplog):
    site.broker.is_away = True
    site.shipper.put(*parts(1, site.run_id))
    with caplog.at_level(logging.WARNING):
        site.shipper.ship()
    assert "Records wait in the node: OperationalError: connection refused" in caplog.text
    assert site.shipper.patience_s() == shipping.RETRY_S
    site.broker.is_away = False
    site.shipper.put(*parts(2, site.run_id))
    site.shipper.ship()
    assert site.arrived_seqs() == [1, 2]


def test_a_broker_that_goes_between_two_messages_costs_no_record_and_no_sample(site):
    site.shipper.put(*parts(1, site.run_id))
    site.shipper.ship()
    site.sender.breaks = True
    site.shipper.watch(site.run_id)
    site.shipper.put(*parts(2, site.run_id))
    site.shipper.ship()
    assert not site.sender.breaks
    assert site.arrived_seqs() == [1]
    site.shipper.ship()
    (shipment,) = site.arrived()
    assert (seqs(shipment.rows), len(shipment.samples)) == ([2], 1)
    assert site.broker.connections == 2
