"""An entry of the dead letters says what an operator asks, whoever wrote it."""

import json

from poolrace.transport.dead_letter_list import DeadLetter


def letter(message, **changes):
    fields = {"reason": "no body", "at": "12.5", "key": "mail", "message": message, **changes}
    return DeadLetter.read(json.dumps(fields).encode())


def test_it_tells_task_and_job_of_a_message():
    read = letter(json.dumps({"headers": {"task": "shop.pay", "id": "7"}}))
    assert (read.task, read.job, read.reason, read.at, read.key) == ("shop.pay", "7", "no body", 12.5, "mail")


def test_a_message_that_cannot_be_read_has_neither():
    for message in ("{", "[]", "{}", '{"headers": 3}'):
        assert (letter(message).task, letter(message).job) == ("", "")


def test_a_message_is_sent_again_as_it_was_published():
    assert letter("{\udcff").fresh == b"{\xff"


def test_what_was_lost_too_often_starts_anew():
    message = {"headers": {"task": "shop.pay", "x-lost": [[1.0, 2.0]]}, "body": "x"}
    assert json.loads(letter(json.dumps(message)).fresh) == {"headers": {"task": "shop.pay"}, "body": "x"}


def test_an_entry_of_somebody_else_is_its_own_message():
    endless = b'{"reason": "", "at": 1e300, "key": "", "message": ""}'
    for raw in (b"{", b"[]", b'{"reason": 1}', b"\xff", endless, b"[" * 100_000):
        read = DeadLetter.read(raw)
        assert (read.reason, read.key, read.fresh) == ("this entry cannot be read", "", raw)
