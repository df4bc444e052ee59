"""Results in steps, on a real server: each is as Celery would have stored it, and none is lost that may not be."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count

import pytest
import redis
from celery import Celery, chord, group, states
from celery._state import _task_stack
from integration.commands import until
from integration.conftest import ROOT, SLOTS, Run
from integration.servers import OLDER, REQUIRED, Server

from poolrace import results
from poolrace.results import backend as backend_module
from poolrace.results import gatherer
from poolrace.results.script import SHA

DATABASE = 12
NUMBERS = count()
SOME = 200
CELERYS_OWN = pytest.mark.filterwarnings("ignore:Call to deprecated setex")
"""Of tests in which Celery's own backend stores something in this process."""


def nothing():
    """What no test runs here."""


class Shop:
    """An app whose results are stored in steps in a database of its own, and what is there."""

    def __init__(self, url, **conf):
        self.app = Celery("shop", broker=url, backend=url, set_as_current=False)
        self.app.conf.update(conf)
        self.client = redis.Redis.from_url(url)
        self.early = self.app.task(name="shop.early", shared=False)(nothing)
        self.late = self.app.task(name="shop.late", shared=False, acks_late=True)(nothing)

    @contextmanager
    def job(self, task, task_id, **request):
        """Be in a slot that runs a job."""
        task.push_request(id=task_id, task=task.name, **request)
        _task_stack.push(task)
        try:
            yield task.request
        finally:
            _task_stack.pop()
            task.pop_request()

    def store(self, task_id, result=None, state=states.SUCCESS, task=None, **request):
        """Store the result of a job from its slot."""
        with self.job(task or self.early, task_id, **request) as found:
            self.app.backend.store_result(task_id, result, state, request=found)

    def stored(self, task_id):
        text = self.client.get(f"celery-task-meta-{task_id}")
        return text and json.loads(text)

    def close_backend(self):
        """Close that of this thread, which Celery leaves to the garbage collector."""
        self.app.backend.result_consumer.stop()
        self.app.backend.client.connection_pool.disconnect()

    def __enter__(self):
        self.client.flushdb()
        results.install()
        return self

    def __exit__(self, *_):
        backend_module.flush_all()
        self.close_backend()
        results.uninstall()
        self.app.close()
        self.client.close()


def asked(client):
    """How often a server was asked what, by command."""
    return Counter({name.removeprefix("cmdstat_"): each["calls"] for name, each in client.info("commandstats").items()})


@contextmanager
def steps_seen(client):
    """Collect the steps of results that a server is asked to store meanwhile; kombu's locks are scripts, too."""
    steps, began = [], threading.Event()

    def follow():
        with client.monitor() as monitor:
            began.set()
            for each in monitor.listen():
                if each["command"].startswith(f"EVALSHA {SHA}"):
                    steps.append(each["command"])
                elif each["command"] == f"ECHO {SHA}":
                    return

    with ThreadPoolExecutor(1) as beside:
        following = beside.submit(follow)
        until(lambda: began.is_set() or following.done())
        try:
            yield steps
        finally:
            client.echo(SHA)
    following.result()


@pytest.fixture
def url(site):
    return site.broker.url.replace("/0", f"/{DATABASE}")


@pytest.fixture
def shop(url):
    with Shop(url) as made:
        yield made


@pytest.fixture
def server_with(site):
    """Starts a server of its own with some lines of configuration."""
    with ExitStack() as ending:

        def start(config):
            server = Server(site.processes, config)
            ending.callback(server.client.close)
            return server

        yield start


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """The thread of a gatherer ends, and closes its connection, as soon as it has nothing to do."""
    monkeypatch.setattr(gatherer, "IDLE_S", 0.05)
    monkeypatch.delattr(backend_module._slot, "stored_s", raising=False)


@pytest.fixture
def patient(monkeypatch):
    """No step is old enough to be stored, and each job follows another closely."""
    monkeypatch.setattr(gatherer, "LINGER_S", 30.0)
    monkeypatch.setattr(backend_module, "CLOSE_S", 1e9)


@CELERYS_OWN
def test_a_result_is_as_celery_stores_it(url):
    def stored(installed):
        with Shop(url) as shop:
            if not installed:
                results.uninstall()
            shop.store("one", {"sum": 3})
            return shop.stored("one"), shop.client.ttl("celery-task-meta-one")

    (ours, our_ttl), (celerys, celerys_ttl) = stored(True), stored(False)
    assert ours.pop("date_done")
    assert celerys.pop("date_done")
    assert ours == celerys
    assert our_ttl == pytest.approx(celerys_ttl, abs=5) == pytest.approx(86_400, abs=5)


def test_a_result_that_is_kept_for_ever_is(url):
    with Shop(url, result_expires=None) as shop:
        shop.store("one")
        assert shop.client.ttl("celery-task-meta-one") == -1


