"""A request becomes the arguments of the script, and its answer messages."""

from poolrace.transport.script import (
    BrokenMessage,
    PendingMessage,
    ServerKeys,
    TakeRequest,
    arguments,
    read_answer,
)

KEYS = ServerKeys(unacked="unacked", index="unacked_index", dead="dead")
REQUEST = TakeRequest(
    queues=["a", "b"], lists=["a", "b", "a:3", "b:3"], noted=[True, False], in_turns=True, room=7, acks=["t1", "t2"]
)


def test_keys_come_first_and_acks_last():
    keys, rest = [7, "unacked", "unacked_index", "dead", "a", "b", "a:3", "b:3"], ["1.5", 7, 1, 2, "10", "t1", "t2"]
    assert arguments(KEYS, REQUEST, now=1.5) == keys + rest


def test_an_answer_holds_messages_that_are_taken_and_messages_that_are_set_aside():
    taken, broken = read_answer(REQUEST, [1, b"tag", b"{}", -1, b"not JSON", b"{", 4, b"", b"[]"])
    assert taken == [
        PendingMessage(queue="a", list_key="a", tag="tag", raw=b"{}"),
        PendingMessage(queue="b", list_key="b:3", tag="", raw=b"[]"),
    ]
    assert broken == [BrokenMessage(reason="not JSON", raw=b"{")]
