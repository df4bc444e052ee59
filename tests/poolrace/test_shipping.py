"""Records reach their queue whatever becomes of the slot, and a slot never waits for it."""

import errno
import logging
import os
import secrets
import signal
import threading
import time

import pytest
from celery import Celery
from kombu.exceptions import OperationalError

from poolrace import shipping
from poolrace.contract import NO_OFFSET, ROW, JobRecord, Outcome, Shipment, Stamp, pack_row, records_queue, unpack_rows
from poolrace.shipping import RowPipe, Shipper

# Forking a process that has threads is what this module is about; newer Pythons warn of it.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def row(seq, run_id="00" * 8):
    return pack_row(JobRecord(run_id=run_id, trial=0, seq=seq, due_at=1.0, sent_at=1.0, received_at=1.0))


def parts(seq, run_id):
    """What a slot hands over: the job's header, and what the node adds."""
    stamp = Stamp(run_id=run_id, trial=0, seq=seq, due_at=1.0, sent_at=1.0)
    return stamp.to_header(), (1.0, 2.0, 3.0, 0.5, 7, 8, 1, 0, Outcome.SUCCEEDED, 0, "")


def seqs(rows):
    return [record.seq for record in unpack_rows(rows)]


def in_child(work):
    """Run something in a forked child, and tell how the child ended."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


@pytest.fixture
def pipe():
    pipe = RowPipe()
    yield pipe
    pipe.close()


def test_rows_of_a_child_outlive_its_sudden_death(pipe):
    def write_and_die():
        for seq in range(5):
            pipe.write(row(seq))
        os.kill(os.getpid(), signal.SIGKILL)

    assert os.WTERMSIG(in_child(write_and_die)) == signal.SIGKILL
    assert seqs(pipe.read()) == [0, 1, 2, 3, 4]


def test_rows_of_several_children_arrive_whole(pipe):
    def write(first):
        for seq in range(first, first + 200):
            pipe.write(row(seq))
        os._exit(0)

    children = []
    for first in (0, 1000, 2000):
        pid = os.fork()
        if pid == 0:
            write(first)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    arrived = seqs(pipe.read())
    assert sorted(arrived) == [*range(200), *range(1000, 1200), *range(2000, 2200)]
    for first in (0, 1000, 2000):
        assert [seq for seq in arrived if first <= seq < first + 1000] == list(range(first, first + 200))


def test_an_empty_pipe_gives_nothing_and_does_not_wait(pipe):
    assert pipe.read() == b""


def test_what_has_been_read_is_not_read_again(pipe):
    pipe.write(row(1))
    assert seqs(pipe.read()) == [1]
    assert pipe.read() == b""


def test_a_full_pipe_does_not_hold_up_the_slot_and_loses_nothing(pipe):
    """Were it to wait, this test would never end: nobody reads."""
    wrote = 0
    while not pipe._unwritten:
        pipe.write(row(wrote))
        wrote += 1
    pipe.write(row(wrote))
    first = seqs(pipe.read())
    pipe.write(row(wrote + 1))
    assert [*first, *seqs(pipe.read())] == list(range(wrote + 2))


def test_the_pipe_tells_how_many_rows_wait_in_it_and_how_many_it_holds(pipe):
    for seq in range(3):
        pipe.write(row(seq))
    assert pipe.waiting() == 3
    while not pipe._unwritten:
        pipe.write(row(9))
    assert pipe.capacity * 0.9 <= pipe.waiting() <= pipe.capacity
    pipe.read()
    assert pipe.waiting() == 0


def test_a_row_that_has_arrived_in_part_waits_for_its_rest(pipe):
    whole, rest = row(1) + row(2), row(3)
    os.write(pipe._writer, whole + rest[:10])
    assert seqs(pipe.read()) == [1, 2]
    os.write(pipe._writer, rest[10:50])
    assert pipe.read() == b""
    os.write(pipe._writer, rest[50:] + row(4)[:1])
    assert seqs(pipe.read()) == [3]


def test_a_system_that_grants_no_larger_pipe_is_no_reason_to_stop(monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "the user's pipes have had their share")

    monkeypatch.setattr(shipping.fcntl, "fcntl", refuse)
    pipe = RowPipe()
    pipe.write(row(7))
    assert seqs(pipe.read()) == [7]
    pipe.close()


class Site:
    """A shipper on a broker in memory, and whoever reads from it."""

    def __init__(self):
        self.run_id = secrets.token_hex(8)
        self.app = Celery("site", broker="memory://", set_as_current=False)
        self.shipper = Shipper(self.app, node="threads@host", pool="threads")

    def arrived(self, run_id=None):
        """The shipments on a run's queue, oldest first."""
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

    def awaited_seqs(self):
        """What arrives next, however long it takes."""
        while not (arrived := self.arrived_seqs()):
            time.sleep(0.01)
        return arrived


@pytest.fixture
def site():
    site = Site()
    yield site
    site.shipper.close()


def test_what_slots_hand_over_is_shipped_in_order(site):
    for seq in range(10):
        site.shipper.put(*parts(seq, site.run_id))
    site.shipper._tick()
    (shipment,) = site.arrived()
    assert (shipment.node, shipment.pool, shipment.clock) == ("threads@host", "threads", NO_OFFSET)
    assert seqs(shipment.rows) == list(range(10))


