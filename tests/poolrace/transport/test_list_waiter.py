"""A waiter asks once, leaves the message in its list, and knows when its answer is overdue."""

import pytest

from poolrace.transport import list_waiter
from poolrace.transport.list_waiter import ListWaiter


class Connection:
    """Notes commands, and answers with what a test gives it."""

    def __init__(self):
        self.commands = []
        self.answer = None
        self.is_open = True

    def send_command(self, *words):
        self.commands.append(words)

    def read_response(self):
        return self.answer

    def disconnect(self):
        self.is_open = False


@pytest.fixture
def connection():
    return Connection()


@pytest.fixture
def waiter(connection, clock, monkeypatch):
    monkeypatch.setattr(list_waiter, "monotonic", clock)
    return ListWaiter("mail", connection)


def test_a_wait_moves_the_message_to_the_place_where_it_is(waiter, connection):
    waiter.start(3.0)
    assert connection.commands == [("BLMOVE", "mail", "mail", "RIGHT", "RIGHT", 3.0)]


@pytest.mark.parametrize(("answer", "found"), [(b"{}", True), (None, False)])
def test_the_end_of_a_wait_says_whether_there_is_a_message(waiter, connection, answer, found):
    waiter.start(3.0)
    connection.answer = answer
    assert waiter.finish() is found
    assert waiter.sent_at is None


def test_a_wait_is_overdue_after_its_length_and_the_grace(waiter, clock):
    assert not waiter.is_overdue(1.0)
    waiter.start(3.0)
    clock.now_s += 4
    assert not waiter.is_overdue(1.0)
    clock.now_s += 0.5
    assert waiter.is_overdue(1.0)


def test_a_closed_waiter_waits_for_nothing(waiter, connection, clock):
    waiter.start(3.0)
    waiter.close()
    clock.now_s += 60
    assert (waiter.is_overdue(1.0), connection.is_open) == (False, False)
