"""The atomic transport beside others: it takes no more than its share, and holds nobody up."""

import json
import time
from collections import Counter
from threading import Event, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integration.test_transport import ATOMIC, KINDS, STOCK, Bench, queue_named
from kombu import Connection, Consumer, Exchange, Queue
from kombu.simple import SimpleQueue
from kombu.utils.json import dumps, loads
from redis.exceptions import ResponseError

from poolrace.transport.channel import RETRY_S

MANY = 300


@pytest.fixture
def bench(site):
    bench = Bench(site)
    yield bench
    bench.connection.release()


def asked(bench, command="evalsha"):
    """How often a server was asked for something, inside scripts too."""
    return bench.client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"]


def turns(*holders):
    """Let consumers take turns, each with a moment to wait, until none gets more."""
    before = -1
    while (now := sum(len(holder.got) for holder in holders)) != before:
        before = now
        for holder in holders:
            holder.drain(len(holder.got) + 1, for_s=0.05)


@KINDS
def test_each_drain_hands_over_one_message(bench, kind):
    bench.send(1, 2, 3)
    with bench.consumer(kind) as holder:
        for count in (1, 2, 3):
            holder.connection.drain_events(timeout=2)
            assert len(holder.got) == count


@KINDS
def test_who_takes_one_by_hand_holds_one(bench, kind):
    bench.send(*range(MANY))
    with Connection(bench.url, transport=kind) as connection:
        queue = SimpleQueue(connection.channel(), queue_named("jobs"))
        assert queue.get(timeout=2).decode() == 0
        assert bench.client.llen("jobs") >= MANY - 2
        queue.close()


def test_without_acknowledgement_nothing_is_taken_ahead_that_a_kill_would_lose(bench):
    bench.send(*range(MANY))
    with Connection(bench.url, transport=ATOMIC) as connection:
        got = []
        with Consumer(connection, [queue_named("jobs")], on_message=got.append, no_ack=True):
            connection.drain_events(timeout=2)
            assert (len(got), bench.client.llen("jobs")) == (1, MANY - 1)


def test_a_consumer_that_is_cancelled_gives_back_what_it_was_not_handed(bench):
    bench.send(*range(MANY))
    with bench.consumer(ATOMIC, prefetch=100) as holder:
        holder.connection.drain_events(timeout=2)
        assert bench.held() == 100
        holder.consumer.cancel()
        assert (bench.held(), bench.client.llen("jobs")) == (1, MANY - 1)


def test_a_message_that_is_fetched_behind_a_broken_one_is_not_lost(bench):
    bench.client.lpush("jobs", "{")
    bench.send("behind")
    with Connection(bench.url, transport=ATOMIC) as connection:
        message = queue_named("jobs")(connection.default_channel).get()
        assert message.decode() == "behind"
        message.ack()
    assert (bench.held(), bench.client.llen("unacked_dead_letter")) == (0, 1)


def test_one_that_is_busy_takes_what_a_waiting_one_does_not_come_for(bench):
    """Without asking again and again meanwhile."""
    with bench.consumer(ATOMIC, prefetch=4) as busy, bench.consumer(ATOMIC, prefetch=4) as dead:
        bench.send("first")
        assert busy.drain(1) == ["first"]
        turns(dead)
        dead.die()
        bench.send("second")
        before = asked(bench)
        assert busy.drain(2, for_s=2) == ["first", "second"]
        assert asked(bench) - before < 10


def test_one_that_is_full_looks_out_on_no_queue(bench):
    with bench.consumer(ATOMIC, "a", "b", prefetch=1) as full, bench.consumer(ATOMIC, "a", "b", prefetch=1) as free:
        turns(full)
        bench.send("keeps it busy", queue="a")
        assert full.drain(1) == ["keeps it busy"]
        turns(free)
        for queue in "ab":
            assert bench.client.get(f"_kombu.lookout.{queue}") == free.channel.name.encode()


def test_a_step_ends_behind_a_megabyte(bench):
    bench.send(*["x" * 300_000] * 12)
    with bench.consumer(ATOMIC, prefetch=12) as holder:
        holder.connection.drain_events(timeout=2)
        # In base64 each is 400 kB: the third makes it more than a megabyte.
        assert bench.held() == 3
        assert len(holder.drain(12)) == 12


def test_a_burst_is_shared_with_those_who_wait(bench):
    with bench.consumer(ATOMIC, prefetch=16) as first, bench.consumer(ATOMIC, prefetch=16) as second:
        turns(first, second)
        bench.send(*range(16))
        turns(first, second)
        assert sorted([len(first.got), len(second.got)]) == [8, 8]
        assert Counter(message.decode() for holder in (first, second) for message in holder.got) == Counter(range(16))


