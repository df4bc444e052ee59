"""No acknowledgement is lost or sent twice, from however many threads they come."""

import threading
import time

import pytest

from poolrace.transport.ack_buffer import MAX_ACKS, AckBuffer


class Server:
    """Notes what was sent to it, and on how many connections at once; is away if a test wants that."""

    def __init__(self):
        self.commands = []
        self.is_away = False
        self.takes_s = 0.0
        self.connections = self.most_connections = 0

    def send(self, tags):
        if self.is_away:
            raise ConnectionError("away")
        self.connections += 1
        self.most_connections = max(self.most_connections, self.connections)
        time.sleep(self.takes_s)
        self.commands.append(list(tags))
        self.connections -= 1


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def buffer(server):
    return AckBuffer(server.send)


def test_acknowledgements_are_sent_in_their_order_and_once(server, buffer):
    for tag in ("a", "b", "c"):
        buffer.add(tag)
    buffer.flush()
    buffer.flush()
    assert server.commands == [["a", "b", "c"]]


def test_an_empty_buffer_sends_nothing(server, buffer):
    assert not buffer
    buffer.flush()
    assert server.commands == []


def test_a_command_is_not_too_long_for_the_server(server, buffer):
    for number in range(MAX_ACKS + 1):
        buffer.add(str(number))
    buffer.flush()
    assert [len(tags) for tags in server.commands] == [MAX_ACKS, 1]


def test_what_is_taken_is_sent_by_its_taker_or_put_back(server, buffer):
    buffer.add("a")
    taken = buffer.take()
    buffer.flush()
    assert (taken, server.commands) == (["a"], [])
    buffer.put_back(taken)
    buffer.flush()
    assert server.commands == [["a"]]


def test_acknowledgements_that_could_not_be_sent_are_kept(server, buffer):
    server.is_away = True
    buffer.add("a")
    with pytest.raises(ConnectionError):
        buffer.flush()
    assert len(buffer) == 1
    server.is_away = False
    buffer.add("b")
    buffer.flush()
    assert sorted(server.commands[0]) == ["a", "b"]


def test_threads_that_flush_at_once_need_one_connection_and_send_each_acknowledgement_once(server, buffer):
    server.takes_s = 0.001

    def acknowledge(slot):
        for number in range(50):
            buffer.add(f"{slot}-{number}")
            buffer.flush()

    threads = [threading.Thread(target=acknowledge, args=(slot,)) for slot in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sent = [tag for tags in server.commands for tag in tags]
    assert sorted(sent) == sorted(f"{slot}-{number}" for slot in range(4) for number in range(50))
    assert server.most_connections == 1
