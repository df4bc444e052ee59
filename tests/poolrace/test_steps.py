"""What is gathered goes out in order, whoever sends it: who adds to a step, a thread, or who waits for it."""

import threading

import pytest

from poolrace import steps
from poolrace.steps import Steps


class Sink:
    """A server that keeps what it gets, and may take its time."""

    def __init__(self):
        self.got = []
        self.senders = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.entered = threading.Event()

    def __call__(self, step):
        self.entered.set()
        assert self.may_go.wait(30)
        self.got.append(list(step.items))
        self.senders.append(threading.current_thread().name)
        step.is_settled.set()

    @property
    def all(self):
        return [item for items in self.got for item in items]


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def patient(monkeypatch):
    """Nothing is ever old enough to be sent."""
    monkeypatch.setattr(steps, "LINGER_S", 1000.0)


def test_who_waits_for_a_step_sends_it_with_what_others_added_before(sink, patient):
    gathering = Steps(sink, "a thread")
    gathering.gather("a", 1, watched=True)
    gathering.wait(gathering.gather("b", 1, watched=False))
    assert (sink.got, sink.senders) == ([["a", "b"]], [threading.current_thread().name])


def test_what_nobody_waits_for_is_sent_by_the_thread(sink):
    gathering = Steps(sink, "a thread")
    step = gathering.gather("a", 1, watched=True)
    assert step.is_settled.wait(30)
    assert (sink.got, sink.senders) == ([["a"]], ["a thread"])


def test_what_somebody_waits_for_is_left_to_him(sink, monkeypatch):
    monkeypatch.setattr(steps, "LINGER_S", 0.0)
    gathering = Steps(sink, "a thread")
    assert gathering.gather("a", 1, watched=True).is_settled.wait(30)
    step = gathering.gather("b", 1, watched=False)
    assert not step.is_settled.wait(0.05)
    gathering.wait(step)
    assert sink.senders == ["a thread", threading.current_thread().name]


def test_the_thread_takes_a_step_that_somebody_waits_for_if_more_was_added_to_it(sink):
    gathering = Steps(sink, "a thread")
    gathering.gather("a", 1, watched=False)
    assert gathering.gather("b", 1, watched=True).is_settled.wait(30)
    assert sink.got == [["a", "b"]]


@pytest.mark.parametrize(("items", "size"), [(steps.STEP_ITEMS, 1), (2, steps.STEP_SIZE // 2)])
def test_a_step_that_is_full_is_sent_by_who_filled_it(sink, patient, items, size):
    gathering = Steps(sink, "a thread")
    for number in range(items):
        assert sink.got == []
        gathering.hurry(gathering.gather(number, size, watched=True))
    assert sink.got == [list(range(items))]


def test_behind_a_step_that_is_under_way_the_next_one_grows(sink, monkeypatch):
    monkeypatch.setattr(steps, "LINGER_S", 0.0)
    sink.may_go.clear()
    gathering = Steps(sink, "a thread")
    gathering.gather(0, 1, watched=True)
    assert sink.entered.wait(30)
    for number in range(1, 1000):
        gathering.hurry(gathering.gather(number, 1, watched=True))  # which does not wait
    sink.may_go.set()
    gathering.send_open(wait=True)
    assert sink.all == list(range(1000))
    assert len(sink.got) == 2


def test_who_adds_to_too_many_waits(sink, monkeypatch):
    monkeypatch.setattr(steps, "LINGER_S", 0.0)
    monkeypatch.setattr(steps, "MOST_ITEMS", 3)
    sink.may_go.clear()
    gathering = Steps(sink, "a thread")
    gathering.gather(0, 1, watched=True)
    assert sink.entered.wait(30)

    def add():
        for number in range(1, 4):
            gathering.hurry(gathering.gather(number, 1, watched=True))

    adding = threading.Thread(target=add)
    adding.start()
    adding.join(0.1)
    assert adding.is_alive()
    sink.may_go.set()
    adding.join(30)
    assert sink.all == [0, 1, 2, 3]


def test_the_items_of_each_thread_stay_in_order(sink):
    gathering = Steps(sink, "a thread")

    def add(name):
        for number in range(300):
            step = gathering.gather((name, number), 1, watched=name != "c")
            (gathering.wait if name == "c" else gathering.hurry)(step)

    threads = [threading.Thread(target=add, args=[name]) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    gathering.send_open(wait=True)
    for name in "abc":
        assert [number for whose, number in sink.all if whose == name] == list(range(300))


def test_a_child_begins_anew(sink, patient):
    gathering = Steps(sink, "a thread")
    gathering.gather("of the parent", 1, watched=False)  # so no thread, which a fork leaves behind, either
    gathering.after_fork()
    gathering.wait(gathering.gather("of the child", 1, watched=False))
    assert sink.got == [["of the child"]]