def test_a_slot_in_a_child_process_hands_over_through_the_pipe(site):
    def put():
        site.shipper.put(*parts(8, site.run_id))
        os._exit(0)

    site.shipper.put(*parts(7, site.run_id))
    in_child(put)
    site.shipper._tick()
    assert sorted(site.arrived_seqs()) == [7, 8]


@pytest.mark.parametrize("header", [None, "another program's", ["00", 1, 2, 3.0, 4.0]])
def test_a_header_of_somebody_else_leaves_no_record(site, header):
    _, end = parts(1, site.run_id)
    site.shipper.put(header, end)
    site.shipper.put(*parts(2, site.run_id))
    site.shipper._tick()
    assert site.arrived_seqs() == [2]


def test_many_records_go_in_several_messages(site):
    jobs = 2 * shipping.ROWS_A_MESSAGE + 1
    for seq in range(jobs):
        site.shipper.put(*parts(seq, site.run_id))
    site.shipper._tick()
    sizes = [len(shipment.rows) // ROW.size for shipment in site.arrived()]
    assert sizes == [shipping.ROWS_A_MESSAGE, shipping.ROWS_A_MESSAGE, 1]


def test_every_run_gets_its_own_records(site):
    other = secrets.token_hex(8)
    for seq in range(6):
        site.shipper.put(*parts(seq, other if seq % 2 else site.run_id))
    site.shipper._tick()
    assert site.arrived_seqs() == [0, 2, 4]
    assert site.arrived_seqs(other) == [1, 3, 5]


def test_nothing_is_sent_while_there_is_nothing_to_say(site):
    site.shipper._tick()
    assert site.arrived() == []


def test_a_run_that_watches_gets_samples_of_the_node(site):
    site.shipper.watch(site.run_id)
    site.shipper._tick()
    (shipment,) = site.arrived()
    (sample,) = shipment.samples
    assert shipment.rows == b""
    assert sample.processes >= 1
    assert sample.cpu_s > 0


def test_records_and_samples_of_a_run_travel_together(site):
    site.shipper.watch(site.run_id)
    site.shipper.put(*parts(1, site.run_id))
    site.shipper._tick()
    (shipment,) = site.arrived()
    assert (seqs(shipment.rows), len(shipment.samples)) == ([1], 1)


def test_samples_are_a_second_apart(site):
    site.shipper.watch(site.run_id)
    site.shipper._tick()
    site.shipper._sample_due_s = float("inf")
    site.shipper._tick()
    assert len(site.arrived()) == 1


def test_a_run_says_how_far_apart_its_samples_are_and_the_most_eager_decides(site):
    site.shipper.watch(site.run_id, 30.0)
    site.shipper._tick()
    assert site.shipper._sample_due_s > time.monotonic() + 20
    site.shipper.watch(secrets.token_hex(8), 2.0)
    assert site.shipper._sample_due_s <= time.monotonic() + 2


def test_a_run_that_has_been_silent_for_long_gets_no_more_samples(site):
    site.shipper.watch(site.run_id)
    site.shipper._watchers[site.run_id] = time.monotonic() - 1, 1.0
    site.shipper._tick()
    assert site.arrived() == []


def test_stopping_ships_what_is_left(site):
    site.shipper.start()
    site.shipper.put(*parts(1, site.run_id))
    site.shipper.stop()
    assert site.arrived_seqs() == [1]
    assert "poolrace-shipper" not in {thread.name for thread in threading.enumerate()}


def test_an_idle_shipper_wakes_for_a_record_of_its_own_process_and_of_a_child(site, monkeypatch):
    monkeypatch.setattr(shipping, "IDLE_S", 3600.0)
    site.shipper.start()

    def put():
        site.shipper.put(*parts(2, site.run_id))
        os._exit(0)

    site.shipper.put(*parts(1, site.run_id))
    assert site.awaited_seqs() == [1]
    in_child(put)
    assert site.awaited_seqs() == [2]


def test_starting_twice_starts_one_thread(site):
    site.shipper.start()
    site.shipper.start()
    assert [thread.name for thread in threading.enumerate()].count("poolrace-shipper") == 1


class Away:
    """An app whose broker is not there."""

    def connection_for_write(self):
        raise OperationalError("connection refused")


def test_records_wait_in_the_node_while_the_broker_is_away(site, caplog):
    site.shipper._app = Away()
    site.shipper.put(*parts(1, site.run_id))
    with caplog.at_level(logging.WARNING):
        site.shipper._tick()
    assert "Records wait in the node: OperationalError: connection refused" in caplog.text
    site.shipper._app = site.app
    site.shipper.put(*parts(2, site.run_id))
    site.shipper._tick()
    assert site.arrived_seqs() == [1, 2]


def test_a_broker_that_goes_between_two_messages_costs_no_record(site):
    site.shipper.put(*parts(1, site.run_id))
    site.shipper._tick()
    producer, published = site.shipper._producer, []

    class Gone:
        connection, channel = producer.connection, producer.channel

        def publish(self, body, **_):
            published.append(body)
            raise OperationalError("connection reset")

    site.shipper._producer = Gone()
    site.shipper.put(*parts(2, site.run_id))
    site.shipper._tick()
    assert len(published) == 1
    site.shipper._tick()
    assert site.arrived_seqs() == [1, 2]
