"""Messages through the atomic transport and kombu's own, on one real server."""

import json
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from integration.commands import until
from kombu import Connection, Consumer, Exchange, Queue
from redis.exceptions import ResponseError

from benchmarks.busy import make_app, start_node

STOCK = "redis"
ATOMIC = "poolrace.transport:Transport"
KINDS = pytest.mark.parametrize("kind", [STOCK, ATOMIC])
PAIRS = pytest.mark.parametrize(("first", "second"), [(STOCK, ATOMIC), (ATOMIC, STOCK), (ATOMIC, ATOMIC)])
FIT = b'{"body": "", "headers": {}, "properties": {"delivery_tag": "t", "delivery_info": %s}}'
WAY = b'{"exchange": "", "routing_key": "jobs"}'
BAD_BODY = (
    b'{"body": "A", "properties": {"delivery_tag": "t", "body_encoding": "base64", '
    b'"delivery_info": {"exchange": "", "routing_key": "jobs"}}}'
)


def queue_named(name):
    return Queue(name, Exchange(name), routing_key=name)


class Bench:
    """A server without keys, and who publishes to it."""

    def __init__(self, site, **options):
        self.url, self.client, self.options = site.broker.url, site.client, options
        self.client.flushdb()
        self.connection = Connection(self.url, transport_options=options)

    def send(self, *bodies, queue="jobs", **properties):
        producer = self.connection.Producer()
        bound = queue_named(queue)
        for body in bodies:
            producer.publish(body, exchange=bound.exchange, routing_key=queue, declare=[bound], **properties)

    @contextmanager
    def consumer(self, kind, *queues, prefetch=0, **options):
        with Connection(self.url, transport=kind, transport_options={**self.options, **options}) as connection:
            holder = Holder(connection, [queue_named(name) for name in queues or ("jobs",)], prefetch)
            try:
                yield holder
            finally:
                holder.close()

    def held(self):
        assert self.client.hlen("unacked") == self.client.zcard("unacked_index")
        return self.client.hlen("unacked")


class Holder:
    """A consumer that keeps what it gets until told otherwise."""

    def __init__(self, connection, queues, prefetch):
        self.connection, self.got, self.dead = connection, [], False
        self.channel = connection.channel()
        self.channel.basic_qos(0, prefetch, False)
        self.consumer = Consumer(self.channel, queues, on_message=self.got.append, accept=["json", "text/plain"])
        self.consumer.consume()

    def drain(self, count=1000, for_s=0.4):
        """The bodies of all it holds, once there are so many or nothing more comes."""
        while len(self.got) < count:
            try:
                self.connection.drain_events(timeout=for_s)
            except TimeoutError:
                break
        return [message.decode() for message in self.got]

    def ack(self):
        while self.got:
            self.got.pop(0).ack()

    def die(self):
        """As by SIGKILL: nothing more is sent, sockets close."""
        self.dead = True
        self.channel.do_restore = False
        if hasattr(self.channel, "renewal"):
            self.channel.renewal.end()
        self.channel.qos._delivered.clear()
        self.channel._disconnect_pools()
        if self.channel.client.connection is not None:
            self.channel.client.connection.disconnect()

    def close(self):
        if not self.dead:
            self.channel.close()


@pytest.fixture
def bench(site):
    bench = Bench(site)
    yield bench
    bench.connection.release()


def test_stock_and_atomic_share_a_queue(bench):
    bench.send(*range(60))
    with bench.consumer(STOCK, prefetch=5) as stock, bench.consumer(ATOMIC, prefetch=5) as atomic:
        done = Counter()
        while sum(done.values()) < 60:
            for holder in (stock, atomic):
                done.update(holder.drain(5, for_s=0.2))
                holder.ack()
    assert done == Counter(range(60))
    assert (bench.held(), bench.client.llen("jobs")) == (0, 0)


def test_what_is_noted_is_what_stock_would_note(bench):
    bench.send({"text": '\u00e9\u2028\U0001f600/"\\', "big": 2**70, "float": 1e-7})
    raw = bench.client.lindex("jobs", 0)
    noted = []
    for kind in (STOCK, ATOMIC):
        with bench.consumer(kind) as holder:
            holder.drain(1)
            [(tag, entry)] = bench.client.hgetall("unacked").items()
            assert json.loads(raw)["properties"]["delivery_tag"] == tag.decode()
            assert abs(bench.client.zscore("unacked_index", tag) - time.time()) < 5
            noted.append(json.loads(entry))
    message, *way = noted[1]
    assert way == noted[0][1:] == ["jobs", "jobs"]
    assert message["body"] == noted[0][0]["body"]
    assert message["headers"].pop("redelivered") is True  # the first consumer put it back


