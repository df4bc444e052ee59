"""What kills, cuts, restarts, failovers and rubbish leave of the jobs of real nodes: all of them."""

import json
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest
from integration.commands import status_of, until, words_of
from integration.cutter import Cutter
from integration.servers import Sentinels, Server

from benchmarks.counted import ENDED, PREFETCH, QUEUE, SLOTS, Setup, make_app, send, start_node
from benchmarks.kills import Kind, kill, measure

pytestmark = pytest.mark.heavy

POOLS = pytest.mark.parametrize("pool", ["threads", "prefork"])
KILLS = 5
CUTS = 12
RESTARTS = 3


@POOLS
@pytest.mark.parametrize(("acks", "lost"), [("late", 0), ("early", SLOTS)])
def test_a_kill_loses_and_repeats_no_more_than_it_may(pool, acks, lost):
    toll = measure(Kind(pool=pool, transport="atomic", acks=acks), kills=KILLS)
    assert toll.faults() == []
    assert toll.most("lost") <= lost
    assert toll.most("held") <= PREFETCH
    assert toll.most("repeated") <= PREFETCH
    assert all(kill.queued and kill.begun for kill in toll.ledger.kills)  # each was killed at work
    assert toll.ended == []


def test_an_interrupt_keeps_what_was_counted():
    command = [sys.executable, "-m", "benchmarks.kills", "--kills", "1000", "--pool", "threads", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert "1 kills" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        [toll] = json.loads(process.communicate(timeout=30)[0])
    assert process.returncode == 130
    assert len(toll["kills"]["lost"]) >= 1
    assert (toll["finished"], toll["faults"]) == (False, [])


def test_kills_that_are_killed_themselves_leave_nothing():
    command = [sys.executable, "-m", "benchmarks.kills", "--kills", "1000", "--pool", "threads"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert "1 kills" in process.stderr.readline()
        children = until(lambda: nodes_below(process.pid))
        process.kill()
    until(lambda: all(status_of(child) == "zombie" for child in children))  # or gone


def nodes_below(pid):
    """All that a process has started, once a node is among it."""
    children = psutil.Process(pid).children(recursive=True)
    return children if any("worker" in words_of(child) for child in children) else None


class Jobs:
    """Jobs of a node on a broker that fails; they note what they do on another, which does not."""

    def __init__(self, site, folder, pool, url, transport="poolrace.transport:Transport", publish_to=None, **options):
        self.notes, self.log, self._pool, self._processes = site.client, folder / "node.log", pool, site.processes
        self.notes.flushdb()
        self.setup = Setup(url=url, notes_url=site.broker.url, transport=transport, options=options)
        self.app = make_app(replace(self.setup, url=publish_to or url, transport=""))
        self.sent = 0

    @contextmanager
    def node(self):
        """A node, killed in the end."""
        node = start_node(self._processes, self.setup, self._pool, self.log)
        try:
            yield node.process
        finally:
            kill(node.process)
            self._processes.stop(node)

    def send(self, count):
        jobs = range(self.sent, self.sent + count)
        self.sent += count
        send(self.app, jobs)

    def ended(self):
        return self.notes.llen(ENDED)

    def work(self, count):
        """Wait until so many more have ended."""
        enough = self.ended() + count
        until(lambda: self.ended() >= enough)

    def wait_for_all(self, client):
        """Wait until nothing waits and nothing is held; the broker's own keys agree."""
        until(lambda: not client.llen(QUEUE) and not client.hlen("unacked"))
        until(lambda: not client.zcard("unacked_index"))

    def missing(self):
        return set(range(self.sent)) - {int(job) for job in self.notes.lrange(ENDED, 0, -1)}


@POOLS
def test_connections_cut_at_random_lose_nothing(site, tmp_path, pool):
    """Every other time in the middle of an answer, so that messages were taken and nobody got them."""
    chance = random.Random(1)
    site.client.flushdb()
    with Cutter(site.client.connection_pool.connection_kwargs["port"]) as cutter:
        through = re.sub(r":\d+/", f":{cutter.port}/", site.broker.url)
        jobs = Jobs(site, tmp_path, pool, through, publish_to=site.broker.url)
        jobs.send(3000)
        with jobs.node():
            for number in range(CUTS):
                jobs.work(20)
                time.sleep(chance.uniform(0, 0.05))
                (cutter.tear if number % 2 else cutter.cut)()
            until(lambda: cutter.torn == CUTS // 2)
            assert site.client.llen(QUEUE)  # each cut was under load
            jobs.wait_for_all(site.client)
    assert jobs.missing() == set()


@POOLS
def test_a_connection_that_is_open_and_says_nothing_any_more_is_dropped(site, tmp_path, pool):
    """As behind a firewall that forgot it: no error comes, and the next question has no answer."""
    site.client.flushdb()
    with Cutter(site.client.connection_pool.connection_kwargs["port"]) as cutter:
        through = re.sub(r":\d+/", f":{cutter.port}/", site.broker.url)
        jobs = Jobs(
            site, tmp_path, pool, through, publish_to=site.broker.url, health_check_interval=2
        )  # fmt: skip
        jobs.send(50)
        with jobs.node():
            jobs.wait_for_all(site.client)
            cutter.silence()
            jobs.send(50)
            jobs.wait_for_all(site.client)
    assert jobs.missing() == set()


@POOLS
def test_a_server_killed_and_started_again_loses_nothing_that_it_had_written(site, tmp_path, pool):
    chance = random.Random(1)
    server = Server(site.processes, "appendonly yes\nappendfsync always")
    jobs = Jobs(site, tmp_path, pool, server.url)
    jobs.send(3000)
    with jobs.node():
        for _ in range(RESTARTS):
            jobs.work(20)
            time.sleep(chance.uniform(0, 0.1))
            server.kill()
            server.start()
            assert server.client.llen(QUEUE)
        jobs.wait_for_all(server.client)
    assert_atomic(server.client)
    server.kill()
    assert jobs.missing() == set()


@POOLS
def test_a_failover_loses_nothing_that_the_replica_had(site, tmp_path, pool):
    """Each batch of jobs is on the replica before it counts, as `WAIT` promises."""
    sentinels = Sentinels(site.processes)
    jobs = Jobs(
        site,
        tmp_path,
        pool,
        sentinels.url,
        "poolrace.transport:SentinelTransport",
        publish_to=sentinels.master.url,
        master_name="shop",
    )
    jobs.send(2000)
    fence(sentinels.master.client)
    with jobs.node():
        jobs.work(100)
        assert sentinels.master.client.llen(QUEUE)
        sentinels.master.kill()
        until(lambda: sentinels.replica.client.role()[0] == b"master")
        jobs.wait_for_all(sentinels.replica.client)
    assert jobs.missing() == set()
    assert_atomic(sentinels.replica.client)


def assert_atomic(client):
    """Check that a server was asked for messages as this transport asks, and never as kombu's own does."""
    calls = {name.removeprefix("cmdstat_"): stat["calls"] for name, stat in client.info("commandstats").items()}
    assert calls.get("evalsha", 0) > 0
    assert "brpop" not in calls


def fence(client):
    """Wait until the replica has all that was written before."""
    client.set("fence", 1)
    assert client.wait(1, 5000) == 1


ENVELOPE = (
    b'{"body": "W10=", "headers": %s, "properties": {"delivery_tag": %s, "body_encoding": "base64", '
    b'"delivery_info": {"exchange": "", "routing_key": "counted"}}}'
)
RUBBISH = [
    b"",
    b"{",
    b"\xff\xfe",
    b"null",
    b"[" * 5000 + b"]" * 5000,
    b'{"x": "' + b"y" * 100_000 + b'"}',
    ENVELOPE % (b"{}", b"null"),
    ENVELOPE % (b"[1]", b'"b"'),
    (ENVELOPE % (b"{}", b'"c"')).replace(b'"body"', b'"no body"'),
    (ENVELOPE % (b"{}", b'"d"')).replace(b"W10=", b"A"),
    (ENVELOPE % (b"{}", b'"e"')).replace(b'""', b"[]"),
]


def test_rubbish_under_load_is_set_aside_once_and_reported_across_a_kill(site, tmp_path):
    chance = random.Random(1)
    site.client.flushdb()
    jobs = Jobs(site, tmp_path, "threads", site.broker.url)
    for raw in RUBBISH:
        jobs.send(chance.randrange(100, 300))
        site.client.lpush(QUEUE, raw)
    with jobs.node():
        jobs.work(jobs.sent // 2)
    assert site.client.llen(QUEUE)
    before = len(dead_letters(site.client))
    jobs.log.rename(tmp_path / "first.log")  # its last report may have died with it
    for raw in RUBBISH:
        jobs.send(chance.randrange(1, 60))
        site.client.lpush(QUEUE, raw.replace(b'"delivery_tag": "', b'"delivery_tag": "second '))
    with jobs.node():
        jobs.wait_for_all(site.client)
    assert jobs.missing() == set()
    aside = [json.loads(entry.decode(errors="surrogateescape")) for entry in dead_letters(site.client)]
    found = [entry["message"].encode(errors="surrogateescape").replace(b"second ", b"") for entry in aside]
    assert Counter(found) == Counter(2 * RUBBISH)
    assert all(entry["reason"] for entry in aside)
    assert jobs.log.read_text().count("message set aside") == len(aside) - before


def dead_letters(client):
    return client.lrange("unacked_dead_letter", 0, -1)
