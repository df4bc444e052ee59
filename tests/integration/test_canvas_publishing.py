"""Groups, chords, chains and links in steps: their messages are Celery's, and a chord counts its parts."""

import itertools
import json
import os
import subprocess
import sys
import textwrap
from base64 import b64decode

import pytest
import redis
from celery import Celery, canvas, chain, chord, group
from celery import __version__ as celery_version
from celery._state import _task_stack
from integration.commands import until
from integration.conftest import APPS, ROOT
from integration.servers import OLDER, REQUIRED, Server

from poolrace import publishing
from poolrace.publishing import gatherer, installed, publisher
from poolrace.publishing.gatherer import Gatherer

DATABASE = 12
PARTS = 300
PATIENCE_S = 60


class Shop:
    """An app that sends in steps to a database of its own, with results there."""

    def __init__(self, url, **words):
        self.app = Celery("sums", broker=url, backend=url, set_as_current=False)
        self.app.conf.update(task_publish_retry_policy={"max_retries": 1}, result_expires=60)
        self.add, self.total, self.spread, self.hand_on = (
            self.app.task(name=f"sums.{name}", shared=False, typing=False)(_never)
            for name in ("add", "total", "spread", "hand_on")
        )
        self.client = redis.Redis.from_url(url)
        self.words = words

    def group_of(self, count, **options):
        return group(self.add.s(number).set(**options) for number in range(count))

    def texts(self, queue="celery"):
        return [text.decode() for text in reversed(self.client.lrange(queue, 0, -1))]

    def arrived(self):
        """The arguments of each message, in order of arrival."""
        return [json.loads(b64decode(json.loads(text)["body"]))[0] for text in self.texts()]

    def __enter__(self):
        self.client.flushdb()
        publishing.install(self.app, **self.words)
        return self

    def __exit__(self, *_):
        publishing.uninstall(self.app)
        self.app.backend.result_consumer.stop()
        self.app.backend.client.connection_pool.disconnect()
        self.app.close()
        self.client.close()


def _never(*_args):
    raise AssertionError("only nodes run it")


@pytest.fixture
def url(site):
    return site.broker.url.replace("/0", f"/{DATABASE}")


@pytest.fixture
def shop(url):
    with Shop(url) as made:
        yield made


@pytest.fixture
def steps(monkeypatch):
    """How many messages each step had that was sent."""
    sent, send = [], Gatherer._send

    def counted(self, step):
        sent.append(len(step.messages))
        send(self, step)

    monkeypatch.setattr(Gatherer, "_send", counted)
    return sent


def sent_by(shop, monkeypatch, make):
    """The messages of what is applied, without their own names, if ids are counted in place of drawn."""
    numbers = itertools.count()
    with monkeypatch.context() as patched:
        patched.setattr(canvas, "uuid", lambda: f"id-{next(numbers)}")
        make(shop).apply_async()
    if shop.app in installed._publishers:
        publishing.flush(shop.app)
    messages = [json.loads(text) for text in shop.texts()]
    for message in messages:
        del message["properties"]["delivery_tag"]
    shop.client.flushdb()
    return [json.dumps(message) for message in messages]


CANVASES = {
    "group": lambda shop: shop.group_of(3),
    "group with options": lambda shop: shop.group_of(3, priority=0, headers={"trace": "x"}, link=shop.total.s()),
    "group with errbacks": lambda shop: shop.group_of(2, link_error=[shop.total.si(1), shop.total.si(2)]),
    "chain": lambda shop: chain(shop.add.s(1), shop.add.s(2), shop.add.s(3)),
    "chain to a group": lambda shop: chain(shop.add.s(1), shop.group_of(2)),
    "group of chains": lambda shop: group(chain(shop.add.s(number), shop.add.s(1)) for number in range(2)),
    "group in a group": lambda shop: group(shop.add.s(9), shop.group_of(2)),
    "chord": lambda shop: chord(shop.group_of(3), shop.total.s()),
    "chord in a chord": lambda shop: chord([chord(shop.group_of(2), shop.total.s()), shop.add.s(1)], shop.total.s()),
    "of a family": lambda shop: shop.add.s(1).set(task_id="one", root_id="first", parent_id="before", reply_to="b"),
    "of half a family": lambda shop: shop.add.s(1).set(task_id="one", parent_id="before", shadow="b", time_limit=9),
    "by name": lambda shop: group(shop.app.signature("other.task", (number,)) for number in range(2)),
}


