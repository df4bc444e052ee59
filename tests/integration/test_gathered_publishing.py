"""Tasks that are sent in steps, on a real server: all arrive once and in order, or their senders are told."""

import datetime
import json
import os
import subprocess
import sys
import textwrap
import threading
from base64 import b64decode

import pytest
import redis
from celery import Celery, chain
from celery._state import _task_stack
from celery.exceptions import SoftTimeLimitExceeded
from celery.signals import before_task_publish
from integration.commands import until
from integration.conftest import ROOT
from integration.servers import OLDER, REQUIRED, Server

from poolrace import publishing
from poolrace.publishing import gatherer, installed
from poolrace.publishing.gatherer import Gatherer

DATABASE = 11


def charge(number):
    return number


class Shop:
    """An app that sends in steps to a database of its own, and what has arrived there."""

    def __init__(self, url, **words):
        self.app = Celery("shop", broker=url, set_as_current=False)
        self.app.conf.update(task_ignore_result=True, task_publish_retry_policy={"max_retries": 1})
        self.charge = self.app.task(name="shop.charge", shared=False)(charge)
        self.client = redis.Redis.from_url(url)
        self.words = words

    def send(self, *numbers, **options):
        return [self.charge.apply_async((number,), **options).id for number in numbers]

    def send_and_flush(self, number, **options):
        """Send a message and wait for its end, of which either may tell: the call itself, if it sends the step."""
        self.send(number, **options)
        publishing.flush(self.app)

    def arrived(self, queue="celery"):
        """The argument of each message, in order of arrival."""
        texts = reversed(self.client.lrange(queue, 0, -1))
        return [json.loads(b64decode(json.loads(text)["body"]))[0][0] for text in texts]

    def __enter__(self):
        self.client.flushdb()
        publishing.install(self.app, **self.words)
        return self

    def __exit__(self, *_):
        publishing.uninstall(self.app)
        self.app.close()
        self.client.close()


@pytest.fixture
def shop(site):
    with Shop(site.broker.url.replace("/0", f"/{DATABASE}")) as made:
        yield made


def test_all_arrive_in_order_and_without_anybody_asking(shop):
    shop.send(*range(1000))
    until(lambda: shop.arrived() == list(range(1000)))


def test_a_node_does_them(site):
    node = site.start_node("gathered", "threads")
    site.app.set_current()
    publishing.install(site.app)
    try:
        task = site.app.task(name="foreign.ok", typing=False, shared=False)(charge)
        results = [task.apply_async(queue=node.queue, ignore_result=True) for _ in range(20)]
        assert len({result.id for result in results}) == 20
        publishing.flush(site.app)
        until(lambda: node.child.check() or not site.client.llen(node.queue))
    finally:
        publishing.uninstall(site.app)
        site.processes.stop(node.child)


def test_what_celery_sends_itself_comes_after_what_was_sent_before(shop):
    shop.send(0)
    chain(shop.charge.si(1), shop.charge.si(2)).apply_async(retries=1)  # of which the first is sent now
    shop.send(3)
    shop.app.send_task("shop.charge", (4,), exchange="", routing_key="celery")
    shop.send(5, expires="2030-01-01T00:00:00+00:00")
    shop.send(6)
    publishing.flush(shop.app)
    assert shop.arrived() == [0, 1, 3, 4, 5, 6]


NOW = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
SAME = ("correlation_id", "delivery_tag", "id", "root_id")


def message_of(shop, send):
    """The one message that was sent, without what names it alone."""
    send()
    if shop.app in installed._publishers:
        publishing.flush(shop.app)
    (text,) = shop.client.lrange("celery", 0, -1)
    shop.client.flushdb()
    message = json.loads(text)
    for name in SAME:
        message["headers"].pop(name, None), message["properties"].pop(name, None)
    return message


@pytest.mark.parametrize("name", ["shop.charge", "shop.of_another_program"])
@pytest.mark.parametrize(
    "options",
    [{}, {"countdown": 90}, {"eta": NOW}, {"countdown": None, "ignore_result": True}, {"countdown": -1}],
    ids=str,
)
def test_by_name_and_due_later_a_step_has_the_message_that_celery_makes(shop, monkeypatch, name, options):
    monkeypatch.setattr(shop.app, "now", lambda: NOW)

    def send():
        return shop.app.send_task(name, (1,), {"currency": "EUR"}, **options)

    with monkeypatch.context() as patched:
        # By Celery it would come without a word of the gatherer.
        patched.setattr(Gatherer, "add", counted := Counted(Gatherer.add))
        gathered = message_of(shop, send)
        assert counted.times == 1
    publishing.uninstall(shop.app)
    assert gathered == message_of(shop, send)


