"""A message that cannot be delivered is forgotten where it was noted, and kept with the reason."""

import json
import logging

import pytest

from poolrace.transport.dead_letters import DeadLetters
from poolrace.transport.script import MAX_DEAD, PendingMessage, ServerKeys

KEYS = ServerKeys(unacked="unacked", index="unacked_index", dead="dead", deferred="deferred", restorer="restorer")


class Pipe:
    """Runs commands of a transaction at its end, as a pipeline does."""

    def __init__(self, client):
        self.client, self.commands = client, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def __getattr__(self, name):
        return lambda *words: self.commands.append((name, *words))

    def execute(self):
        self.client.commands += self.commands


class Client:
    def __init__(self):
        self.unacked, self.commands = {}, []

    def hget(self, key, tag):
        return self.unacked.get((key, tag))

    def pipeline(self):
        return Pipe(self)


@pytest.fixture
def client():
    return Client()


@pytest.fixture
def dead_letters(client):
    return DeadLetters(lambda: client, lambda: KEYS)


def kept(client):
    """Return the entry of the list, without its time, and the other commands."""
    *others, (name, key, text), trimmed = client.commands
    assert (name, key) == ("lpush", "dead")
    assert trimmed == ("ltrim", "dead", 0, MAX_DEAD - 1)
    entry = json.loads(text)
    assert float(entry.pop("at")) > 0
    return entry, others


@pytest.mark.parametrize(
    ("tag", "others"), [("t", [("zrem", "unacked_index", "t"), ("hdel", "unacked", "t")]), ("", [])]
)
def test_a_message_is_kept_with_its_list_and_forgotten_where_it_was_noted(client, dead_letters, caplog, tag, others):
    message = PendingMessage(queue="mail", list_key="mail:3", tag=tag, raw=b"{\xff")
    with caplog.at_level(logging.ERROR):
        dead_letters.add(message, ValueError("not JSON"))
    reason = "ValueError: not JSON"
    assert kept(client) == ({"reason": reason, "key": "mail:3", "message": "{\udcff"}, others)
    assert f"message set aside: {reason}" in caplog.text


def test_a_noted_message_is_kept_as_it_was_published(client, dead_letters):
    client.unacked["unacked", "t"] = b'[{"body": "x"}, "post", "mail"]'
    dead_letters.add_noted("t", LookupError("no queue is bound"))
    entry, _ = kept(client)
    assert entry == {"reason": "LookupError: no queue is bound", "key": "", "message": '{"body": "x"}'}


def test_a_noted_message_that_cannot_be_read_is_kept_as_it_was_noted(client, dead_letters):
    client.unacked["unacked", "t"] = b"not JSON"
    dead_letters.add_noted("t", ValueError("not JSON"))
    assert kept(client)[0]["message"] == "not JSON"


def test_a_message_that_somebody_else_has_put_back_meanwhile_is_left_alone(client, dead_letters):
    dead_letters.add_noted("t", ValueError("not JSON"))
    assert client.commands == []
