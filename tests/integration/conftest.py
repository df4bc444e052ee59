"""A real broker, and real nodes of an app that is not ours."""

import json
import os
import secrets
import socket
import sys
import time
from pathlib import Path

import pytest
from celery import Celery
from integration.commands import until
from kombu import Producer

from producer.fleet.control import Control
from producer.fleet.embedded import start_embedded
from producer.fleet.environment import inherited_environment
from producer.fleet.processes import Processes
from producer.measure.collector import Collector
from producer.measure.order import Order
from producer.measure.sender import JobSender
from producer.plan.arrivals import backlog
from producer.plan.jobs import Call

APPS = Path(__file__).parents[1] / "apps"
ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
SLOTS = 2
PREFETCH = 4


class Site:
    """
    A broker, and the processes around it.

    Attributes:
        processes: Where all that is started is noted.
        folder: Temporary, gone at the end.
        broker: The embedded broker.
        app: A Celery app on it, that knows no tasks.
        client: The broker itself, to look into.
    """

    def __init__(self, processes):
        self.processes = processes
        self.folder = processes.folder()
        self.broker = start_embedded(processes, self.folder)
        self.app = Celery("site", broker=self.broker.url, set_as_current=False)
        self._connection = self.app.connection_for_write()
        self.client = self._connection.default_channel.client

    def close(self):
        self._connection.release()
        self.app.close()  # with the connections from which it sent

    def start_node(self, name, pool, **settings):
        """A node of the foreign app, once it answers, on a queue of its own."""
        node = Node(self, name, pool, settings)
        control = Control(self.app)
        try:
            until(lambda: node.child.check() or control.ping_s(node.name, 0.25))
        finally:
            control.close()
        return node


class Node:
    """A node of the foreign app with two slots."""

    def __init__(self, site, name, pool, settings):
        self.site = site
        self.pool = pool
        self.name = f"{name}@{socket.gethostname()}"
        self.queue = f"queue.{name}"
        self.log = site.folder / f"{name}.log"
        self.child = site.processes.start(
            f"node {name}",
            [
                sys.executable, "-m", "celery", "-A", "foreign", "worker", "-P", pool, "-c", str(SLOTS),
                "-n", self.name, "-Q", self.queue, "--without-gossip", "--without-mingle", "--loglevel", "WARNING",
            ],
            log=self.log,
            env={
                **inherited_environment(os.environ),
                # These sources, wherever an installed poolrace has its own.
                "PYTHONPATH": os.pathsep.join(map(str, (APPS, ROOT))),
                "FOREIGN_BROKER_URL": site.broker.url,
                "FOREIGN_SETTINGS": json.dumps({"worker_prefetch_multiplier": PREFETCH // SLOTS, **settings}),
            },
            cwd=site.folder,
        )  # fmt: skip


class Run:
    """
    Sends stamped jobs to a node and collects what it records of them.

    Use as a context manager; leaving it removes the records queue.
    """

    def __init__(self, node):
        self.node = node
        self.app = node.site.app
        self.run_id = secrets.token_hex(8)
        self._collector = Collector(
            self.app, self.run_id, lane_of={node.name: "the lane"}
        )  # fmt: skip
        self._records = []
        self._samples = []
        self._next = 0

    def __enter__(self):
        self._collector.__enter__()
        return self

    def __exit__(self, *exc):
        self._collector.__exit__(*exc)

    def send(self, task, *args, jobs=1, trial=0):
        """Send jobs of a task; returns their sequence numbers, which go on from the last call."""
        seqs = list(range(self._next, self._next + jobs))
        self._next += jobs
        order = Order(
            run_id=self.run_id, trial=trial, calls=(Call(f"foreign.{task}", args),), queue=self.node.queue,
            plan=backlog(jobs),
        )  # fmt: skip
        due_at = time.time()
        with self.app.connection_for_write() as connection:
            JobSender(self.app, Producer(connection)).send(order, [(seq, due_at) for seq in seqs], time.time)
        return seqs

    def job_id(self, seq, trial=0):
        return f"{self.run_id}-{trial}-{seq}"

    def records(self, count):
        """All records so far, once there are at least so many; in order of sequence and attempt."""
        until(lambda: self._poll() or len(self._records) >= count)
        return sorted(self._records, key=lambda record: (record["seq"], record["attempt"]))

    def samples(self, enough):
        """All node samples so far, once there are enough of them."""
        until(lambda: self._poll() or enough(self._samples))
        return self._samples

    def _poll(self):
        self._collector.poll(0.1)
        records, samples, _ = self._collector.take()
        self._records += records.to_dicts()
        self._samples += samples.to_dicts()


@pytest.fixture(scope="module")
def site():
    with Processes() as processes:
        site = Site(processes)
        yield site
        site.close()


@pytest.fixture(scope="module", params=["prefork", "threads"])
def node(site, request):
    """A node of either pool, that the tests of a module share."""
    node = site.start_node(request.param, request.param)
    yield node
    site.processes.stop(node.child)


@pytest.fixture(scope="module")
def prefork(site):
    """A prefork node for tests of what only prefork can do."""
    node = site.start_node("alone", "prefork")
    yield node
    site.processes.stop(node.child)


@pytest.fixture
def run(node):
    with Run(node) as run:
        yield run


@pytest.fixture
def run_on():
    """Makes a run on any node: `with run_on(node) as run`."""
    return Run