def test_an_own_task_that_is_due_later_goes_in_a_step_too(shop, monkeypatch):
    monkeypatch.setattr(shop.app, "now", lambda: NOW)
    with monkeypatch.context() as patched:
        patched.setattr(Gatherer, "add", counted := Counted(Gatherer.add))
        gathered = message_of(shop, lambda: shop.send(1, countdown=90))
        assert counted.times == 1
    publishing.uninstall(shop.app)
    assert gathered == message_of(shop, lambda: shop.send(1, countdown=90))


class Counted:
    """A method that counts how often it is called."""

    def __init__(self, method):
        self.times, self._method = 0, method

    def __get__(self, instance, _owner):
        def call(*words, **options):
            self.times += 1
            return self._method(instance, *words, **options)

        return call


def test_queues_and_priorities_have_lists_of_their_own(shop):
    shop.send(1, queue="slow")
    shop.send(2, priority=9)
    publishing.flush(shop.app)
    assert (shop.arrived("slow"), shop.arrived("celery\x06\x169"), shop.arrived()) == ([1], [2], [])


def test_threads_that_come_and_go_need_no_connection_of_their_own_and_are_named_in_their_messages(shop):
    shop.send(0)
    publishing.flush(shop.app)
    before = shop.client.info("stats")["total_connections_received"]
    names = [shop.app.thread_oid]

    def send(number):
        names.append(shop.app.thread_oid)
        shop.send(number)

    for number in range(1, 6):
        thread = threading.Thread(target=send, args=[number])
        thread.start()
        thread.join(30)
    publishing.flush(shop.app)
    assert shop.client.info("stats")["total_connections_received"] == before
    assert shop.arrived() == list(range(6))
    texts = reversed(shop.client.lrange("celery", 0, -1))
    assert [json.loads(text)["properties"]["reply_to"] for text in texts] == names
    assert len(set(names)) > 1


def test_who_listens_to_what_is_published_hears_it(shop):
    heard = []
    before_task_publish.connect(lambda **told: heard.append(told["body"][0][0]), weak=False, dispatch_uid="heard")
    try:
        shop.send(1, 2)
    finally:
        before_task_publish.disconnect(dispatch_uid="heard")
    assert heard == shop.arrived() == [1, 2]


def test_a_step_whose_answer_is_lost_is_done_once(shop, monkeypatch):
    answer, lost = Gatherer._answer, []

    def lose_the_first(self, *words):
        answered = answer(self, *words)
        if not lost:
            lost.append(words)
            raise redis.ConnectionError("cut after it was done")
        return answered

    shop.send(0)
    publishing.flush(shop.app)
    monkeypatch.setattr(Gatherer, "_answer", lose_the_first)
    shop.send(1, 2)
    publishing.flush(shop.app)
    assert lost
    assert shop.arrived() == [0, 1, 2]


@pytest.mark.parametrize("is_done", [False, True])
def test_what_interrupts_who_happens_to_send_is_raised_there_and_costs_no_message(shop, monkeypatch, is_done):
    answer, interrupted = Gatherer._answer, []

    def interrupt_the_first(self, *words):
        if not interrupted:
            interrupted.append(words)
            if is_done:
                answer(self, *words)
            raise SoftTimeLimitExceeded
        return answer(self, *words)

    monkeypatch.setattr(gatherer, "LINGER_S", 30.0)
    shop.send(0)
    publishing.flush(shop.app)
    shop.send(1, 2)
    monkeypatch.setattr(Gatherer, "_answer", interrupt_the_first)
    with pytest.raises(SoftTimeLimitExceeded):
        publishing.flush(shop.app)
    shop.send(3)
    publishing.flush(shop.app)
    assert shop.arrived() == [0, 1, 2, 3]


def test_an_error_that_no_server_knows_of_is_told_once_and_holds_up_nothing(shop, monkeypatch):
    answer, broken = Gatherer._answer, []

    def break_the_first(self, *words):
        if not broken:
            broken.append(words)
            raise UnicodeError("not to be sent")
        return answer(self, *words)

    monkeypatch.setattr(gatherer, "LINGER_S", 30.0)
    ids = shop.send(1, 2)
    monkeypatch.setattr(Gatherer, "_answer", break_the_first)
    with pytest.raises(publishing.PublishError, match="not to be sent") as caught:
        publishing.flush(shop.app)
    assert caught.value.task_ids == tuple(ids)
    shop.send(3)
    publishing.flush(shop.app)
    assert shop.arrived() == [3]


