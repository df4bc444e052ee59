"""What a live node holds stays with it, what a dead one held goes to others, and no job goes round without end."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integration.commands import until
from integration.test_transport import ATOMIC, STOCK, Bench
from integration.tiers import heavy

from benchmarks.counted import BEGUN, ENDED, Setup, make_app, send, start_node
from benchmarks.kills import kill
from poolrace.transport import __main__ as command
from poolrace.transport import channel as atomic
from poolrace.transport import restoring

QUICK = {"visibility_timeout": 1, "unacked_restore_throttle": 1}


@pytest.fixture
def bench(site):
    bench = Bench(site)
    yield bench
    bench.connection.release()


def tries(holder, rounds=8):
    """Let a consumer look for what others have lost, for longer than the visibility timeout."""
    for _ in range(rounds):
        holder.drain(1, for_s=0.3)
        if holder.got:
            break
    return [message.decode() for message in holder.got]


@pytest.mark.parametrize(("kind", "goes_to_another"), [(STOCK, ["long"]), (ATOMIC, [])])
def test_what_a_live_consumer_holds_past_the_visibility_timeout_stays_with_it(bench, kind, goes_to_another):
    bench.send("long")
    with bench.consumer(kind, **QUICK) as works, bench.consumer(STOCK, **QUICK) as waits:
        assert works.drain(1) == ["long"]
        assert tries(waits) == goes_to_another


def test_a_node_whose_clock_is_two_hours_ahead_takes_nothing_from_one_that_lives(bench, monkeypatch):
    bench.send("held")
    with bench.consumer(ATOMIC) as works:
        assert works.drain(1) == ["held"]
        monkeypatch.setattr(atomic, "time", lambda: time.time() + 7200)
        with bench.consumer(ATOMIC) as ahead:
            assert tries(ahead, rounds=2) == []
            [(_, noted)] = bench.client.zrange("unacked_index", 0, -1, withscores=True)
            assert abs(noted - time.time()) < 60


def test_what_a_dead_consumer_held_goes_to_another_with_when_it_was_lost(bench):
    bench.send("lost")
    with bench.consumer(ATOMIC, **QUICK) as dies, bench.consumer(ATOMIC, **QUICK) as other:
        dies.drain(1)
        dies.die()
        assert tries(other) == ["lost"]
        [message] = other.got
        [[seen, back]] = message.headers["x-lost"]
        assert message.headers["redelivered"]
        assert time.time() - 60 < seen < back <= time.time() + 1
        other.ack()
    assert bench.held() == 0


def test_a_message_without_headers_comes_back_as_well(bench):
    bench.send("bare")
    message = json.loads(bench.client.rpop("jobs"))
    del message["headers"]
    bench.client.lpush("jobs", json.dumps(message))
    with bench.consumer(ATOMIC, **QUICK) as dies, bench.consumer(ATOMIC, **QUICK) as other:
        dies.drain(1)
        dies.die()
        assert tries(other) == ["bare"]
        assert len(other.got[0].headers["x-lost"]) == 1
        other.ack()


def test_a_message_that_is_lost_too_often_is_set_aside_with_its_history_and_can_be_sent_again(bench, capsys):
    bench.send("poison")
    for _ in range(3):
        with bench.consumer(ATOMIC, delivery_limit=2, **QUICK) as dies:
            assert tries(dies) == ["poison"]
            dies.die()
    with bench.consumer(ATOMIC, delivery_limit=2, **QUICK) as other:
        assert tries(other) == []
    [entry] = bench.client.lrange("unacked_dead_letter", 0, -1)
    found = json.loads(entry)
    assert found["reason"].startswith("lost 3 times with the node that held it, the last time at ")
    assert len(json.loads(found["message"])["headers"]["x-lost"]) == 3
    assert bench.held() == 0

    def run(*words):
        code = command.main(["dead-letters", *words, "--broker", bench.url])
        return code, capsys.readouterr().out

    assert run("count") == (0, "1\n")
    assert "lost 3 times" in run("list")[1]
    assert run("requeue") == (0, "1 sent again, 0 left\n")
    assert run("count", "--json") == (0, '{"count": 0}\n')
    with bench.consumer(ATOMIC) as holder:
        assert holder.drain(1) == ["poison"]
        assert "x-lost" not in holder.got[0].headers
        holder.ack()


def test_a_message_that_is_given_back_too_often_is_set_aside_and_can_be_sent_again(bench):
    bench.send("poison")
    with bench.consumer(ATOMIC, requeue_limit=2) as holder:
        for _ in range(3):
            assert holder.drain(1) == ["poison"]
            holder.got.pop().requeue()
        bench.send("sound")
        assert holder.drain(1) == ["sound"]
        holder.ack()
    [entry] = bench.client.lrange("unacked_dead_letter", 0, -1)
    found = json.loads(entry)
    assert "given back 3 times by those who took it (requeue_limit)" in found["reason"]
    assert bench.held() == 0
    assert command.main(["dead-letters", "requeue", "--broker", bench.url]) == 0
    with bench.consumer(ATOMIC) as holder:
        assert holder.drain(1) == ["poison"]
        assert "x-requeued" not in holder.got[0].headers
        holder.ack()


def test_what_is_given_back_at_the_end_of_a_consumer_does_not_count(bench):
    bench.send("job")
    for _ in range(3):
        with bench.consumer(ATOMIC, requeue_limit=1) as holder:
            assert holder.drain(1) == ["job"]
            assert "x-requeued" not in holder.got[0].headers
    assert bench.client.llen("unacked_dead_letter") == 0


def test_what_cannot_be_sent_again_is_named_and_stays_until_it_is_purged(bench, capsys):
    bench.client.lpush("unacked_dead_letter", "{")
    assert command.main(["dead-letters", "requeue", "--broker", bench.url]) == 1
    said = capsys.readouterr()
    assert said.out == "0 sent again, 1 left\n"
    assert "its queue is not known" in said.err
    assert command.main(["dead-letters", "purge", "--broker", bench.url]) == 0
    assert bench.client.llen("unacked_dead_letter") == 0


@pytest.mark.parametrize("text", ["0", "-1", "x", ""])
def test_a_number_of_messages_that_is_none_is_told_with_what_is_allowed(capsys, text):
    with pytest.raises(SystemExit) as ended:
        command.main(["dead-letters", "list", "--broker", "redis://127.0.0.1:1/0", f"--most={text}"])
    assert ended.value.code == 2
    assert f"{text!r}: must be a whole number, 1 or more" in capsys.readouterr().err


def test_a_reader_that_has_read_enough_gets_no_traceback(bench):
    bench.client.lpush("unacked_dead_letter", *["{"] * 5000)
    words = [sys.executable, "-m", "poolrace.transport", "dead-letters", "list", "--broker", bench.url]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listing:
        listing.stdout.readline()
        listing.stdout.close()
        assert listing.stderr.read() == b""
    assert listing.returncode == 0


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [("redis://127.0.0.1:1/0", 3, "does not answer"), ("http://127.0.0.1/", 2, "Give an address like")],
)
def test_a_broker_that_is_none_is_told_with_what_to_do(capsys, url, code, words):
    assert command.main(["dead-letters", "count", "--broker", url]) == code
    assert words in capsys.readouterr().err


# Jobs that are due later


def send_due(bench, at, body="later"):
    bench.send(body, headers={"eta": at.isoformat(), "task": "t", "id": "i"})


def test_a_job_that_is_due_much_later_takes_no_room_in_a_node(bench):
    send_due(bench, datetime.now(UTC) + timedelta(hours=1))
    bench.send("now")
    with bench.consumer(ATOMIC, prefetch=1) as holder:
        assert holder.drain(2) == ["now"]
        holder.ack()
    assert bench.client.scard("unacked_deferred") == 1
    assert bench.held() == 1  # where any node, a stock one too, finds it in time


@pytest.mark.parametrize("kind", [STOCK, ATOMIC])
def test_it_is_put_back_in_time_as_it_was_by_a_node_of_either_transport(bench, monkeypatch, kind):
    monkeypatch.setattr(atomic, "EARLY_S", 1.0)
    due = datetime.now(UTC) + timedelta(seconds=4)
    often = {**QUICK, "unacked_restore_interval": 0.5}
    send_due(bench, due)
    with bench.consumer(ATOMIC, **often) as first:
        assert first.drain(1) == []
    assert bench.held() == 1
    with bench.consumer(kind, **often) as other:
        assert tries(other, rounds=30) == ["later"]
        [message] = other.got
        assert message.headers["eta"] == due.isoformat()
        if kind == ATOMIC:
            assert "redelivered" not in message.headers
            assert "x-lost" not in message.headers
            assert bench.client.scard("unacked_deferred") == 0
        other.ack()
    assert bench.held() == 0


def test_what_a_stock_node_has_put_back_waits_for_its_time_no_more(bench, monkeypatch):
    monkeypatch.setattr(atomic, "EARLY_S", 1.0)
    often = {**QUICK, "unacked_restore_interval": 0.5}
    send_due(bench, datetime.now(UTC) + timedelta(seconds=4))
    with bench.consumer(ATOMIC, **often) as first:
        first.drain(1)
    with bench.consumer(STOCK, **often) as stock:
        assert tries(stock, rounds=30) == ["later"]
    assert bench.client.llen("jobs") == 1  # it has given it back
    with bench.consumer(ATOMIC, **often) as last:
        assert last.drain(1) == ["later"]
        assert bench.client.scard("unacked_deferred") == 0
        last.ack()


def test_what_a_stock_node_has_done_is_forgotten_and_what_waits_is_not(bench, monkeypatch):
    monkeypatch.setattr(atomic, "EARLY_S", 1.0)
    monkeypatch.setattr(restoring, "FORGET_EVERY_S", 0.5)
    often = {**QUICK, "unacked_restore_interval": 0.5}
    send_due(bench, datetime.now(UTC) + timedelta(hours=1), body="waits")
    send_due(bench, datetime.now(UTC) + timedelta(seconds=4), body="done")
    with bench.consumer(ATOMIC, **often) as first:
        first.drain(1)
    assert bench.client.scard("unacked_deferred") == 2
    with bench.consumer(STOCK, **often) as stock:
        assert tries(stock, rounds=30) == ["done"]
        stock.ack()
    assert bench.client.scard("unacked_deferred") == 2
    with bench.consumer(ATOMIC, **often) as last:
        until(lambda: last.drain(1) == [] and bench.client.scard("unacked_deferred") == 1)
    assert bench.held() == 1


def test_it_is_held_by_the_node_where_that_is_wanted(bench):
    send_due(bench, datetime.now(UTC) + timedelta(hours=1))
    with bench.consumer(ATOMIC, defer_eta=False) as holder:
        assert holder.drain(1) == ["later"]


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(2031, 1, 1), datetime(2199, 12, 31), timezones=ZONES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=100, deadline=None)
@given(at=TIMES)
def test_a_time_of_any_zone_is_read_as_python_writes_it(bench, at):
    bench.client.delete("jobs", "unacked", "unacked_index", "unacked_deferred")
    send_due(bench, at)
    with bench.consumer(ATOMIC) as holder:
        channel = holder.channel
        assert holder.drain(1, for_s=0.05) == []
        [(_, score)] = bench.client.zrange("unacked_index", 0, -1, withscores=True)
        lead_s = atomic.LEAD * channel.unacked_restore_interval
        assert score == pytest.approx(at.timestamp() - channel.visibility_timeout - lead_s, abs=1e-3)


@pytest.mark.parametrize("eta", ["tomorrow", "2199-01-01T00:00:00", "2199-01-01T00:00:00+25", None, 7, {"a": 1}])
def test_what_is_no_time_with_a_zone_is_left_to_celery(bench, eta):
    bench.send("as it is", headers={"eta": eta})
    with bench.consumer(ATOMIC) as holder:
        assert holder.drain(1) == ["as it is"]


# Real nodes


class Nodes:
    """Nodes on one broker with a short visibility timeout."""

    def __init__(self, site, folder, stack):
        site.client.flushdb()
        self.site, self.folder, self.stack, self.count = site, folder, stack, 0
        self.client = site.client
        options = {"visibility_timeout": 2, "unacked_restore_interval": 0.5, "unacked_restore_throttle": 1}
        self.setup = Setup(url=site.broker.url, notes_url=site.broker.url, transport=ATOMIC, options=options)

    def start(self, pool):
        self.count += 1
        node = start_node(self.site.processes, self.setup, pool, self.folder / f"{self.count}.log")

        def end():
            kill(node.process)
            self.site.processes.stop(node)

        self.stack.callback(end)
        return node.process

    def send(self, *jobs, for_s):
        send(make_app(self.setup), jobs, for_s)


@pytest.fixture
def nodes(site, tmp_path):
    with ExitStack() as stack:
        yield Nodes(site, tmp_path, stack)


@pytest.mark.parametrize("pool", ["threads", heavy("prefork"), heavy("solo")])
def test_a_job_of_three_visibility_timeouts_runs_once(nodes, pool):
    nodes.start(pool)
    nodes.send(1, for_s=6)
    until(lambda: nodes.client.llen(BEGUN) == 1)
    nodes.start("threads")  # which would take it, if it came back
    until(lambda: nodes.client.llen(ENDED) == 1)
    until(lambda: not nodes.client.hlen("unacked"))
    assert nodes.client.lrange(BEGUN, 0, -1) == [b"1"]


@pytest.mark.heavy
def test_a_node_that_is_stopped_past_the_timeout_costs_one_more_start(nodes):
    stopped = nodes.start("threads")
    nodes.send(1, for_s=3)
    until(lambda: nodes.client.llen(BEGUN) == 1)
    os.killpg(stopped.pid, signal.SIGSTOP)
    nodes.start("threads")
    until(lambda: nodes.client.llen(BEGUN) == 2)
    os.killpg(stopped.pid, signal.SIGCONT)
    until(lambda: nodes.client.llen(ENDED) == 2)
    until(lambda: not nodes.client.hlen("unacked"))
    time.sleep(3)  # longer than what is noted would have to be renewed
    assert nodes.client.lrange(BEGUN, 0, -1) == [b"1", b"1"]
    assert nodes.client.llen("counted") == 0
