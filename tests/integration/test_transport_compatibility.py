"""What Celery promises, asked of a node on kombu's transport and of one on the atomic transport: the same of both."""

import json
import os
import signal
import sys
import time
import urllib.request
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest
import redis
from celery import chain, chord, group
from celery.exceptions import TaskRevokedError
from integration.commands import until
from integration.conftest import APPS, ROOT
from integration.servers import free_port
from kombu import Exchange

from poolrace import transport_setting
from producer.stack import flower

sys.path.insert(0, str(APPS))
import errands

pytestmark = pytest.mark.heavy

KINDS = [("threads", "stock"), ("threads", "atomic"), ("prefork", "stock"), ("prefork", "atomic")]
IDS = ["-".join(kind) for kind in KINDS]
TRANSPORTS = pytest.mark.parametrize("transport", transport_setting.TRANSPORTS)
PATIENCE_S = 30


class Shop:
    """
    A database of its own on the broker, an app that sends to it, and nodes.

    Attributes:
        client: Into the database.
        app: On kombu's transport, whatever its nodes run.
    """

    def __init__(self, site, number, **settings):
        self._site, self._settings = site, settings
        self._url = site.broker.url.replace("/0", f"/{number}")
        self.client = redis.Redis.from_url(self._url, socket_timeout=None)
        self.client.flushdb()
        self.app = errands.make_app(self._url, settings)

    @contextmanager
    def node(self, name, pool, transport, *flags, slots=1, multiplier=1):
        """A node, once it answers."""
        child = self._site.processes.start(
            f"node {name}",
            [
                sys.executable, "-m", "celery", "-A", "errands", "worker", "-P", pool, "-n", f"{name}@here",
                "-c", str(slots), "--prefetch-multiplier", str(multiplier), "-l", "WARNING", *flags,
            ],
            log=self._site.folder / f"{name}.log",
            env=self.environment(transport),
        )  # fmt: skip
        try:
            until(lambda: child.check() or self.app.control.ping([f"{name}@here"], timeout=0.25))
            yield child
        finally:
            self._site.processes.stop(child)

    def environment(self, transport):
        settings = {**self._settings, **transport_setting.setting(transport)}
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (APPS, ROOT))),
            "TMPDIR": str(self._site.folder),
            errands.SETUP: json.dumps([self._url, settings]),
        }

    def send(self, name, *args, **options):
        return self.app.send_task(f"errands.{name}", args=args, **options)

    def tasks(self, name):
        return self.app.tasks[f"errands.{name}"]

    @contextmanager
    def held(self, count=1):
        """Slots taken by jobs that run until the end of the block."""
        for _ in range(count):
            self.send("hold", "gate")
        for _ in range(count):
            assert self.client.blpop("gate.begun", PATIENCE_S)
        try:
            yield
        finally:
            self.client.rpush("gate", *range(count))

    def done(self):
        """What has been noted, in order."""
        return [json.loads(line)[0] for line in self.client.lrange(errands.DONE, 0, -1)]

    def times(self):
        return [json.loads(line)[1] for line in self.client.lrange(errands.DONE, 0, -1)]

    def scheduled(self):
        """What nodes hold until its time has come."""
        told = self.app.control.inspect(["one@here"], timeout=1).scheduled() or {}
        return [job for jobs in told.values() for job in jobs]

    @contextmanager
    def listening(self):
        """A function that takes events until a condition on the types of each job's holds."""
        types = defaultdict(list)
        with self.app.connection_for_read() as first:
            receiver = self.app.events.Receiver(first, handlers={"*": lambda event: note_type(types, event)})
            with receiver.consumer_context(wakeup=False) as (connection, _, _):
                drain(connection)  # only then is it subscribed
                yield lambda enough: until(lambda: drain(connection) or enough(types)) and types

    @contextmanager
    def flower(self):
        """Flower on this shop, and a function that asks its API."""
        port = free_port()
        child = self._site.processes.start(
            "Flower",
            [sys.executable, "-m", "celery", "-A", "errands", "flower", "--address=127.0.0.1", f"--port={port}"],
            log=self._site.folder / "flower.log",
            env=flower.with_path({**self.environment("stock"), "FLOWER_UNAUTHENTICATED_API": "true"}),
        )

        def ask(path):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{path}", timeout=10) as answer:
                    return json.load(answer)
            except OSError:
                return {}

        try:
            until(lambda: child.check() or ask("workers"))
            yield ask
        finally:
            self._site.processes.stop(child)

    def left(self):
        """Jobs that are queued or held."""
        queues = [key for key in self.client.keys("*") if key.split(b"\x06")[0] in (b"errands", b"other")]
        return sum(self.client.llen(key) for key in queues) + self.client.hlen("unacked")

    def settle(self):
        until(lambda: not self.left())