def test_what_a_job_sends_is_there_when_the_call_returns_with_its_ancestors(shop, monkeypatch):
    monkeypatch.setattr(gatherer, "LINGER_S", 30.0)
    job = shop.charge
    job.push_request(id="second", root_id="first", children=[], called_directly=False)
    _task_stack.push(job)
    try:
        (child,) = shop.send(1)
        (text,) = shop.client.lrange("celery", 0, -1)
        assert [result.id for result in job.request.children] == [child]
    finally:
        _task_stack.pop()
        job.pop_request()
    headers = json.loads(text)["headers"]
    assert (headers["root_id"], headers["parent_id"]) == ("first", "second")


def test_none_for_an_option_says_what_it_says_to_celery(site):
    with Shop(site.broker.url.replace("/0", f"/{DATABASE}")) as shop:
        shop.charge.queue = "slow"
        shop.send(1, queue=None)  # which takes back the task's own queue
        shop.send(2, link=None, task_id=None)
        publishing.flush(shop.app)
        assert (shop.arrived(), shop.arrived("slow")) == ([1], [2])


class TestRefused:
    """A server that is full refuses every step."""

    @pytest.fixture
    def full(self, site):
        server = Server(site.processes, "")
        with Shop(server.url) as shop:
            shop.send(0)
            publishing.flush(shop.app)
            server.client.config_set("maxmemory", 1)
            yield shop, lambda: server.client.config_set("maxmemory", 0)

    def test_it_is_raised_by_flush_with_the_ids(self, full, monkeypatch):
        monkeypatch.setattr(gatherer, "LINGER_S", 30.0)
        shop, make_room = full
        ids = shop.send(1, 2)
        with pytest.raises(publishing.PublishError, match="maxmemory") as caught:
            publishing.flush(shop.app)
        assert caught.value.task_ids == tuple(ids)
        make_room()
        shop.send(3)
        publishing.flush(shop.app)
        assert shop.arrived() == [0, 3]

    def test_it_is_raised_by_a_later_call_which_then_sends_nothing(self, full, monkeypatch):
        monkeypatch.setattr(gatherer, "LINGER_S", 30.0)  # a call that takes a millisecond sends its own message
        shop, make_room = full
        (lost,) = shop.send(1)
        publishing.installed._publishers[shop.app].gatherer._send_open(wait=True)  # as the thread does
        make_room()
        with pytest.raises(publishing.PublishError) as caught:
            shop.send(2)
        assert caught.value.task_ids == (lost,)
        shop.send(3)
        publishing.flush(shop.app)
        assert shop.arrived() == [0, 3]

    def test_a_promise_tells_it_and_nothing_is_raised(self, full):
        shop, _ = full
        with publishing.promise(shop.app) as promise:
            ids = shop.send(1, 2)
        publishing.flush(shop.app)
        with pytest.raises(publishing.PublishError, match="maxmemory"):
            promise.wait(30)
        assert (promise.failed, promise.accepted) == (ids, 0)

    def test_a_list_that_is_none_fails_alone(self, full):
        shop, make_room = full
        make_room()
        shop.send(0, queue="odd")
        publishing.flush(shop.app)
        shop.client.set("odd", "no list")
        with publishing.promise(shop.app) as promise:
            shop.send(1)
            odd = shop.send(2, queue="odd")
            shop.send(3)
        with pytest.raises(publishing.PublishError, match="WRONGTYPE"):
            promise.wait(30)
        assert (promise.failed, promise.accepted, shop.arrived()) == (odd, 2, [0, 1, 3])


def test_a_server_that_is_gone_is_told_and_one_that_comes_back_is_found(site):
    server = Server(site.processes, "appendonly yes\nappendfsync always")
    with Shop(server.url) as shop:
        shop.send(0)
        publishing.flush(shop.app)
        server.kill()
        with pytest.raises(publishing.PublishError) as caught:
            shop.send_and_flush(1, task_id="lost")
        assert caught.value.task_ids == ("lost",)
        server.start()
        shop.send(2)
        publishing.flush(shop.app)
        assert shop.arrived() == [0, 2]