@pytest.mark.parametrize("make", CANVASES.values(), ids=CANVASES)
def test_the_messages_are_those_that_celery_makes(shop, monkeypatch, steps, make):
    with monkeypatch.context() as patched:
        patched.setattr(Gatherer, "flush", Gatherer.flush)
        added, add = [], Gatherer.add
        patched.setattr(Gatherer, "add", lambda self, *words, **more: (added.append(words), add(self, *words, **more)))
        gathered = sent_by(shop, monkeypatch, make)
    assert len(added) == len(gathered) > 0  # none by Celery
    publishing.uninstall(shop.app)
    assert gathered == sent_by(shop, monkeypatch, make)


def test_a_group_goes_in_a_step_with_the_result_that_celery_gives(shop, monkeypatch, steps):
    monkeypatch.setattr(gatherer, "LINGER_S", 30.0)
    result = shop.group_of(5).apply_async()
    publishing.flush(shop.app)
    assert steps == [5]
    headers = [json.loads(text)["headers"] for text in shop.texts()]
    assert [each["id"] for each in headers] == [part.id for part in result.results]
    assert {each["group"] for each in headers} == {result.id}
    assert [each["group_index"] for each in headers] == list(range(5))
    assert [each["root_id"] for each in headers] == [each["id"] for each in headers]


@pytest.mark.parametrize("options", [{}, {"confirmed": True}], ids=["gathered", "confirmed"])
def test_a_group_of_a_job_is_there_when_the_call_returns_and_waits_once(url, monkeypatch, steps, options):
    monkeypatch.setattr(gatherer, "LINGER_S", 30.0)
    with Shop(url, **options) as shop:
        job = shop.add
        job.push_request(id="second", root_id="first", children=[], called_directly=False)
        _task_stack.push(job)
        try:
            result = shop.group_of(7).apply_async()
            assert shop.arrived() == [[number] for number in range(7)]
            assert steps == [7]
            assert job.request.children == [result]
        finally:
            _task_stack.pop()
            job.pop_request()
        headers = [json.loads(text)["headers"] for text in shop.texts()]
        assert {(each["root_id"], each["parent_id"]) for each in headers} == {("first", "second")}


def test_a_confirmed_group_is_there_when_the_call_returns(url, steps):
    with Shop(url, confirmed=True) as shop:
        shop.group_of(600).apply_async()
        assert shop.arrived() == [[number] for number in range(600)]
        assert len(steps) == 3


def test_a_confirmed_group_that_is_refused_is_told_with_its_ids(site):
    server = Server(site.processes, "")
    with Shop(server.url, confirmed=True) as shop:
        shop.group_of(1, ignore_result=True).apply_async()
        server.client.config_set("maxmemory", 1)
        with pytest.raises(publishing.PublishError, match="4 messages were not accepted") as caught:
            shop.group_of(4, ignore_result=True).apply_async()
        server.client.config_set("maxmemory", 0)
        assert len(set(caught.value.task_ids)) == 4
        shop.group_of(2, ignore_result=True).apply_async()
        assert shop.arrived() == [[0], [0], [1]]


def test_of_a_group_that_fails_half_way_the_parts_before_are_sent(url, monkeypatch):
    monkeypatch.setattr(gatherer, "LINGER_S", 30.0)
    with Shop(url, confirmed=True) as shop:
        parts = [shop.add.s(1), shop.add.s(2), shop.add.s(object()), shop.add.s(4)]
        with pytest.raises(TypeError, match="not JSON serializable"):
            group(parts).apply_async()
        assert shop.arrived() == [[1], [2]]
        shop.add.apply_async((5,))
        assert shop.arrived() == [[1], [2], [5]]


def test_kinds_of_call_without_end_take_no_memory_without_end(shop, monkeypatch):
    monkeypatch.setattr(publisher, "MOST_KINDS", 4)
    for number in range(10):
        shop.add.apply_async((number,), headers={f"header-{number}": number})
    assert len(installed._publishers[shop.app]._plans) <= 4
    publishing.flush(shop.app)
    headers = [json.loads(text)["headers"] for text in shop.texts()]
    assert [headers[number][f"header-{number}"] for number in range(10)] == list(range(10))


def test_what_follows_a_job_is_sent_by_a_celery_that_tries_it_again_itself(shop, steps):
    """From 5.7 on, in a way of its own that waits for a server that is full."""
    amqp = shop.app.amqp
    if not hasattr(amqp, "_retry_publish"):
        pytest.skip("this Celery does not")
    amqp._retry_publish(shop.add.apply_async, (1,))
    assert shop.arrived() == [[1]]
    assert steps == []


def test_who_brings_a_producer_of_another_server_sends_there(shop, site):
    other = Server(site.processes, "")
    with shop.app.connection_for_write(other.url) as connection:
        producer = shop.app.amqp.Producer(connection)
        shop.group_of(2).apply_async(producer=producer)
        shop.add.apply_async((7,), producer=producer)
    assert shop.arrived() == []
    assert other.client.llen("celery") == 3