@PAIRS
def test_what_a_dead_consumer_held_is_restored_by_another(bench, first, second):
    quick = {"visibility_timeout": 1, "unacked_restore_throttle": 1}
    bench.send(*range(4))
    with bench.consumer(first, prefetch=3, **quick) as holder:
        assert holder.drain(3) == [0, 1, 2]
        holder.die()
        assert bench.held() == 3
        with bench.consumer(second, **quick) as other:
            assert other.drain(1) == [3]
            other.ack()
            until(lambda: len(other.drain(3, for_s=0.3)) == 3)
            assert sorted(other.drain(3)) == [0, 1, 2]
            assert all(message.headers["redelivered"] for message in other.got)
            other.ack()
    assert (bench.held(), bench.client.llen("jobs")) == (0, 0)


@KINDS
def test_the_lower_number_of_a_priority_comes_first(bench, kind):
    for priority in (9, 6, 3, 0, 0, 3, 6, 9):
        bench.send(priority, priority=priority)
    with bench.consumer(kind) as holder:
        assert holder.drain(8) == [0, 0, 3, 3, 6, 6, 9, 9]


@KINDS
def test_queues_take_turns(bench, kind):
    for name in "abc":
        bench.send(*[name] * 10, queue=name)
    with bench.consumer(kind, *"abc", prefetch=9) as holder:
        assert Counter(holder.drain(9)) == {"a": 3, "b": 3, "c": 3}


@KINDS
def test_turns_go_on_over_batches(bench, kind):
    for name in "ab":
        bench.send(*[name] * 6, queue=name)
    with bench.consumer(kind, *"ab", prefetch=1) as holder:
        seen = []
        for _ in range(6):
            seen += holder.drain(1)
            holder.ack()
    assert Counter(seen) == {"a": 3, "b": 3}


@KINDS
def test_queues_in_order_are_emptied_in_order(bench, kind):
    for name in "ba":
        bench.send(*[name] * 3, queue=name)
    with bench.consumer(kind, "b", "a", queue_order_strategy="sorted") as holder:
        assert holder.drain(6) == ["a", "a", "a", "b", "b", "b"]


def test_a_prefix_is_before_every_key(site):
    bench = Bench(site, global_keyprefix="shop.")
    bench.send(1, 2)
    with bench.consumer(ATOMIC, prefetch=1) as holder:
        assert holder.drain(1) == [1]
        assert bench.client.hlen("shop.unacked") == bench.client.zcard("shop.unacked_index") == 1
        holder.got.pop().ack()
        assert holder.drain(1) == [2]
        assert bench.client.llen("shop.jobs") == 0
        bench.client.lpush("shop.jobs", "{")
        holder.ack()
        holder.drain(1, for_s=0.3)
        assert bench.client.llen("shop.unacked_dead_letter") == 1
    bench.connection.release()
    assert [key for key in bench.client.scan_iter() if not key.startswith(b"shop.")] == []


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "not JSON"),
        (b"17", "no properties"),
        (b"null", "no properties"),
        (b'{"properties": {"delivery_info": %s}}' % WAY, "no delivery_tag"),
        (b'{"properties": {"delivery_tag": "t"}}', "no delivery_info"),
        (b'{"properties": {"delivery_tag": "t", "delivery_info": {}}}', "no exchange or routing_key"),
        (FIT % b'{"exchange": [], "routing_key": "jobs"}', "no text"),
        (FIT.replace(b'"t"', b'""') % WAY, "no delivery_tag"),
        (FIT.replace(b'"t"', b"true") % WAY, "no delivery_tag"),
        (FIT.replace(b'"t"', b"1.5") % WAY, "no delivery_tag"),
        (FIT.replace(b'"body": ""', b'"no": "body"') % WAY, "no body"),
        (FIT.replace(b'"body": ""', b'"body": null') % WAY, "no body"),
        (FIT.replace(b'"headers": {}', b'"headers": [1]') % WAY, "AttributeError"),
        (FIT.replace(b'"body"', b'"size": 0x10, "body"') % WAY, "JSONDecodeError"),
        (FIT.replace(b'"body"', b'"\xff": 0x10, "body"') % WAY, "Error"),
        (b"[" * 5000 + b"]" * 5000, "not JSON"),
        (BAD_BODY, "Error"),
    ],
)
def test_a_message_that_cannot_be_read_is_set_aside_with_its_reason(bench, caplog, raw, reason):
    bench.send("before")
    bench.client.lpush("jobs", raw)
    bench.send("after")
    with bench.consumer(ATOMIC) as holder:
        assert holder.drain(2) == ["before", "after"]
        [entry] = bench.client.lrange("unacked_dead_letter", 0, -1)
        aside = json.loads(entry.decode(errors="surrogateescape"))
        assert reason in aside["reason"]
        assert aside["message"].encode(errors="surrogateescape") == raw
        assert aside["key"] == "jobs"
        assert "message set aside" in caplog.text
        holder.ack()
    assert bench.held() == 0


