"""Messages go to the queue of their run, over a connection that is made again after it was lost."""

import secrets

import pytest
from celery import Celery

from poolrace import records_sender
from poolrace.contract import ClockOffset, records_queue
from poolrace.records_sender import CLOCK_EVERY_S, RecordsSender


class CountedApp:
    """An app that counts the connections it makes."""

    def __init__(self):
        self.app = Celery("sender", broker="memory://", set_as_current=False)
        self.connections = 0

    def connection_for_write(self):
        self.connections += 1
        return self.app.connection_for_write()

    def bodies(self, run_id):
        with self.app.connection_for_read() as connection:
            queue = connection.SimpleQueue(records_queue(run_id), queue_opts={"durable": False})
            bodies = []
            while queue.qsize():
                message = queue.get_nowait()
                message.ack()
                bodies.append(bytes(message.body))
            queue.close()
            return bodies


@pytest.fixture
def run_ids():
    return secrets.token_hex(8), secrets.token_hex(8)


@pytest.fixture
def app():
    return CountedApp()


@pytest.fixture
def sender(app):
    sender = RecordsSender(app)
    yield sender
    sender.close()


def test_a_message_goes_to_the_queue_of_its_run(app, sender, run_ids):
    one, other = run_ids
    sender.send(one, b"one")
    sender.send(other, b"two")
    sender.send(one, b"three")
    assert (app.bodies(one), app.bodies(other)) == ([b"one", b"three"], [b"two"])


def test_no_connection_is_made_before_there_is_a_message_and_one_serves_all(app, sender, run_ids):
    one, other = run_ids
    assert app.connections == 0
    sender.send(one, b"one")
    sender.send(other, b"two")
    assert app.connections == 1


def test_after_it_was_closed_a_sender_connects_again(app, sender, run_ids):
    one, _ = run_ids
    sender.send(one, b"one")
    sender.close()
    sender.close()
    sender.send(one, b"two")
    assert app.connections == 2
    assert app.bodies(one) == [b"one", b"two"]


def test_a_queue_is_declared_once_on_each_connection(sender, run_ids, monkeypatch):
    """The broker that it connects to may be another one, or have forgotten the queue."""
    one, other = run_ids
    declared = []
    monkeypatch.setattr(records_sender.Queue, "declare", lambda queue: declared.append(queue.name))
    for run_id in (one, one, other):
        sender.send(run_id, b"body")
    assert declared == [records_queue(one), records_queue(other)]
    sender.close()
    sender.send(one, b"body")
    assert declared == [records_queue(one), records_queue(other), records_queue(one)]


def test_the_clock_is_compared_with_the_brokers_every_now_and_then(app, clock, monkeypatch):
    offsets = [ClockOffset(offset_s=float(number), bound_s=0.1) for number in range(3)]
    monkeypatch.setattr(records_sender, "broker_offset", lambda _: offsets.pop(0))
    sender = RecordsSender(app, clock)
    assert (sender.clock().offset_s, sender.clock().offset_s) == (0.0, 0.0)
    clock.now_s += CLOCK_EVERY_S
    assert sender.clock().offset_s == 1.0
    sender.close()
