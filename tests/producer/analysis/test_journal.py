"""Who took a job last, and what nodes held at a fault, by what a server wrote down."""

from __future__ import annotations

import json

import pytest

from producer.analysis.journal import MARK, held_at_marks, last_takers, read_journal


def written(*words: str | bytes) -> bytes:
    """Return a command as a server writes it down."""
    encoded = [word if isinstance(word, bytes) else word.encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


def message(job: str) -> str:
    return json.dumps({"headers": {"id": job, "task": "drill.wait"}, "body": "x\r\n*3"})


SENT = written("LPUSH", "poolrace", message("job-1"))
MULTI, EXEC = written("MULTI"), written("EXEC")
ATOMIC_TAKES = (
    MULTI
    + written("RPOP", "poolrace")
    + written("HSET", "unacked", "tag", json.dumps([message("job-1"), "", ""]))
    + written("ZADD", "unacked_index", "1.0", "tag")
    + EXEC
)
STOCK_TAKES = written("RPOP", "poolrace")
STOCK_NOTES = (
    MULTI + written("ZADD", "unacked_index", "1", "t") + written("HSET", "unacked", "t", message("job-1")) + EXEC
)


@pytest.mark.parametrize(
    ("journal", "taker"),
    [
        (SENT + ATOMIC_TAKES, "atomic"),
        (SENT + STOCK_TAKES, "stock"),
        (SENT + STOCK_TAKES + STOCK_NOTES, "stock"),
        (SENT + ATOMIC_TAKES + SENT + STOCK_TAKES, "stock"),
        (SENT + STOCK_TAKES + STOCK_NOTES + SENT + ATOMIC_TAKES + written("HDEL", "unacked", "tag"), "atomic"),
        (b"#TS:1700000000\r\n" + SENT + ATOMIC_TAKES, "atomic"),
    ],
)
def test_a_job_was_taken_last_by_who_popped_it_last(journal: bytes, taker: str) -> None:
    assert last_takers(read_journal(journal), {"job-1"}) == {"job-1": taker}


def test_a_job_that_nobody_sent_was_taken_by_nobody() -> None:
    assert last_takers(read_journal(SENT), {"job-10"}) == {"job-10": ""}


@pytest.mark.parametrize("cut", [1, 10, 40, len(SENT) - 3])
def test_the_end_of_a_journal_may_be_cut_off(cut: int) -> None:
    assert [len(step) for step in read_journal(SENT + SENT[:cut])] == [1]


def taken(tag: str, job: str) -> bytes:
    """Return the step in which the atomic transport takes a job."""
    return (
        MULTI + written("RPOP", "poolrace") + written("HSET", "unacked", tag, json.dumps([message(job), "", ""])) + EXEC
    )


def acknowledged(tag: str) -> bytes:
    return written("HDEL", "unacked", tag)


def mark(number: int) -> bytes:
    return written("SET", MARK, str(number))


@pytest.mark.parametrize(
    ("journal", "held"),
    [
        (taken("a", "job-1") + mark(0) + acknowledged("a"), {0: {"job-1"}}),
        (taken("a", "job-1") + acknowledged("a") + mark(0), {0: set()}),
        # Taken and acknowledged between two looks.
        (mark(0) + taken("a", "job-1") + acknowledged("a") + mark(0), {0: {"job-1"}}),
        # Not between two marks of one fault, but between one fault and the next.
        (mark(0) + taken("a", "job-1") + acknowledged("a") + mark(1), {0: set(), 1: set()}),
        (mark(0) + taken("a", "job-1") + mark(1) + mark(1), {0: set(), 1: {"job-1"}}),
        # A look at a fault that ends as the next one strikes.
        (mark(0) + mark(1) + taken("a", "job-1") + acknowledged("a") + mark(0) + mark(1), {0: set(), 1: {"job-1"}}),
        (taken("a", "job-1") + taken("b", "job-2") + written("HDEL", "unacked", "a", "b") + mark(0), {0: set()}),
        (written("SELECT", "0") + written("FLUSHALL") + mark(0), {0: set()}),
        (SENT + written("HSET", "another", "a", message("job-1")) + mark(0), {0: set()}),
    ],
)
def test_at_a_fault_nodes_hold_what_was_delivered_and_not_acknowledged(
    journal: bytes, held: dict[int, set[str]]
) -> None:
    assert held_at_marks(read_journal(journal)) == held


def test_several_jobs_may_be_taken_by_one_command() -> None:
    both = [word for job in ("job-1", "job-2") for word in (f"tag of {job}", message(job))]
    assert held_at_marks(read_journal(written("HSET", "unacked", *both) + mark(3))) == {3: {"job-1", "job-2"}}