@pytest.mark.parametrize(
    "raw",
    [
        FIT % b'{"exchange": "", "routing_key": 5}',
        FIT.replace(b'"t"', b"12345678901234567890") % WAY,
        FIT.replace(b'"headers": {}', b'"headers": null') % WAY,
        FIT.replace(b'"headers": {}', b'"headers": {"file": "caf\\udce9"}') % WAY,
    ],
)
def test_what_python_reads_is_delivered_though_the_servers_reader_may_not(bench, raw):
    bench.client.lpush("jobs", raw)
    with bench.consumer(ATOMIC) as holder:
        holder.drain(1, for_s=2)
        assert (len(holder.got), bench.held(), bench.client.llen("unacked_dead_letter")) == (1, 1, 0)
        holder.ack()
    assert bench.held() == 0


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (b"{", "Error"),
        (b"\xff", "Error"),
        (b'[%s, "", "jobs"]' % FIT.replace(b"{}", b"[1]") % WAY, "AttributeError"),
        (b'[%s, "gone", "gone"]' % FIT % WAY, "no queue is bound to exchange 'gone' with routing key 'gone'"),
    ],
)
def test_what_cannot_be_put_back_is_set_aside_and_blocks_nothing(bench, entry, reason):
    """Kombu drops the last two, and the first two keep all that was noted before them."""
    bench.send("good")
    with bench.consumer(ATOMIC) as dead:
        dead.drain(1)
        dead.die()
    [tag] = bench.client.hkeys("unacked")
    bench.client.zadd("unacked_index", {tag: 1})
    for number in range(20):
        bench.client.hset("unacked", f"bad{number}", entry)
        bench.client.zadd("unacked_index", {f"bad{number}": 2})
    with bench.consumer(ATOMIC, visibility_timeout=1, unacked_restore_throttle=1) as holder:
        until(lambda: holder.drain(1, for_s=0.1) == ["good"])
        holder.ack()
        until(lambda: bench.client.llen("unacked_dead_letter") == 20)
    assert bench.held() == 0
    for aside in bench.client.lrange("unacked_dead_letter", 0, -1):
        assert reason in json.loads(aside)["reason"]


def test_no_more_is_held_than_the_window(bench):
    bench.send(*range(20))
    with bench.consumer(ATOMIC, prefetch=3) as holder:
        for done in range(17):
            assert len(holder.drain(3, for_s=0.2)) == 3
            assert (bench.held(), bench.client.llen("jobs")) == (3, 17 - done)
            holder.got.pop(0).ack()


def test_closing_acknowledges_and_puts_back(bench):
    bench.send(*range(6))
    with bench.consumer(ATOMIC, prefetch=4) as holder:
        holder.drain(4)
        for message in holder.got[:2]:
            holder.channel.acks.add(message.delivery_tag)  # as if a loop were to send it
            holder.channel.qos._dirty.add(message.delivery_tag)
    assert (bench.held(), bench.client.llen("jobs")) == (0, 4)


@KINDS
def test_rejected_is_gone_and_requeued_comes_again(bench, kind):
    bench.send("no", "again")
    with bench.consumer(kind, prefetch=2) as holder:
        holder.drain(2)
        holder.got.pop(0).reject()
        holder.got.pop(0).requeue()
        assert holder.drain(1) == ["again"]
        holder.ack()
    assert (bench.held(), bench.client.llen("jobs")) == (0, 0)


