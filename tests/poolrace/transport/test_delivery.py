"""Messages reach their consumers in order, a few milliseconds at a time, and none of them blocks the others."""

import json
import logging
from types import SimpleNamespace

import pytest

from poolrace.transport import delivery as module
from poolrace.transport.delivery import Delivery
from poolrace.transport.script import PendingMessage


class QoS:
    """Notes the tag that the script has noted, as each message is delivered, and what is put back."""

    def __init__(self):
        self.noted_tag = None
        self._delivered = {}
        self.restored = []

    def restore_by_tag(self, tag):
        self.restored.append(tag)


class Connection:
    """Delivers to a consumer of a test."""

    def __init__(self, consume):
        self._callbacks = {"mail": None}
        self._deliver = consume
        self.cycle = SimpleNamespace(hub=SimpleNamespace(_ready=[]))


class Channel:
    """A channel whose consumer a test makes."""

    connection_errors = (ConnectionError,)

    def __init__(self):
        self.qos = QoS()
        self.seen = []
        self.connection = Connection(self.consume)
        self.pushed = []

    def consume(self, payload, queue):
        self.seen.append((payload["body"], queue, self.qos.noted_tag))

    def raw_client(self):
        return SimpleNamespace(rpush=lambda key, raw: self.pushed.append((key, raw)))


class DeadLetters:
    def __init__(self):
        self.reasons = {}

    def add(self, message, error):
        self.reasons[message.tag] = type(error).__name__


def fail(*_):
    """Fail as a consumer."""
    return 1 / 0


def pending(body, tag="", queue="mail", raw=None):
    text = json.dumps({"body": body}).encode() if raw is None else raw
    return PendingMessage(queue=queue, list_key=f"key:{queue}", tag=tag, raw=text)


def about_to_acknowledge(tag):
    """What the loop is to call soon, as Celery leaves it."""
    return SimpleNamespace(fun=SimpleNamespace(__self__=SimpleNamespace(delivery_tag=tag)))


@pytest.fixture
def channel():
    return Channel()


@pytest.fixture
def dead_letters():
    return DeadLetters()


@pytest.fixture
def delivery(channel, dead_letters, monkeypatch):
    """With all the time it needs: a busy machine may take long over one message."""
    monkeypatch.setattr(module, "DELIVER_FOR_S", 60.0)
    return Delivery(channel, dead_letters)


def test_without_an_event_loop_one_message_is_delivered_at_a_time(channel, delivery):
    channel.connection.cycle.hub = None
    for number in range(3):
        delivery.add(pending(number))
    for number in range(3):
        delivery.deliver()
        assert [body for body, *_ in channel.seen] == list(range(number + 1))


def test_the_messages_of_a_cancelled_queue_alone_are_put_back(channel, delivery):
    for number, queue in enumerate(["mail", "post", "mail"]):
        delivery.add(pending(number, tag=f"t{number}", queue=queue))
    delivery.requeue("mail")
    assert (channel.qos.restored, len(delivery)) == (["t2", "t0"], 1)


def test_messages_are_delivered_in_order_with_the_tag_that_is_noted(channel, delivery):
    for number in range(3):
        delivery.add(pending(number, tag=f"t{number}"))
    assert len(delivery) == 3
    delivery.deliver()
    assert channel.seen == [(0, "mail", "t0"), (1, "mail", "t1"), (2, "mail", "t2")]
    assert (len(delivery), channel.qos.noted_tag) == (0, None)


def test_after_some_milliseconds_the_rest_waits_for_the_next_turn(channel, delivery, monkeypatch):
    instants = iter([0.0, module.DELIVER_FOR_S / 2, module.DELIVER_FOR_S * 2])
    monkeypatch.setattr(module, "monotonic", lambda: next(instants))
    for number in range(3):
        delivery.add(pending(number))
    delivery.deliver()
    assert ([body for body, _, _ in channel.seen], len(delivery)) == ([0, 1], 1)


def test_a_job_that_ran_within_its_delivery_is_acknowledged_before_the_next_one(channel, delivery):
    """The loop is about to acknowledge the first message: the second waits for that."""
    others = [about_to_acknowledge("another"), object()]
    hub = channel.connection.cycle.hub = SimpleNamespace(_ready=others)
    channel.connection._deliver = lambda payload, _: hub._ready.append(about_to_acknowledge(f"t{payload['body']}"))
    for number in range(2):
        delivery.add(pending(number, tag=f"t{number}"))
    delivery.deliver()
    assert len(delivery) == 1


def test_jobs_that_end_elsewhere_meanwhile_hold_up_no_delivery(channel, delivery):
    hub = channel.connection.cycle.hub = SimpleNamespace(_ready=[about_to_acknowledge("earlier")])
    channel.connection._deliver = lambda *_: hub._ready.append(about_to_acknowledge("another"))
    for number in range(3):
        delivery.add(pending(number, tag=f"t{number}"))
    delivery.deliver()
    assert len(delivery) == 0


def test_the_message_of_a_consumer_that_was_cancelled_goes_back_to_its_queue(channel, delivery):
    delivery.add(pending(0, tag="t0", queue="gone"))
    delivery.add(pending(1, queue="gone"))
    delivery.deliver()
    assert channel.seen == []
    assert (channel.qos.restored, channel.pushed) == (["t0"], [("key:gone", b'{"body": 1}')])


def test_a_message_that_cannot_be_read_is_set_aside_and_the_next_is_delivered(channel, delivery, dead_letters):
    delivery.add(pending(0, tag="broken", raw=b"{"))
    delivery.add(pending(1, tag="t1"))
    delivery.deliver()
    assert list(dead_letters.reasons) == ["broken"]
    assert [body for body, _, _ in channel.seen] == [1]


def test_a_message_that_never_reached_its_consumer_is_set_aside(channel, delivery, dead_letters):
    channel.connection._deliver = lambda payload, _: payload["nothing"]
    delivery.add(pending(0, tag="t0"))
    delivery.deliver()
    assert dead_letters.reasons == {"t0": "KeyError"}


@pytest.mark.parametrize("tag", ["t0", ""])
def test_an_error_of_the_consumer_itself_is_raised(channel, delivery, dead_letters, tag):
    channel.qos._delivered = {"t0": object()}
    channel.connection._deliver = fail
    delivery.add(pending(0, tag=tag))
    with pytest.raises(ZeroDivisionError):
        delivery.deliver()
    assert dead_letters.reasons == {}


def test_where_no_loop_catches_an_error_of_the_consumer_it_is_logged(channel, delivery, caplog):
    channel.connection._deliver = fail
    delivery.add(pending(0))
    with caplog.at_level(logging.ERROR):
        delivery.deliver_guarded()
    assert "a consumer failed on a message" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_a_lost_connection_is_raised_to_the_loop(channel, delivery):
    def consume(payload, queue):
        raise ConnectionError("lost")

    channel.connection._deliver = consume
    delivery.add(pending(0, tag="t0"))
    with pytest.raises(ConnectionError):
        delivery.deliver_guarded()


def test_a_consumer_knows_that_it_is_called_by_a_delivery(channel, delivery):
    inside = []
    channel.connection._deliver = lambda *_: inside.append(delivery.is_in_this_thread)
    delivery.add(pending(0))
    delivery.deliver()
    assert (inside, delivery.is_in_this_thread) == ([True], False)


def test_messages_that_were_never_delivered_go_back_from_the_last_one(channel, delivery):
    for number in range(3):
        delivery.add(pending(number, tag=f"t{number}"))
    delivery.requeue_all()
    assert (channel.qos.restored, len(delivery)) == (["t2", "t1", "t0"], 0)
