"""A request becomes the arguments of the script, and its answer messages."""

from poolrace.transport.script import (
    LEASE_S,
    MAX_BYTES,
    BrokenMessage,
    PendingMessage,
    ServerKeys,
    TakeAnswer,
    TakeRequest,
    arguments,
    read_answer,
)

KEYS = ServerKeys(unacked="unacked", index="unacked_index", dead="dead", deferred="deferred", restorer="restorer")
REQUEST = TakeRequest(
    queues=["a", "b"], lists=["a", "b", "a:3", "b:3"], noted=[True, False], in_turns=True, room=7, acks=["t1", "t2"],
    waits=["la", "ia", "wa", "lb", "ib", "wb"], held=3, untold=True, early_s=30.0, back_s=75.0,
)  # fmt: skip


def test_keys_come_first_and_acks_last():
    keys = [
        14,
        "unacked",
        "unacked_index",
        "dead",
        "deferred",
        "a",
        "b",
        "a:3",
        "b:3",
        "la",
        "ia",
        "wa",
        "lb",
        "ib",
        "wb",
    ]
    rest = ["1.5", 7, MAX_BYTES, 1, 2, "10", "me", 3, round(LEASE_S), 1, 0, 1, 30.0, 75.0, "t1", "t2"]
    assert arguments(KEYS, REQUEST, now=1.5, name="me") == keys + rest


def test_an_answer_holds_messages_that_are_taken_and_messages_that_are_set_aside():
    answer = read_answer(REQUEST, [0, b"", 1, b"tag", b"{}", -1, b"not JSON", b"{", 4, b"", b"[]"])
    assert answer == TakeAnswer(
        taken=[
            PendingMessage(queue="a", list_key="a", tag="tag", raw=b"{}"),
            PendingMessage(queue="b", list_key="b:3", tag="", raw=b"[]"),
        ],
        broken=[BrokenMessage(reason="not JSON", raw=b"{")],
    )


def test_it_says_why_there_may_be_more():
    assert read_answer(REQUEST, [1, b""]).more
    assert read_answer(REQUEST, [2, b""]).shared
    assert read_answer(REQUEST, [0, b"", -2, b"WRONGTYPE; left in its queue", b"{"]).stuck
    assert read_answer(REQUEST, [0, b"", -3, b"OOM", b""]).error == "OOM"


def test_a_consumer_that_rests_is_told_the_queues_that_it_looks_out_on():
    assert read_answer(REQUEST, [0, b"01"]).looks_out == ["b"]
    assert read_answer(REQUEST, [0, b"00"]).looks_out == []
    assert read_answer(REQUEST, [0, b""]).looks_out is None