def test_a_job_that_comes_alone_has_its_result_when_it_ends(shop, monkeypatch):
    monkeypatch.setattr(backend_module, "CLOSE_S", 0.0)
    for number in range(3):
        shop.store(f"job-{number}", number)
        assert shop.stored(f"job-{number}")["result"] == number


def test_what_follows_closely_is_gathered_and_stored_in_order(shop, patient):
    before = asked(shop.client)
    for number in range(5):
        shop.store(f"job-{number}", number)
    assert shop.stored("job-4") is None
    backend_module.flush_all()
    assert [shop.stored(f"job-{number}")["result"] for number in range(5)] == [0, 1, 2, 3, 4]
    since = asked(shop.client) - before
    assert since["evalsha"] <= 2
    assert since["multi"] == 0


def test_without_anybody_asking_it_is_stored(shop, monkeypatch):
    monkeypatch.setattr(backend_module, "CLOSE_S", 1e9)
    for number in range(3):
        shop.store(f"job-{number}", number)
    until(lambda: shop.stored("job-2"))


class TestNotGathered:
    """What may not be lost with the process, or is looked at at once, is stored when the call returns."""

    @pytest.fixture(autouse=True)
    def closely(self, request, shop):
        request.getfixturevalue("patient")
        shop.store("first")
        shop.store("gathered")
        assert shop.stored("gathered") is None

    @pytest.mark.parametrize("state", [states.STARTED, states.RETRY, "PROGRESS"])
    def test_a_state_that_is_not_the_last(self, shop, state):
        shop.store("one", {"done": 0.5}, state)
        assert shop.stored("one")["status"] == state

    def test_the_end_of_a_job_that_is_acknowledged_late(self, shop):
        shop.store("one", 1, task=shop.late)
        assert shop.stored("one")["result"] == 1

    @pytest.mark.parametrize("request_is", [{"chord": {"task": "shop.late"}}, {"errbacks": [1]}, {"is_eager": True}])
    def test_what_something_depends_on(self, shop, request_is):
        shop.store("one", 1, **request_is)
        assert shop.stored("one")["result"] == 1

    def test_the_result_of_another_job_than_the_one_that_runs(self, shop):
        """As of the rest of a chain whose first job failed: its own message is acknowledged after that."""
        with shop.job(shop.early, "one") as request:
            shop.app.backend.store_result("two", ValueError("one failed"), states.FAILURE, request=request)
        assert shop.stored("two")["status"] == states.FAILURE

    def test_what_no_job_stores(self, shop):
        shop.app.backend.store_result("one", 1, states.SUCCESS)
        assert shop.stored("one")["result"] == 1


def test_who_looks_at_a_result_of_his_own_process_finds_it(shop, patient):
    shop.store("first")
    shop.store("one", 1)
    assert shop.app.AsyncResult("one").result == 1
    shop.store("two", 2)
    shop.app.AsyncResult("two").forget()
    backend_module.flush_all()
    assert shop.stored("two") is None


def test_each_backend_of_an_app_has_its_own_server(shop, server_with, patient):
    other = server_with("")
    shop.app.backend  # noqa: B018 # the first, which another one may not be taken for
    second = type(shop.app.backend)(app=shop.app, url=other.url)
    shop.store("first")
    shop.store("one", 1)
    with shop.job(shop.early, "two") as request:
        second.store_result("two", 2, states.SUCCESS, request=request)
    backend_module.flush_all()
    second.client.connection_pool.disconnect()
    assert (shop.stored("one")["result"], shop.stored("two")) == (1, None)
    assert json.loads(other.client.get("celery-task-meta-two"))["result"] == 2


def test_a_success_stays_one(shop):
    shop.store("one", 1, task=shop.late)
    shop.store("one", ValueError("run again, and failed"), states.FAILURE, task=shop.late)
    assert (shop.stored("one")["status"], shop.stored("one")["result"]) == (states.SUCCESS, 1)
    shop.store("two", None, states.STARTED)
    shop.store("two", ValueError("no"), states.FAILURE, task=shop.late)
    shop.store("two", 2, task=shop.late)
    assert shop.stored("two")["result"] == 2


@CELERYS_OWN
@pytest.mark.parametrize("before", [states.SUCCESS, states.STARTED])
def test_what_only_celery_can_read_celery_decides(url, before):
    """As of nodes that compress results, while that is rolled out."""
    with Shop(url, result_compression="zlib") as other:
        other.app.backend.store_result("one", 1, before)
        kept = other.client.dump("celery-task-meta-one")
    with Shop(url) as shop:
        shop.client.restore("celery-task-meta-one", 0, kept)
        shop.store("one", 2, task=shop.late)
        assert shop.client.get("celery-task-meta-one").startswith(b"{") is (before == states.STARTED)


