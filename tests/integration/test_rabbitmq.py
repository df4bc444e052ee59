"""An app whose broker is RabbitMQ: raced on the embedded broker by default, on a real RabbitMQ if that is wanted."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from celery import Celery
from integration.commands import until
from kombu.exceptions import OperationalError

from producer.fleet.processes import Processes
from producer.rundir.reader import read_run

APP = Path(__file__).parents[1] / "apps" / "rabbit"
POOLRACE = str(Path(sys.executable).with_name("poolrace"))
SERVER = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin") or shutil.which("rabbitmq-server")
"""Debian's own start script would become another user first."""

TINY = ("--concurrency", "2", "--pairs", "1", "--duration", "0.1s", "--utilisation", "0.2")
PATIENCE_S = 200
GENERATOR_LATE = 4

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(
        SERVER is None and os.environ.get("POOLRACE_RABBITMQ") != "required",
        reason="rabbitmq-server (Debian's package) is not installed",
    ),
]


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def rabbit():
    """A RabbitMQ of our own, and its URL."""
    port, distribution, mapper = free_port(), free_port(), free_port()
    with Processes() as processes:
        folder = processes.folder()
        (folder / "plugins").write_text("[].")
        config = folder / "rabbitmq.conf"
        config.write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\nloopback_users = none\n")
        log = folder / "server.log"
        environment = {
            **os.environ,
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"poolrace{port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "logs"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-setcookie poolrace",
        }
        # Started by the server itself, it would stay when the server ends.
        processes.start("epmd", [shutil.which("epmd"), "-port", str(mapper)], env=environment, cwd=folder, log=log)
        child = processes.start("rabbitmq", [SERVER], env=environment, cwd=folder, log=log)
        url = f"amqp://guest:guest@127.0.0.1:{port}//"
        deadline = time.monotonic() + 90
        while not reachable(url):
            child.check()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.3)
        yield url


def reachable(url):
    try:
        with Celery("probe", broker=url, set_as_current=False).connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
            return True
    except OperationalError:
        return False


def recorded_on(url, folder):
    """Record the same traffic on a broker, from the events of a node there: the counts, and the jobs without times."""
    jobs = folder / "jobs.jsonl"
    sender = Celery("sender", broker=url, set_as_current=False)
    sender.conf.update(task_send_sent_event=True, task_default_queue="burrow", task_default_queue_type="classic")
    with Processes() as processes:
        log = folder / "node.log"
        words = [sys.executable, "-m", "celery", "-A", "burrow", "worker", "-P", "threads", "-c", "2", "-E"]
        environment = {**os.environ, "CELERY_BROKER_URL": url}
        processes.start("node", [*words, "--loglevel", "INFO"], env=environment, cwd=APP, log=log)
        assert until(lambda: " ready." in log.read_text())
        command = subprocess.Popen(
            [POOLRACE, "record", "--broker", url, "--jobs", str(jobs), "--duration", "6s", "--args", "keep",
             "--yes-live", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert command.stderr.readline() == "Listening. No job so far\n"
        dig, graze = (partial(sender.signature, f"burrow.{name}", immutable=True) for name in ("dig", "graze"))
        for job in (
            dig([1000]),
            graze(kwargs={"minutes": 4}).set(queue="meadow", expires=600),
            dig([7]).set(countdown=2),
            dig([3]) | graze([5]),
            dig([9]).set(headers={"tenant": "north"}),
        ):
            job.apply_async()
            time.sleep(0.3)
        out, err = command.communicate(timeout=PATIENCE_S)
        assert command.returncode == 0, err
    lines = [json.loads(line) for line in jobs.read_text().splitlines()]
    # When a job came, and so how long before it expires, differs by what a send takes.
    whole = [{**line, "expires": round(line["expires"])} if "expires" in line else line for line in lines]
    return json.loads(out), [{key: value for key, value in line.items() if key != "at"} for line in whole]


def test_a_recording_of_the_same_traffic_on_redis_and_on_rabbitmq_agrees(rabbit, site, tmp_path):
    found = []
    for url in (rabbit, site.broker.url):
        folder = tmp_path / url.partition(":")[0]
        folder.mkdir()
        found.append(recorded_on(url, folder))
    (counts, lines), (counts_on_redis, lines_on_redis) = found
    assert lines == lines_on_redis
    assert [(line["task"], line.get("args")) for line in lines] == [
        ("burrow.dig", [1000]), ("burrow.graze", None), ("burrow.dig", [3]), ("burrow.dig", [9]), ("burrow.dig", [7]),
    ]  # fmt: skip
    assert (counts["jobs"], counts["children"]) == (counts_on_redis["jobs"], counts_on_redis["children"]) == (5, 1)


def race(out, *words):
    return subprocess.run(
        [POOLRACE, "race", "--app", "burrow:app", "--jobs", "jobs.jsonl", *TINY, "--out", str(out), "--json", *words],
        cwd=APP, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def assert_raced(done, out):
    assert done.returncode in {0, GENERATOR_LATE}, done.stderr
    summary = json.loads(done.stdout)
    assert summary["settlement"]["done"] == summary["settlement"]["sent"] > 0
    assert set(read_run(out / summary["run"]["directory"]).records["lane"].unique()) == {"prefork", "threads"}
    return summary


def test_an_app_on_rabbitmq_is_raced_on_the_embedded_broker(tmp_path):
    summary = assert_raced(race(tmp_path), tmp_path)
    assert summary["settings"]["app"]["facts"]["broker_scheme"] == "amqp"


def test_it_is_raced_on_rabbitmq_itself_once_that_is_confirmed_and_its_queue_is_left_alone(rabbit, tmp_path):
    production = Celery("production", broker=rabbit, set_as_current=False)
    production.send_task("burrow.dig", queue="celery")
    refused = race(tmp_path, "--broker", rabbit)
    assert refused.returncode == 2
    assert "--yes-live" in refused.stderr
    assert_raced(race(tmp_path, "--broker", rabbit, "--yes-live"), tmp_path)
    with production.connection_for_read() as connection:
        waiting = connection.default_channel.queue_declare("celery", passive=True).message_count
    assert until(lambda: waiting == 1)