@pytest.fixture(scope="module", params=KINDS, ids=IDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def shared(site, kind):
    """A shop with one node of one slot that holds nothing beyond it."""
    shop = Shop(site, 1 + KINDS.index(kind))
    with shop.node("one", *kind):
        yield shop


@pytest.fixture
def shop(shared):
    """The same, with nothing noted and nothing left."""
    shared.client.delete(errands.DONE)
    yield shared
    shared.settle()


def test_results_errors_and_jobs_without_result(shop):
    assert shop.send("add", 2, 3).get(PATIENCE_S) == 5
    with pytest.raises(ValueError, match="as told"):
        shop.send("fail").get(PATIENCE_S)
    silent = shop.send("silent")
    shop.settle()
    assert not shop.client.exists(f"celery-task-meta-{silent.id}")


def test_chains_groups_chords_links_and_retries(shop):
    add, total, note = shop.tasks("add"), shop.tasks("total"), shop.tasks("note")
    assert chain(add.s(1, 2), add.s(4)).apply_async().get(PATIENCE_S) == 7
    assert group(add.s(n, n) for n in range(3)).apply_async().get(PATIENCE_S) == [0, 2, 4]
    assert chord([add.s(n, n) for n in range(3)], total.s()).apply_async().get(PATIENCE_S) == 6
    assert add.starmap([(1, 2), (3, 4)]).apply_async().get(PATIENCE_S) == [3, 7]
    assert shop.send("again").get(PATIENCE_S) == 2
    add.apply_async((1, 2), link=note.si("linked"))
    shop.tasks("fail").apply_async(link_error=note.si("failed"))
    until(lambda: sorted(shop.done()) == ["failed", "linked"])


def test_a_job_with_a_countdown_or_an_eta_is_held_and_begins_no_earlier(shop):
    due_at = time.time() + 3
    shop.send("note", "eta", eta=datetime.fromtimestamp(due_at, UTC))
    shop.send("note", "countdown", countdown=3)
    until(lambda: len(shop.scheduled()) == 2)
    assert shop.client.hlen("unacked") == 2
    shop.settle()
    assert sorted(shop.done()) == ["countdown", "eta"]
    assert min(shop.times()) >= due_at


def test_what_is_revoked_never_runs_whether_it_is_queued_or_scheduled(shop):
    with shop.held():
        queued = shop.send("note", "queued")
        shop.app.control.revoke(queued.id, reply=True, timeout=1)
    scheduled = shop.send("note", "scheduled", countdown=2)
    until(shop.scheduled)
    shop.app.control.revoke(scheduled.id, reply=True, timeout=1)
    shop.settle()
    assert shop.done() == []
    for result in (queued, scheduled):
        with pytest.raises(TaskRevokedError):
            result.get(PATIENCE_S)


def test_a_job_that_runs_can_be_ended_on_prefork(shop, kind):
    if kind[0] != "prefork":
        pytest.skip("threads cannot be ended")
    job = shop.send("hold", "gate")
    assert shop.client.blpop("gate.begun", PATIENCE_S)
    shop.app.control.revoke(job.id, terminate=True, signal="SIGKILL")
    with pytest.raises(TaskRevokedError):
        job.get(PATIENCE_S)
    assert shop.send("add", 1, 1).get(PATIENCE_S) == 2


def test_a_rate_limit_spaces_jobs_out(shop):
    control = shop.app.control
    control.rate_limit("errands.note", "2/s", reply=True, timeout=1)
    for number in range(3):
        shop.send("note", number)
    shop.settle()
    control.rate_limit("errands.note", 0, reply=True, timeout=1)
    first, *_, last = shop.times()
    assert last - first >= 0.9


def test_the_lower_number_of_a_priority_runs_first(shop):
    with shop.held():
        for priority in (9, 0, 6, 3):
            shop.send("note", priority, priority=priority)
    until(lambda: len(shop.done()) == 4)
    assert shop.done() == [0, 3, 6, 9]


def test_queues_take_turns(shop):
    with shop.held():
        for queue in ("errands", "other"):
            for _ in range(4):
                shop.send("note", queue, queue=queue)
    until(lambda: len(shop.done()) == 8)
    assert Counter(shop.done()[:4]) == {"errands": 2, "other": 2}


def test_a_queue_can_be_added_and_cancelled_while_jobs_flow(shop):
    control = shop.app.control
    for number in range(10):
        shop.send("note", number)
    control.add_consumer("added", reply=True, timeout=1)
    shop.send("note", "added", queue="added")
    until(lambda: "added" in shop.done())
    control.cancel_consumer("added", reply=True, timeout=1)
    shop.send("note", "stays", queue="added")
    for number in range(10, 20):
        shop.send("note", number)
    until(lambda: len(shop.done()) == 21)
    assert shop.client.llen("added") == 1
    shop.client.delete("added")


def test_what_is_held_can_be_read_as_kombu_wrote_it(shop):
    with shop.held():
        [(tag, entry)] = shop.client.hgetall("unacked").items()
    message, exchange, routing_key = json.loads(entry)
    assert message["properties"]["delivery_tag"] == tag.decode()
    assert message["headers"]["task"] == "errands.hold"
    assert (exchange, routing_key) == ("", "errands")
    assert message["properties"]["delivery_info"] == {"exchange": "", "routing_key": "errands"}


def test_inspect_tells_what_a_node_does(shop, kind):
    waiting = shop.send("add", 1, 1, countdown=4)
    until(shop.scheduled)
    with shop.held():
        inspect = shop.app.control.inspect(["one@here"], timeout=2)
        assert [job["name"] for job in inspect.active()["one@here"]] == ["errands.hold"]
        assert [job["request"]["id"] for job in inspect.scheduled()["one@here"]] == [waiting.id]
        assert {queue["name"] for queue in inspect.active_queues()["one@here"]} >= {"errands", "other"}
        assert "errands.add" in inspect.registered()["one@here"]
        stats = inspect.stats()["one@here"]
        assert stats["prefetch_count"] == 2  # one slot, and one for what is scheduled
        assert stats["broker"].get("taken_by") == ("poolrace.transport (atomic)" if kind[1] == "atomic" else None)


def test_the_pool_can_grow_and_shrink(shop, kind):
    if kind[0] != "prefork":
        pytest.skip("a pool of threads keeps its size")
    control = shop.app.control
    assert control.pool_grow(1, reply=True, timeout=2) == [{"one@here": {"ok": "pool will grow"}}]
    with shop.held(2):
        assert shop.client.hlen("unacked") == 2
    shop.settle()
    assert control.pool_shrink(1, reply=True, timeout=2) == [{"one@here": {"ok": "pool will shrink"}}]


def test_the_events_of_a_job_are_those_that_flower_lives_on(shop):
    with shop.listening() as hear:
        jobs = [shop.send("add", 1, 1).id, shop.send("fail").id, shop.send("again").id]
        types = hear(lambda types: all({"task-succeeded", "task-failed"} & set(types[job]) for job in jobs))
    run, retried = ["task-received", "task-started"], ["task-retried", "task-sent"]
    assert [Counter(types[job]) for job in jobs] == [
        Counter(["task-sent", *run, "task-succeeded"]),
        Counter(["task-sent", *run, "task-failed"]),
        Counter(["task-sent", *3 * run, *2 * retried, "task-succeeded"]),
    ]


def note_type(types, event):
    types[event.get("uuid")].append(event["type"])


def drain(connection):
    with suppress(TimeoutError):
        connection.drain_events(timeout=0.2)


def test_flower_shows_the_node_and_the_job(shop):
    with shop.flower() as ask:
        until(lambda: ask("workers?refresh=1").get("one@here", {}).get("stats"))
        job = shop.send("add", 1, 2)
        until(lambda: ask(f"task/info/{job.id}").get("state") == "SUCCESS")
        told = ask(f"task/info/{job.id}")
    assert (told["name"], told["result"], told["worker"]) == ("errands.add", "3", "one@here")


# Nodes of their own


@pytest.mark.parametrize("pool", ["threads", "prefork"])
@TRANSPORTS
def test_without_prefetch_a_node_holds_what_it_runs_and_nothing_else(site, pool, transport):
    shop = Shop(site, 5)
    with shop.node("bare", pool, transport, "--disable-prefetch", slots=2, multiplier=4):
        with shop.held(2):
            for number in range(6):
                shop.send("note", number)
            for _ in range(3):
                until(lambda: shop.app.control.ping(["bare@here"], timeout=0.5))  # it turns and takes other messages
            assert (shop.client.hlen("unacked"), shop.client.llen("errands")) == (2, 6)
        shop.settle()
        assert sorted(shop.done()) == list(range(6))


@TRANSPORTS
def test_a_pool_that_scales_itself_grows_with_its_work(site, transport):
    shop = Shop(site, 6)
    with shop.node("scaled", "prefork", transport, "--autoscale", "3,1"):
        with shop.held(3):
            assert shop.client.hlen("unacked") == 3
        shop.settle()


@TRANSPORTS
def test_a_prefix_is_before_every_key(site, transport):
    shop = Shop(site, 7, broker_transport_options={"global_keyprefix": "shop."})
    with shop.node("named", "threads", transport):
        with shop.held():
            assert shop.client.hlen("shop.unacked") == 1
        until(lambda: not shop.client.hlen("shop.unacked"))
    ours = {b"gate", b"gate.begun", errands.DONE.encode()}
    keys = {key for key in shop.client.keys("*") if not key.startswith((b"shop.", b"celery-task-meta-"))}
    assert keys <= ours


@TRANSPORTS
def test_a_broadcast_queue_reaches_every_node_once(site, transport):
    shop = Shop(site, 8)
    with shop.node("left", "threads", transport), shop.node("right", "threads", "stock"):
        everyone = Exchange("all", "fanout")
        shop.send("note", "to all", exchange="all", exchange_type="fanout", routing_key="errands", declare=[everyone])
        until(lambda: len(shop.done()) == 2)
        shop.send("note", "last")
        until(lambda: len(shop.done()) == 3)
    assert shop.done() == ["to all", "to all", "last"]


def test_nodes_of_both_share_a_queue(site):
    shop = Shop(site, 9)
    with shop.node("stock", "threads", "stock", slots=4), shop.node("atomic", "prefork", "atomic", slots=4):
        for number in range(200):
            shop.send("note", number)
        # For a moment a stock node has a job that is neither in a list nor noted.
        until(lambda: len(shop.done()) >= 200)
        shop.settle()
        assert Counter(shop.done()) == Counter(range(200))
        done = shop.app.control.inspect(timeout=1).stats()
    assert all(stats["total"]["errands.note"] for stats in done.values())
    assert len(done) == 2


@pytest.mark.parametrize(("first", "second"), [("stock", "atomic"), ("atomic", "stock")])
def test_what_a_killed_node_held_is_run_by_one_on_the_other_transport(site, first, second):
    quick = {"visibility_timeout": 1, "unacked_restore_interval": 0.1, "unacked_restore_throttle": 1}
    quick["unacked_mutex_expire"] = 2  # a node that is killed while it restores leaves kombu's lock
    shop = Shop(site, 10, broker_transport_options=quick)
    with shop.node("first", "prefork", first, slots=2, multiplier=2) as node:
        for _ in range(2):
            shop.send("hold", "never")
        assert shop.client.blpop("never.begun", PATIENCE_S)
        assert shop.client.blpop("never.begun", PATIENCE_S)
        for number in range(2):
            shop.send("note", number)
        until(lambda: shop.client.hlen("unacked") == 4)
        os.killpg(node.process.pid, signal.SIGKILL)
        node.process.wait()
    with shop.node("second", "threads", second, slots=2, multiplier=2):
        # More than wait for it: a stock node renews nothing, so on a busy machine jobs come again after a second.
        shop.client.rpush("never", *range(100))
        shop.settle()
    assert sorted(shop.done()) == [0, 1]


@pytest.mark.parametrize("pool", ["threads", "prefork"])
@TRANSPORTS
def test_a_node_that_ends_in_order_finishes_what_runs_and_puts_the_rest_back(site, pool, transport):
    shop = Shop(site, 11)
    with shop.node("ended", pool, transport, slots=1, multiplier=3) as node:
        with shop.held():
            for number in range(4):
                shop.send("note", number)
            until(lambda: shop.client.hlen("unacked") == 3)
            node.process.terminate()
            until(lambda: not shop.app.control.ping(timeout=0.5))
        node.process.wait(PATIENCE_S)
    done, waiting = shop.done(), shop.client.llen("errands")
    assert shop.client.hlen("unacked") == 0
    assert (len(done) + waiting, len(set(done))) == (4, len(done))
    assert not shop.client.exists("gate")  # the job that ran was let end