class TestConfirmed:
    def test_each_call_returns_with_its_message_on_the_server(self, site):
        with Shop(site.broker.url.replace("/0", f"/{DATABASE}"), confirmed=True) as shop:
            for number in range(20):
                shop.send(number)
                assert shop.arrived() == list(range(number + 1))

    def test_threads_share_steps_and_each_finds_its_own(self, site, monkeypatch):
        steps, send = [], Gatherer._send

        def slowly(self, step):
            steps.append(len(step.messages))
            under_way.wait(30)
            send(self, step)

        under_way = threading.Event()
        monkeypatch.setattr(Gatherer, "_send", slowly)
        with Shop(site.broker.url.replace("/0", f"/{DATABASE}"), confirmed=True) as shop:
            threads = [threading.Thread(target=shop.send, args=[number]) for number in range(8)]
            threads[0].start()
            until(lambda: steps)
            for thread in threads[1:]:
                thread.start()
            publisher = publishing.installed._publishers[shop.app]
            until(lambda: publisher.gatherer._open and len(publisher.gatherer._open.messages) == 7)
            under_way.set()
            for thread in threads:
                thread.join(30)
            assert (steps, sorted(shop.arrived())) == ([1, 7], list(range(8)))

    def test_who_is_refused_hears_of_the_own_message_alone(self, site):
        server = Server(site.processes, "")
        with Shop(server.url, confirmed=True) as shop:
            shop.send(0)
            server.client.config_set("maxmemory", 1)
            with pytest.raises(publishing.PublishError, match="1 message was not accepted"):
                shop.send(1)

    def test_durable_is_on_the_disk_when_the_call_returns(self, site):
        server = Server(site.processes, "appendonly yes\nappendfsync everysec")
        with Shop(server.url, confirmed=True, durable=True) as shop:
            shop.send(1, 2)
            server.kill()
            server.start()
            assert shop.arrived() == [1, 2]

    def test_durable_without_a_file_to_append_to_is_told(self, site):
        server = Server(site.processes, "appendonly no")
        with (
            Shop(server.url, confirmed=True, durable=True) as shop,
            pytest.raises(publishing.PublishError, match="appendonly"),
        ):
            shop.send(1)


SENDER = """
    import os, sys
    from celery import Celery
    from poolrace import publishing

    app = Celery("shop", broker=sys.argv[1])
    app.conf.task_ignore_result = True


    @app.task(name="shop.charge")
    def charge(number):
        return number


    publishing.install(app)
    for number in range(300):
        charge.apply_async((number,))
    """


def sent_by(shop, more="", **environment):
    """Have a process send, and end without a word."""
    program = textwrap.dedent(SENDER) + textwrap.dedent(more)
    url = shop.app.conf.broker_url
    subprocess.run([sys.executable, "-c", program, url], check=True, timeout=60, env={**os.environ, **environment})
    return shop.arrived()


@pytest.mark.servers
@pytest.mark.parametrize("version", list(OLDER))
def test_an_older_celery_sends_in_steps(shop, version):
    if not OLDER[version].exists() and not REQUIRED:
        pytest.skip(f"no Celery {version} here; `make test-servers` says how to get it")
    more = f"""
        import celery
        assert celery.__version__.startswith("{version}")
        publishing.flush(app)
        assert app.connection_for_write().default_channel.client.keys("_kombu.publisher.*")
        """
    assert sent_by(shop, more, PYTHONPATH=os.pathsep.join([str(OLDER[version]), str(ROOT)])) == list(range(300))


def test_a_process_that_ends_leaves_nothing_behind(shop):
    assert sent_by(shop) == list(range(300))


def test_a_child_that_is_forked_sends_its_own_and_the_parent_the_rest(shop):
    more = """
        child = os.fork()
        for number in range(1000, 1010) if child else range(2000, 2010):
            charge.apply_async((number,))
        publishing.flush(app)
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        """
    arrived = sent_by(shop, more)
    assert sorted(arrived) == [*range(300), *range(1000, 1010), *range(2000, 2010)]


def test_a_step_is_sent_though_it_is_larger_than_lua_hands_over_at_once(shop, monkeypatch):
    monkeypatch.setattr(gatherer, "STEP_MESSAGES", 5000)
    monkeypatch.setattr(gatherer, "LINGER_S", 30.0)
    shop.send(*range(4999))
    publishing.flush(shop.app)
    assert shop.arrived() == list(range(4999))
