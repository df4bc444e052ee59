"""Results go out in order and in steps, by a thread that ends when there is nothing to do."""

import gc
import threading
import weakref

import pytest

from poolrace.results import gatherer
from poolrace.results.gatherer import ResultGatherer
from poolrace.results.storing import Result


class App:
    """What a gatherer holds of an app: nothing, for longer than it needs it."""


class Backend:
    """A backend that can be made again, as Celery makes one for a URL."""

    made = 0

    def __init__(self, app, url="redis://one"):
        self.app, self.url = app, url
        type(self).made += 1
        self.client = self.connection_pool = self

    def disconnect(self):
        """Close nothing."""


def result(number, size=1):
    return Result(f"job-{number}", f"key-{number}", b"x" * size, "SUCCESS", 60)


class Server:
    """Keeps what is stored, takes its time if it is told to, and refuses what it is told to."""

    def __init__(self):
        self.got = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.asked = threading.Event()
        self.is_gone = False

    def store(self, _backend, results):
        self.asked.set()
        assert self.may_go.wait(30)
        if self.is_gone:
            raise ConnectionError("gone")
        self.got.append([each.task_id for each in results])
        return {}

    @property
    def all(self):
        return [task_id for step in self.got for task_id in step]


@pytest.fixture
def server(monkeypatch):
    made = Server()
    monkeypatch.setattr(gatherer, "store", made.store)
    return made


@pytest.fixture
def patient(monkeypatch):
    """No step is ever old enough."""
    monkeypatch.setattr(gatherer, "LINGER_S", 30.0)


@pytest.fixture
def app():
    return App()


@pytest.fixture
def results(app, server, monkeypatch):
    monkeypatch.setattr(gatherer, "IDLE_S", 0.05)
    made = ResultGatherer(Backend(app))
    yield made
    made.flush()
    if made._thread:
        made._thread.join(30)


def test_what_is_added_at_once_goes_out_together_when_somebody_asks(results, server, patient):
    for number in range(5):
        results.add(result(number))
    assert server.got == []
    results.flush()
    assert server.got == [[f"job-{number}" for number in range(5)]]


def test_nobody_has_to_ask(results, server):
    results.add(result(1))
    assert server.asked.wait(30)
    results.flush()
    assert server.all == ["job-1"]


@pytest.mark.parametrize(("count", "size"), [(gatherer.STEP_RESULTS, 1), (2, gatherer.STEP_BYTES // 2)])
def test_a_step_that_is_full_goes_out_at_once(results, server, patient, count, size):
    for number in range(count):
        results.add(result(number, size))
    assert server.asked.wait(30)
    results.flush()
    assert server.got == [[f"job-{number}" for number in range(count)]]


def test_what_waits_for_a_slow_server_goes_out_in_steps_and_in_order(results, server, monkeypatch):
    monkeypatch.setattr(gatherer, "STEP_RESULTS", 3)
    server.may_go.clear()
    results.add(result(0))
    assert server.asked.wait(30)
    for number in range(1, 8):
        results.add(result(number))
    server.may_go.set()
    results.flush()
    assert server.all == [f"job-{number}" for number in range(8)]
    assert max(map(len, server.got)) == 3


@pytest.mark.parametrize(("most", "size"), [("MOST_RESULTS", 1), ("MOST_BYTES", 3)])
def test_who_would_add_too_many_waits(results, server, monkeypatch, most, size):
    monkeypatch.setattr(gatherer, most, 3)
    server.may_go.clear()
    results.add(result(0, size))
    assert server.asked.wait(30)

    def add():
        for number in range(1, 5):
            results.add(result(number, size))

    adding = threading.Thread(target=add)
    adding.start()
    adding.join(0.1)
    assert adding.is_alive()
    server.may_go.set()
    adding.join(30)
    results.flush()
    assert server.all == [f"job-{number}" for number in range(5)]


def test_those_of_each_thread_stay_in_order(results, server):
    def add(name):
        for number in range(300):
            results.add(result(f"{name}{number}"))

    threads = [threading.Thread(target=add, args=[name]) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    results.flush()
    for name in "abc":
        assert [each for each in server.all if each.startswith(f"job-{name}")] == [f"job-{name}{n}" for n in range(300)]


def test_what_could_not_be_stored_is_in_the_log_and_what_comes_after_is_stored(results, server, caplog):
    server.is_gone = True
    results.add(result(1))
    results.add(result(2))
    results.flush()
    assert "could not be stored (gone)" in caplog.text
    assert {"job-1", "job-2"} <= set(caplog.text.replace(",", "").split())
    server.is_gone = False
    results.add(result(3))
    results.flush()
    assert server.all == ["job-3"]


def test_the_thread_ends_without_work_and_another_one_begins_with_a_connection_of_its_own(results, server):
    before = Backend.made
    results.add(result(1))
    results.flush()
    results._thread and results._thread.join(30)
    assert results._thread is None
    results.add(result(2))
    results.flush()
    assert server.all == ["job-1", "job-2"]
    assert Backend.made == before + 2


def test_a_thread_that_could_not_be_started_is_started_for_who_waits(results, server, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    start = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="start new thread"):
        results.add(result(1))
    monkeypatch.setattr(threading.Thread, "start", start)
    results.flush()
    assert server.all == ["job-1"]


def test_an_app_that_nobody_needs_is_forgotten(server, monkeypatch):
    monkeypatch.setattr(gatherer, "IDLE_S", 0.01)
    app = App()
    results, seen = ResultGatherer(Backend(app)), weakref.ref(app)
    results.add(result(1))
    results.flush()
    results._thread and results._thread.join(30)
    del app
    gc.collect()
    assert seen() is None


def test_a_child_begins_anew(app, server, patient):
    results = ResultGatherer(Backend(app))
    results._waiting.append(result("of the parent"))
    results._added = 1
    results.after_fork()
    results.add(result("of the child"))
    results.flush()
    assert server.got == [["job-of the child"]]