def test_what_is_left_to_one_that_has_died_is_taken_all_the_same(bench):
    with bench.consumer(ATOMIC, prefetch=16) as alive, bench.consumer(ATOMIC, prefetch=16) as dead:
        turns(alive, dead)
        dead.die()
        bench.send(*range(16))
        assert sorted(alive.drain(16, for_s=5)) == list(range(16))


@pytest.mark.parametrize("queues", [20, 50])
def test_an_idle_consumer_of_many_queues_is_told_of_each_message(bench, queues):
    names = [f"q{number}" for number in range(queues)]
    with bench.consumer(ATOMIC, *names) as holder:
        turns(holder)
        for name in (names[0], names[-1], names[7], names[7]):
            bench.send(name, queue=name, priority=9)
            began = time.monotonic()
            assert holder.drain(1, for_s=0.8) == [name]
            assert time.monotonic() - began < 0.5  # half of what it waits before it asks anyway
            holder.ack()
            turns(holder)


def test_a_message_costs_about_the_same_however_many_wait_for_it(bench):
    """Consumers in threads of their own, thirty messages one after the other; within scripts commands count, too."""
    few, many = (commands_a_message(bench, ATOMIC, consumers=consumers, messages=30) for consumers in (3, 12))
    assert many < 1.5 * few


def commands_a_message(bench, kind, *, consumers, messages):
    bench.client.flushdb()
    bench.connection.default_channel.state.clear()
    bench.connection.declared_entities.clear()
    ended, got = Event(), []
    threads = [Thread(target=consume, args=(bench, kind, got, ended)) for _ in range(consumers)]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    before = bench.client.info("stats")["total_commands_processed"]
    for number in range(messages):
        bench.send(number)
        deadline = time.monotonic() + 5
        while len(got) <= number and time.monotonic() < deadline:
            time.sleep(0.005)
    after = bench.client.info("stats")["total_commands_processed"]
    ended.set()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(messages))
    return (after - before) / messages


def consume(bench, kind, got, ended):
    def take(message):
        got.append(message.decode())
        message.ack()

    with Connection(bench.url, transport=kind) as connection:
        channel = connection.channel()
        channel.basic_qos(0, 4, False)
        with Consumer(channel, [queue_named("jobs")], on_message=take, accept=["json"]):
            while not ended.is_set():
                try:
                    connection.drain_events(timeout=0.5)
                except TimeoutError:
                    continue


def test_a_lookout_that_is_cut_off_asks_anew_and_nothing_is_noticed(bench):
    with bench.consumer(ATOMIC) as holder:
        turns(holder)
        before = holder.channel.lookout.asking_id
        assert bench.client.client_kill_filter(_id=before) == 1
        bench.send("on")
        assert holder.drain(1, for_s=2) == ["on"]
        holder.ack()
        turns(holder)
        assert holder.channel.lookout.asking_id > before


def test_who_looks_out_has_no_connection_more_than_on_kombus_transport(bench):
    counts = []
    for kind in (STOCK, ATOMIC):
        before = len(bench.client.client_list())
        with bench.consumer(kind) as holder:
            turns(holder)
            counts.append(len(bench.client.client_list()) - before)
    assert counts[1] <= counts[0]


def test_one_that_waits_takes_the_place_of_a_lookout_that_has_died(bench):
    with bench.consumer(ATOMIC) as dead, bench.consumer(ATOMIC) as alive:
        turns(dead, alive)
        dead.die()
        assert bench.client.get("_kombu.lookout.jobs") == dead.channel.name.encode()
        bench.send("found by a look at the lists")
        assert alive.drain(1, for_s=5) == ["found by a look at the lists"]
        alive.ack()
        turns(alive)
        assert bench.client.get("_kombu.lookout.jobs") == alive.channel.name.encode()
        assert bench.client.zrange("_kombu.idle.jobs", 0, -1) == [alive.channel.name.encode()]


def test_a_consumer_at_rest_asks_for_little(bench):
    """On kombu's transport it asks once a second."""
    with bench.consumer(ATOMIC) as holder:
        turns(holder)
        before = bench.client.info("stats")["total_commands_processed"]
        holder.drain(1, for_s=5)
        assert bench.client.info("stats")["total_commands_processed"] - before < 5


