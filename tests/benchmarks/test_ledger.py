"""Every job is accounted for: ended, queued, held or lost; and a repeat belongs to the kill that caused it."""

import pytest

from benchmarks.ledger import Bounds, Ledger

LATE = Bounds(window=2, lost=0)


@pytest.fixture
def ledger():
    ledger = Ledger()
    ledger.send(6)
    return ledger


def test_what_is_nowhere_and_never_ended_is_lost(ledger):
    ledger.note(begun=[0, 1], ended=[0])
    kill = ledger.kill(held=[2, 3], places=[2, 3, 4])
    assert (kill.lost, kill.lost_unbegun) == (2, 1)  # 1 had begun, 5 had not
    assert kill.faults(LATE) == ["2 jobs lost, at most 0 may be"]
    assert kill.faults(Bounds(window=2, lost=2)) == []


def test_a_lost_job_is_lost_once(ledger):
    ledger.kill(held=[], places=range(1, 6))
    assert ledger.kill(held=[], places=range(1, 6)).lost == 0


def test_a_job_that_ends_after_it_was_taken_for_lost_is_an_error(ledger):
    ledger.kill(held=[], places=range(1, 6))
    with pytest.raises(ValueError, match="job 0 counts as lost and has ended"):
        ledger.note(begun=[0], ended=[0])


def test_a_repeat_belongs_to_the_kill_of_the_node_that_held_it(ledger):
    ledger.note(begun=[0, 1], ended=[0, 1])
    first = ledger.kill(held=[0], places=range(6))
    second = ledger.kill(held=[1], places=range(6))
    ledger.note(begun=[1, 0], ended=[])
    assert (first.repeated, second.repeated) == (1, 1)
    assert ledger.kill(held=[], places=range(6)).unexplained == 0


def test_a_job_held_before_it_began_does_not_repeat_by_beginning(ledger):
    kill = ledger.kill(held=[0], places=range(6))
    ledger.note(begun=[0], ended=[0])
    assert kill.repeated == 0


def test_a_repeat_of_what_no_dead_node_held_is_a_fault(ledger):
    ledger.note(begun=[0, 0], ended=[0])
    kill = ledger.kill(held=[], places=range(1, 6))
    assert kill.faults(LATE) == ["1 jobs begun again that no dead node held"]


def test_a_second_repeat_by_one_kill_is_a_fault(ledger):
    ledger.note(begun=[0], ended=[])
    ledger.kill(held=[0], places=range(6))
    ledger.note(begun=[0, 0], ended=[0])
    assert ledger.kill(held=[], places=range(1, 6)).unexplained == 1


def test_more_held_than_the_window_is_a_fault(ledger):
    kill = ledger.kill(held=[0, 1, 2], places=range(6))
    assert (kill.held, kill.queued) == (3, 3)
    assert kill.faults(LATE) == ["3 jobs held, the window is 2"]


def test_what_has_not_ended_in_the_end_is_told(ledger):
    ledger.note(begun=range(6), ended=range(5))
    assert ledger.finish() == ["1 jobs had not ended in the end"]
