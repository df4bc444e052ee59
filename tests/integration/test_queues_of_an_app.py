"""Each of an app's own queues has a counterpart in the lane: jobs wait there, are seen there, and are done."""

import os
import uuid
from pathlib import Path

import pytest
from integration.commands import until

from producer.fleet.local import LocalFleet
from producer.fleet.queue_depth import Depth, depth, waiting
from producer.measure.order import Order
from producer.measure.sender import JobSender
from producer.ownapp.introspect import ask
from producer.plan.arrivals import backlog
from producer.plan.lanes import parse_lanes

APP = Path(__file__).parents[1] / "apps" / "routes"
JOBS = 12


@pytest.fixture(scope="module")
def own_app():
    return ask(
        "postoffice:app", folder=APP, jobs=str(APP / "jobs.jsonl"), tasks=(), python="", environment=os.environ,
        seed=1, timeout_s=60, keep_backend=False, patience_s=60,
    )  # fmt: skip


@pytest.fixture
def fleet(own_app, tmp_path):
    lanes = parse_lanes(("threads:2",), slots=2, prefetch=1, acks="early", least=1)
    with LocalFleet(
        uuid.uuid4().hex[:16], lanes, logs=tmp_path, broker_url=None, needs_upstream=False, ready_s=60, own_app=own_app
    ) as fleet:
        yield fleet


def send(fleet, own_app, task):
    """Some jobs of a task, in a plan of their own."""
    (lane,) = fleet.lanes
    order = Order(
        run_id=fleet._run_id, trial=1, calls=own_app.jobs[task].calls, queue=fleet.queue(lane), plan=backlog(JOBS)
    )
    with fleet.app.connection_for_write() as connection:
        sender = JobSender(fleet.app, connection.Producer())
        sender.send(order, [(seq, 0.0) for seq in range(JOBS)], lambda: 0.0)


@pytest.mark.parametrize(
    ("task", "queue"), [("stamp", ""), ("letter", ""), ("report", ".reports"), ("audit", ".reports")]
)
def test_a_job_waits_where_the_apps_routes_would_have_it_wait(fleet, own_app, task, queue):
    (lane,) = fleet.lanes
    send(fleet, own_app, task)
    with fleet.app.connection_for_read() as connection:
        found = {name.removeprefix(fleet.queue(lane)): depth(connection, name) for name in fleet.queues(lane)}
        assert found == {name: Depth(ready=JOBS if name == queue else 0, unacked=0) for name in ("", ".reports")}
        assert depth(connection, *fleet.queues(lane)) == Depth(ready=JOBS, unacked=0)
    assert waiting(fleet.app, fleet.queues(lane), fleet._run_id, 1) == list(range(JOBS))


def test_the_lanes_node_does_the_jobs_of_every_queue(fleet, own_app):
    (lane,) = fleet.lanes
    for task in ("stamp", "report"):
        send(fleet, own_app, task)
    with fleet.app.connection_for_read() as connection:
        assert depth(connection, *fleet.queues(lane)) == Depth(ready=2 * JOBS, unacked=0)
        fleet.start(lane)
        until(lambda: depth(connection, *fleet.queues(lane)) == Depth(ready=0, unacked=0))
    (node,) = fleet.app.control.inspect(timeout=10, limit=1).stats().values()
    done = {name: count for name, count in node["total"].items() if name.startswith("postoffice.")}
    assert done == {"postoffice.stamp": JOBS, "postoffice.report": JOBS}