def test_where_the_server_may_not_tell_of_changes_lists_are_looked_at(bench):
    name = "no-tracking"
    bench.client.acl_setuser(name, enabled=True, passwords=["+secret"], keys="*", channels="*", commands=["+@all"])
    bench.client.execute_command("ACL", "SETUSER", name, "-client|tracking")
    url = bench.url.replace("redis://", f"redis://{name}:secret@", 1) if "@" not in bench.url else None
    if url is None:
        host = bench.url.rpartition("@")[2]
        url = f"redis://{name}:secret@{host}"
    try:
        with Connection(url, transport=ATOMIC) as connection:
            got = []
            with Consumer(connection, [queue_named("jobs")], on_message=got.append, accept=["json", "text/plain"]):
                with pytest.raises(TimeoutError):
                    connection.drain_events(timeout=0.3)
                bench.send("late")
                connection.drain_events(timeout=0.5)
        assert [message.decode() for message in got] == ["late"]
    finally:
        bench.client.acl_deluser(name)


def test_a_server_that_could_not_say_so_just_now_is_asked_again_to_tell_of_changes(bench):
    with bench.consumer(ATOMIC) as holder:
        turns(holder)
        lookout, connection = holder.channel.lookout, holder.channel.client.connection
        lookout._told = None
        holder.channel._note_silence(ResponseError("BUSY a script runs"))
        time.sleep(RETRY_S)
        turns(holder)
        assert lookout.is_told_by(connection)


def test_a_server_that_is_full_is_not_asked_again_and_again(bench):
    with bench.consumer(ATOMIC) as holder:
        turns(holder)
        bench.client.config_set("maxmemory", 1)
        try:
            before = asked(bench)
            holder.drain(1, for_s=2)
            assert asked(bench) - before < 10
        finally:
            bench.client.config_set("maxmemory", 0)
        bench.send("again")
        assert holder.drain(1, for_s=3) == ["again"]


def test_a_message_that_cannot_be_set_aside_is_not_tried_again_and_again(bench):
    bench.client.set("unacked_dead_letter", "in the way")
    with bench.consumer(ATOMIC) as holder:
        bench.client.lpush("jobs", "{")
        before = asked(bench)
        holder.drain(1, for_s=2)
        assert asked(bench) - before < 10
        bench.client.delete("unacked_dead_letter")
        bench.send("behind")
        assert holder.drain(1, for_s=3) == ["behind"]


def test_an_error_on_a_later_list_keeps_nothing_that_was_taken_before_it(bench):
    bench.send(1, 2, 3)
    with bench.consumer(ATOMIC, prefetch=10) as holder:
        bench.client.set("jobs\x06\x163", "in the way")
        assert holder.drain(3) == [1, 2, 3]


def test_a_job_of_a_topic_is_put_back_by_a_consumer_that_does_not_know_it(bench):
    topic = Queue("mail", Exchange("post", type="topic"), routing_key="mail.#")
    quick = {"visibility_timeout": 1, "unacked_restore_throttle": 1}
    with Connection(bench.url, transport=ATOMIC) as connection:
        connection.Producer().publish("letter", exchange=topic.exchange, routing_key="mail.letters", declare=[topic])
        topic(connection.default_channel).get()
        connection.default_channel.do_restore = False
        connection.default_channel.qos._delivered.clear()
    assert bench.held() == 1
    with bench.consumer(ATOMIC, "other", **quick) as holder:
        for _ in range(10):
            time.sleep(0.3)
            holder.drain(1, for_s=0.2)
            if bench.client.llen("mail"):
                break
    assert (bench.client.llen("mail"), bench.client.llen("unacked_dead_letter")) == (1, 0)


TEXT = st.text(st.characters(categories=["L", "N", "P", "Z", "C", "Cs"]), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(body=VALUES, header=VALUES, routing_key=st.sampled_from(["jobs"]))
def test_whatever_kombu_can_write_arrives(bench, body, header, routing_key):
    """Half of a surrogate pair is in every file name that is no UTF-8."""
    message = {
        "body": dumps(body),
        "headers": {"of the sender": header},
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": routing_key},
            "delivery_tag": "a-tag",
            "body_encoding": None,
        },
    }
    bench.client.delete("jobs", "unacked", "unacked_index", "unacked_dead_letter")
    bench.client.lpush("jobs", dumps(message))
    with bench.consumer(ATOMIC) as holder:
        holder.drain(1, for_s=2)
        assert bench.client.lrange("unacked_dead_letter", 0, -1) == []
        [arrived] = holder.got
        assert dumps(arrived.headers) == dumps(loads(dumps(message))["headers"])
        assert json.loads(bench.client.hget("unacked", "a-tag"))[1:] == ["", "jobs"]
        holder.ack()
    assert bench.held() == 0