OLDER_PROGRAM = """
    import datetime, itertools, json, sys
    import celery, redis
    from celery import canvas, chain, chord, group
    from poolrace import publishing
    from poolrace.publishing.gatherer import Gatherer
    from sums import add, app, total

    assert celery.__version__.startswith(sys.argv[1])
    client = redis.Redis.from_url(app.conf.broker_url)
    now = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.timezone.utc)
    app.now = lambda: now
    steps, send = [], Gatherer._send
    Gatherer._send = lambda self, step: (steps.append(len(step.messages)), send(self, step))
    app.conf.task_ignore_result = True

    def sent():
        client.flushdb()
        numbers = itertools.count()
        canvas.uuid = lambda: f"id-{next(numbers)}"
        group(add.s(number) for number in range(3)).apply_async()
        group([add.s(1).set(expires=60, headers={"trace": {"a": 1}}), chain(add.s(2), add.s(3))]).apply_async()
        chain(add.s(1), group(add.s(2), add.s(3)), total.s()).apply_async()
        chord([add.s(1), chord([add.s(2), add.s(3)], total.s())], total.s().on_error(add.si(4))).apply_async()
        add.apply_async((1,), task_id="a", expires=now + datetime.timedelta(hours=1), link=[add.s(2), add.si(3)])
        add.apply_async((1,), task_id="b", expires=2.5, countdown=7, link_error=add.s(), priority=3, time_limit=9)
        app.send_task("other", (1,), task_id="c", headers={"more": [1]}, shadow="shown", group_id="g", group_index=4)

    def messages():
        found = []
        for key in sorted(key for key in client.keys() if client.type(key) == b"list"):
            for text in reversed(client.lrange(key, 0, -1)):
                message = json.loads(text)
                del message["properties"]["delivery_tag"]
                found.append(json.dumps(message))
        return found

    sent()
    publishing.flush(app)
    gathered = messages()
    assert sum(steps) == len(gathered) == 12, (steps, len(gathered))
    publishing.uninstall(app)
    sent()
    by_celery = messages()
    for one, other in zip(gathered, by_celery, strict=True):
        assert one == other, (one, other)
    """


@pytest.mark.servers
@pytest.mark.parametrize("version", [*OLDER, celery_version])
def test_every_celery_has_its_own_messages(shop, url, version):
    """Of groups, chords, chains, links, and of what expires, by each version that is supported."""
    older = [str(OLDER[version])] if version in OLDER else []
    if older and not OLDER[version].exists() and not REQUIRED:
        pytest.skip(f"no Celery {version} here; `make test-servers` says how to get it")
    paths = [*older, str(APPS), str(ROOT)]
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(OLDER_PROGRAM), version],
        check=True, timeout=60, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SUMS_URL": url},
    )  # fmt: skip


@pytest.mark.heavy
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_chords_count_their_parts_on_real_nodes(site, shop, url, pool):
    node = site.processes.start(
        f"node of sums on {pool}",
        [
            sys.executable, "-m", "celery", "-A", "sums", "worker", "-P", pool, "-c", "2", "--without-gossip",
            "--without-mingle", "--loglevel", "WARNING",
        ],
        log=site.folder / f"sums-{pool}.log",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (APPS, ROOT))), "SUMS_URL": url},
        cwd=site.folder,
    )  # fmt: skip
    try:
        sums = [
            chord(shop.group_of(PARTS), shop.total.s()).apply_async(),
            chord([chord(shop.group_of(9), shop.total.s()), shop.add.s(1, 2)], shop.total.s()).apply_async(),
            chain(shop.group_of(5), shop.total.s(), shop.add.s(1)).apply_async(),
        ]
        jobs = [shop.spread.apply_async((PARTS,)), shop.hand_on.apply_async((20,))]
        until(lambda: node.check() or all(each.ready() for each in [*sums, *jobs]))
        assert [each.get(timeout=PATIENCE_S) for each in sums] == [sum(range(PARTS)), sum(range(9)) + 3, 11]
        spread, handed_on = (each.get(timeout=PATIENCE_S) for each in jobs)
        assert shop.app.AsyncResult(spread).get(timeout=PATIENCE_S) == sum(range(PARTS)) + PARTS
        parts = [shop.app.AsyncResult(each).get(timeout=PATIENCE_S) for each in handed_on]
        assert parts == [*range(20), 6]
        until(lambda: not [key for key in shop.client.scan_iter() if key.endswith((b".j", b".t", b".s"))])
    finally:
        site.processes.stop(node)