def test_who_waits_for_a_result_hears_of_it(shop):
    result = shop.app.AsyncResult("one")
    shop.app.backend.on_task_call(None, "one")

    def store():
        shop.store("one", 7)
        shop.close_backend()

    storing = threading.Timer(0.2, store)
    storing.start()
    try:
        assert result.get(timeout=30) == 7
    finally:
        storing.join(30)


@CELERYS_OWN
@pytest.mark.parametrize(
    "how", [{"result_serializer": "pickle", "accept_content": ["json", "pickle"]}, {"large": True}]
)
def test_what_does_not_fit_a_step_celery_stores(url, how, patient):
    value = "x" * (backend_module.LARGE + 1) if how.pop("large", False) else 1
    with Shop(url, **how) as shop:
        shop.store("before", 0)
        shop.store("one", value)
        assert shop.client.exists("celery-task-meta-one")
        assert shop.app.AsyncResult("one").result == value
        assert shop.app.AsyncResult("before").result == 0


class TestRefused:
    """A server that is full refuses every result."""

    @pytest.fixture
    def full(self, server_with):
        server = server_with("")
        with Shop(server.url) as shop:
            shop.store("before", 0)
            server.client.config_set("maxmemory", 1)
            yield shop, lambda: server.client.config_set("maxmemory", 0)

    def test_who_stores_it_himself_is_told(self, full):
        shop, make_room = full
        with pytest.raises(redis.ResponseError, match="maxmemory"):
            shop.store("one", 1, task=shop.late)
        make_room()
        shop.store("two", 2, task=shop.late)
        assert shop.stored("two")["result"] == 2

    @pytest.mark.usefixtures("patient")
    def test_of_what_was_gathered_the_log_tells_with_the_ids(self, full, caplog):
        shop, make_room = full
        shop.store("one", 1)
        shop.store("two", 2)
        backend_module.flush_all()
        assert "2 results could not be stored (OOM" in caplog.text
        assert "one, two" in caplog.text
        make_room()
        shop.store("three", 3)
        backend_module.flush_all()
        assert shop.stored("three")["result"] == 3


def test_a_server_that_comes_back_has_the_results_of_meanwhile(server_with, patient):
    server = server_with("appendonly yes\nappendfsync always")
    with Shop(server.url) as shop:
        shop.store("before", 0)
        server.kill()
        shop.store("one", 1)
        shop.store("two", 2)
        storing = threading.Thread(target=backend_module.flush_all)
        storing.start()
        server.start()
        storing.join(60)
        assert [shop.stored(name)["result"] for name in ("before", "one", "two")] == [0, 1, 2]


class OutOfTimeError(Exception):
    """What interrupts a job that takes too long."""


def test_what_interrupts_a_job_reaches_no_other_result(shop, patient, monkeypatch):
    shop.store("first")
    shop.store("one", 1)

    def interrupted(*_):
        raise OutOfTimeError

    monkeypatch.setattr(backend_module, "store", interrupted)
    with pytest.raises(OutOfTimeError):
        shop.store("two", 2, task=shop.late)
    backend_module.flush_all()
    assert shop.stored("one")["result"] == 1


@pytest.fixture
def node(site, url):
    """Starts nodes of the foreign app that store the results of their jobs in steps."""
    started = []

    def start(pool, **settings):
        results_are = {
            "result_backend": url, "imports": ["poolrace.results.installed"], "task_ignore_result": False, **settings,
        }  # fmt: skip
        started.append(site.start_node(f"results-{pool}-{next(NUMBERS)}", pool, **results_are))
        return started[-1]

    yield start
    for each in started:
        if each.child.process.poll() is None:
            site.processes.stop(each.child)


@pytest.mark.heavy
@pytest.mark.parametrize("pool", ["prefork", "threads"])
@pytest.mark.parametrize("late", [False, True])
def test_of_each_job_of_a_node_the_result_is_stored(shop, node, pool, late):
    on = node(pool, task_acks_late=late)
    with Run(on) as run, steps_seen(shop.client) as steps:
        seqs = run.send("ok", jobs=SOME)
        run.records(SOME)
        until(lambda: all(shop.stored(run.job_id(seq)) for seq in seqs))
        assert {shop.stored(run.job_id(seq))["status"] for seq in seqs} == {states.SUCCESS}
    # None has to be stored by itself; a slot asks first whether the server knows the step.
    assert 0 < len(steps) <= SOME + SLOTS


@pytest.mark.heavy
def test_results_of_jobs_that_fail_or_ask_for_another_try_are_as_celerys(shop, node):
    with Run(node("threads")) as run:
        failed, retried = run.send("boom") + run.send("retry_twice")
        run.records(4)
        until(lambda: (shop.stored(run.job_id(retried)) or {}).get("status") == states.SUCCESS)
        found = until(lambda: shop.stored(run.job_id(failed)))
        assert (found["status"], found["result"]["exc_type"]) == (states.FAILURE, "BoomError")


