"""Rows of children reach the main process even if a child dies, and no child ever waits for it."""

import errno
import os
import signal

import pytest

from poolrace import row_pipe
from poolrace.contract import JobRecord, pack_row, unpack_rows
from poolrace.row_pipe import RowPipe

# Forking a process that has threads is what this module is about; newer Pythons warn of it.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def row(seq):
    return pack_row(JobRecord(run_id="00" * 8, trial=0, seq=seq, due_at=1.0, sent_at=1.0, received_at=1.0))


def seqs(rows):
    return [record.seq for record in unpack_rows(rows)]


def in_child(work):
    """Run something in a forked child, and return how the child ended."""
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


def test_rows_that_were_read_are_not_read_again(pipe):
    pipe.write(row(1))
    assert seqs(pipe.read()) == [1]
    assert pipe.read() == b""


def test_a_full_pipe_does_not_hold_up_the_slot_and_loses_nothing(pipe):
    """If it waited, this test would never end: nobody reads."""
    wrote = 1
    while pipe.write(row(wrote - 1)):
        wrote += 1
    assert not pipe.write(row(wrote))
    first = seqs(pipe.read())
    pipe.write(row(wrote + 1))
    assert [*first, *seqs(pipe.read())] == list(range(wrote + 2))


def test_the_pipe_counts_the_rows_that_wait_in_it_and_knows_how_many_it_holds(pipe):
    for seq in range(3):
        pipe.write(row(seq))
    assert pipe.waiting() == 3
    while pipe.write(row(9)):
        pass
    assert pipe.capacity * 0.9 <= pipe.waiting() <= pipe.capacity
    pipe.read()
    assert pipe.waiting() == 0


def test_a_row_that_has_arrived_in_part_waits_for_its_rest(pipe):
    whole, rest = row(1) + row(2), row(3)
    os.write(pipe.writer, whole + rest[:10])
    assert seqs(pipe.read()) == [1, 2]
    os.write(pipe.writer, rest[10:50])
    assert pipe.read() == b""
    os.write(pipe.writer, rest[50:] + row(4)[:1])
    assert seqs(pipe.read()) == [3]


def test_a_system_that_grants_no_larger_pipe_is_no_reason_to_stop(monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "the user's pipes have had their share")

    monkeypatch.setattr(row_pipe.fcntl, "fcntl", refuse)
    pipe = RowPipe()
    pipe.write(row(7))
    assert seqs(pipe.read()) == [7]
    pipe.close()