@KINDS
def test_one_message_can_be_fetched_by_hand(bench, kind):
    bench.send("one")
    with Connection(bench.url, transport=kind) as connection:
        bound = queue_named("jobs")(connection.default_channel)
        message = bound.get()
        assert (message.decode(), bench.held()) == ("one", 1)
        message.ack()
        assert (bound.get(), bench.held()) == (None, 0)


@KINDS
def test_a_consumer_without_acks_notes_nothing(bench, kind):
    bench.send("one")
    with Connection(bench.url, transport=kind) as connection:
        got = []
        with Consumer(connection, [queue_named("jobs")], on_message=got.append, no_ack=True):
            connection.drain_events(timeout=2)
        assert (len(got), bench.held(), bench.client.llen("jobs")) == (1, 0, 0)


def test_a_message_that_comes_while_waiting_is_taken_at_once(bench):
    """From the list of any priority and any queue, without a poll between."""
    with bench.consumer(ATOMIC, "a", "b") as holder:
        holder.drain(1, for_s=0.3)
        for queue, priority in (("a", 0), ("b", 9), ("a", 6)):
            bench.send("late", queue=queue, priority=priority)
            began_at = time.monotonic()
            assert holder.drain(1, for_s=0.9) == ["late"]
            assert time.monotonic() - began_at < 0.3
            holder.ack()


def test_a_queue_cancelled_while_waiting_is_left_alone(bench):
    with bench.consumer(ATOMIC, "a", "b") as holder:
        holder.drain(1, for_s=0.2)
        holder.consumer.cancel_by_queue("a")
        bench.send("stays", queue="a")
        bench.send("comes", queue="b")
        assert holder.drain(2, for_s=0.3) == ["comes"]
    assert bench.client.llen("a") == 1


def test_a_server_that_forgot_the_script_is_told_again(bench):
    with bench.consumer(ATOMIC) as holder:
        bench.client.script_flush()
        bench.send(1)
        assert holder.drain(1) == [1]


def test_noting_that_fails_leaves_messages_in_their_places(bench):
    bench.send(1, 2, 3)
    before = bench.client.lrange("jobs", 0, -1)
    bench.client.set("unacked", "in the way")
    with bench.consumer(ATOMIC) as holder:
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            holder.drain(1)
        assert bench.client.lrange("jobs", 0, -1) == before
        bench.client.delete("unacked")


@pytest.mark.parametrize(
    "pool", ["threads", *(pytest.param(pool, marks=pytest.mark.heavy) for pool in ("prefork", "solo"))]
)
def test_a_node_works_as_ever(site, tmp_path, pool):
    """Jobs, a countdown, ping, inspect, and a queue added and cancelled at run time."""
    app = make_app(site.broker.url)  # of its own: the flush takes the bindings that another one relies on
    client, control, send = site.client, app.control, app.send_task
    client.flushdb()
    with (tmp_path / "log").open("wb") as log:
        node = start_node(site.broker.url, pool, "atomic", log)
    try:
        until(lambda: node.poll() or control.ping(timeout=0.25))
        send("busy.noop", queue="busy", countdown=2)
        for _ in range(50):
            send("busy.noop", queue="busy")
        until(lambda: not client.llen("busy") and client.hlen("unacked") == 1)
        inspect = control.inspect(timeout=2.0)
        assert [len(jobs) for jobs in inspect.scheduled().values()] == [1]
        until(lambda: not client.hlen("unacked"))
        control.add_consumer("added", reply=True, timeout=0.5)
        send("busy.noop", queue="added")
        until(lambda: not client.llen("added") and not client.hlen("unacked"))
        control.cancel_consumer("added", reply=True, timeout=0.5)
        send("busy.noop", queue="added")
        send("busy.noop", queue="busy")
        until(lambda: not client.llen("busy") and not client.hlen("unacked"))
        assert client.llen("added") == 1
        assert [stats["total"] for stats in inspect.stats().values()] == [{"busy.noop": 53}]
    finally:
        node.terminate()
        node.wait(30)
    assert b"Traceback" not in (tmp_path / "log").read_bytes()