@pytest.mark.heavy
def test_children_that_are_replaced_leave_no_result_behind(shop, node):
    with Run(node("prefork", worker_max_tasks_per_child=5)) as run:
        seqs = run.send("ok", jobs=SOME)
        run.records(SOME)
        until(lambda: all(shop.stored(run.job_id(seq)) for seq in seqs))


@pytest.mark.heavy
def test_a_node_that_is_told_to_end_stores_all(site, shop, node):
    on = node("threads")
    with Run(on) as run:
        seqs = run.send("ok", jobs=SOME)
        run.records(SOME)
        site.processes.stop(on.child)
        assert all(shop.stored(run.job_id(seq)) for seq in seqs)


@pytest.mark.heavy
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_a_late_job_that_was_acknowledged_has_its_result_though_its_node_was_killed(site, shop, node, pool):
    # kombu's own transport may lose a job between the list and its note that it was taken
    on = node(pool, task_acks_late=True, broker_transport="poolrace.transport:Transport")
    with Run(on) as run:
        seqs = run.send("ok", jobs=2000)
        until(lambda: len(shop.client.keys("celery-task-meta-*")) > SOME)
        on.child.process.kill()
        on.child.process.wait()
        time.sleep(0.2)  # children end by themselves
        waiting = [*site.client.lrange(on.queue, 0, -1), *site.client.hvals("unacked")]
        open_jobs = {json.loads(text)["headers"]["id"] for text in map(_message, waiting)}
        done = [seq for seq in seqs if run.job_id(seq) not in open_jobs]
        assert len(done) > SOME / 2
        assert [seq for seq in done if not shop.stored(run.job_id(seq))] == []


def _message(text):
    found = json.loads(text)
    return json.dumps(found[0]) if isinstance(found, list) else text


CANVAS = """
    import sys
    from celery import Celery, chord, group
    from poolrace import results

    results.install()
    app = Celery("sums", broker=sys.argv[-1], backend=sys.argv[-1])


    @app.task(name="sums.add")
    def add(left, right):
        return left + right


    @app.task(name="sums.total")
    def total(numbers):
        return sum(numbers)
    """


@pytest.mark.heavy
@pytest.mark.parametrize("pool", ["prefork", "threads"])
def test_groups_chains_and_chords_have_their_results(site, url, shop, pool, tmp_path):
    (tmp_path / "sums.py").write_text(textwrap.dedent(CANVAS).replace("sys.argv[-1]", repr(url)))
    child = site.processes.start(
        "node of sums",
        [sys.executable, "-m", "celery", "-A", "sums", "worker", "-P", pool, "-c", "4", "--loglevel", "WARNING"],
        log=tmp_path / "log", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    app = shop.app
    add, total = (app.task(name=f"sums.{name}", shared=False, typing=False)(nothing) for name in ("add", "total"))
    try:
        assert group(add.s(each, each) for each in range(50)).apply_async().get(timeout=60) == list(range(0, 100, 2))
        for _ in range(20):
            assert chord([add.s(each, 1) for each in range(10)], total.s()).apply_async().get(timeout=60) == 55
        assert (add.s(1, 2) | add.s(3) | add.s(4)).apply_async().get(timeout=60) == 10
    finally:
        site.processes.stop(child)


OLDER_PROGRAM = """
    import celery
    from celery._state import _task_stack
    from poolrace.results.backend import flush_all

    assert celery.__version__.startswith(sys.argv[1])
    for number in range(20):
        add.push_request(id=f"job-{number}", task=add.name)
        _task_stack.push(add)
        app.backend.store_result(f"job-{number}", number, "SUCCESS", request=add.request)
        _task_stack.pop()
        add.pop_request()
    flush_all()
    stats = app.backend.client.info("commandstats")
    assert 1 <= stats["cmdstat_evalsha"]["calls"] < 20, stats
    assert "cmdstat_multi" not in stats, stats
    assert [app.AsyncResult(f"job-{number}").get(timeout=10) for number in range(20)] == list(range(20))
    """


@pytest.mark.servers
@pytest.mark.parametrize("version", list(OLDER))
def test_an_older_celery_stores_in_steps(server_with, version):
    if not OLDER[version].exists() and not REQUIRED:
        pytest.skip(f"no Celery {version} here; `make test-servers` says how to get it")
    program = textwrap.dedent(CANVAS) + textwrap.dedent(OLDER_PROGRAM)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(OLDER[version]), str(ROOT)])}
    server = server_with("")
    subprocess.run([sys.executable, "-c", program, version, server.url], check=True, timeout=60, env=environment)
