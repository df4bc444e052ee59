"""Publisher processes on a real broker: each job is sent once, and the ledger tells what the broker took."""

import base64
import json
import multiprocessing
import time

import numpy as np
import psutil
import pytest
from integration.commands import until
from kombu import Connection, Producer

from poolrace.contract import HEADER, Stamp
from producer.errors import FleetError
from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes
from producer.measure.order import BATCH_JOBS, Order
from producer.measure.publishers import Publishers
from producer.measure.sender import JobSender
from producer.plan.arrivals import Plan, backlog, constant, poisson
from producer.plan.jobs import Call

RUN_ID = "00112233445566ff"


def order_of(plan, queue, *, trial=3, args=(7, "x")):
    return Order(run_id=RUN_ID, trial=trial, calls=(Call("foreign.ok", args),), queue=queue, plan=plan)


def on_broker(site, queue):
    """Messages in a queue, oldest first."""
    return [json.loads(raw) for raw in reversed(site.client.lrange(queue, 0, -1))]


def stamps(messages):
    return [Stamp.from_header(message["headers"][HEADER]) for message in messages]


PLANS = {
    "backlog of many batches": backlog(3 * BATCH_JOBS + 201),
    "constant": constant(400.0, 0.5),
    "poisson": poisson(400.0, 0.5, seed=7),
    "one job": backlog(1),
}
LIGHT = {
    (1, "backlog of many batches"), (3, "backlog of many batches"), (3, "constant"), (1, "poisson"), (3, "one job"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("count", "plan"),
    [
        pytest.param(count, plan, marks=() if (count, plan) in LIGHT else pytest.mark.heavy)
        for count in (1, 3)
        for plan in PLANS
    ],
)
def test_every_job_is_sent_exactly_once(site, request, plan, count):
    queue, plan = request.node.name, PLANS[plan]
    with Publishers(site.broker.url, count) as publishers:
        start_at = publishers.begin(order_of(plan, queue))
        ledger = publishers.ledger()
    assert site.client.llen(queue) == plan.jobs
    sent = sorted(stamps(on_broker(site, queue)), key=lambda stamp: stamp.seq)
    assert [stamp.seq for stamp in sent] == ledger["seq"].to_list() == list(range(plan.jobs))
    assert {(stamp.run_id, stamp.trial) for stamp in sent} == {(RUN_ID, 3)}
    assert [stamp.due_at for stamp in sent] == ledger["due_at"].to_list() == (start_at + plan.due_s).tolist()
    assert [stamp.sent_at for stamp in sent] == ledger["sent_at"].to_list()
    assert (ledger["due_at"] <= ledger["sent_at"]).all()
    assert (ledger["sent_at"] <= ledger["accepted_at"]).all()
    assert ledger["accepted_at"].null_count() == 0


def test_a_message_is_what_celery_itself_would_send(site):
    with Publishers(site.broker.url) as publishers:
        publishers.begin(order_of(backlog(2), "ours"))
        publishers.ledger()
    site.app.send_task("foreign.ok", (7, "x"), queue="celerys", task_id=f"{RUN_ID}-3-0", ignore_result=True)
    ours, second = on_broker(site, "ours")
    (celerys,) = on_broker(site, "celerys")
    assert [ours["headers"]["id"], second["headers"]["id"]] == [f"{RUN_ID}-3-0", f"{RUN_ID}-3-1"]
    assert json.loads(base64.b64decode(ours["body"])) == json.loads(base64.b64decode(celerys["body"]))
    stamp = ours["headers"].pop(HEADER)
    assert stamp == Stamp.from_header(stamp).to_header()
    # It names the process that sent it; and of its result the node's own setting decides.
    told = {"origin", "ignore_result"}
    assert "ignore_result" not in ours["headers"]
    assert without(ours["headers"], told) == without(celerys["headers"], told)
    assert (ours["content-type"], ours["content-encoding"]) == (celerys["content-type"], celerys["content-encoding"])
    differ = {"delivery_tag", "delivery_info", "reply_to"}
    assert without(ours["properties"], differ) == without(celerys["properties"], differ)


def without(mapping, keys):
    return {key: value for key, value in mapping.items() if key not in keys}


def test_publishers_take_one_order_after_the_other(site):
    with Publishers(site.broker.url, 2) as publishers:
        for trial in (0, 1):
            publishers.begin(order_of(backlog(5), "in turn", trial=trial))
            assert publishers.ledger()["trial"].to_list() == [trial] * 5
    sent = sorted((stamp.trial, stamp.seq) for stamp in stamps(on_broker(site, "in turn")))
    assert sent == [(trial, seq) for trial in (0, 1) for seq in range(5)]


@pytest.mark.parametrize("count", [1, pytest.param(3, marks=pytest.mark.heavy)])
def test_what_a_broker_that_stops_did_not_take_is_null_in_the_ledger(count):
    # The broker is stopped in the pause, of 3.5 s.
    due_s = np.arange(100) / 200.0
    plan = Plan(due_s=np.concatenate([due_s, due_s + 4.0]), rate_per_s=None)
    with Processes() as processes:
        broker = start_embedded(processes, processes.folder())
        with Publishers(broker.url, count) as publishers:
            publishers.begin(order_of(plan, "cut"))
            stop_once_it_took(broker, "cut", 100)
            ledger = publishers.ledger()
    assert ledger["seq"].to_list() == list(range(plan.jobs))
    assert ledger["accepted_at"].is_not_null().to_list() == [True] * 100 + [False] * 100
    assert ledger["sent_at"].null_count() == 0
    assert (ledger["due_at"] <= ledger["sent_at"]).all()


def stop_once_it_took(broker, queue, jobs):
    with Connection(broker.url) as connection:
        client = connection.default_channel.client
        until(lambda: client.llen(queue) >= jobs)
        client.shutdown(nosave=True)


def test_leaving_the_context_ends_the_processes_even_at_work(site):
    with Publishers(site.broker.url, 3) as publishers:
        started = multiprocessing.active_children()
        assert len(started) == 3
        publishers.begin(order_of(constant(1.0, 600.0), "left"))
        assert all(process.is_alive() for process in started)
        pids = [process.pid for process in started]
    assert multiprocessing.active_children() == []
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_an_error_inside_the_context_ends_the_processes(site):
    with pytest.raises(ZeroDivisionError), Publishers(site.broker.url, 2):
        raise ZeroDivisionError
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("when", ["before it has an order", "at work"])
def test_a_dead_publisher_is_a_fleet_error_while_the_others_still_send(site, when, which):
    order = order_of(constant(1.0, 600.0), "dead")
    with Publishers(site.broker.url, 2) as publishers:
        victim = sorted(multiprocessing.active_children(), key=lambda process: process.pid)[which]
        if when == "at work":
            publishers.begin(order)
        victim.kill()
        victim.join()
        with pytest.raises(FleetError, match="publisher process died"):
            give_and_wait(publishers, order, begun=when == "at work")
    assert multiprocessing.active_children() == []


def give_and_wait(publishers, order, *, begun):
    if not begun:
        publishers.begin(order)
    publishers.ledger()


def test_a_broker_that_cannot_be_reached_is_a_fleet_error():
    with pytest.raises(FleetError, match="cannot reach the broker"):
        Publishers("redis://127.0.0.1:1/0", 2).__enter__()
    assert multiprocessing.active_children() == []


def test_a_sender_has_one_client_for_all_its_batches_and_another_once_the_pool_is(site, monkeypatch):
    with site.app.connection_for_write() as connection:
        producer = Producer(connection)
        made = []
        make = producer.channel._create_client
        monkeypatch.setattr(producer.channel, "_create_client", lambda *a, **k: made.append(1) or make(*a, **k))
        sender = JobSender(site.app, producer)
        order = Order(run_id=RUN_ID, trial=0, calls=(Call("worker.noop"),), queue="kept", plan=backlog(4))
        for seq in range(3):
            sender.send(order, [(seq, 0.0)], time.time)
        assert (len(made), site.client.llen("kept")) == (1, 3)
        producer.channel._pool = None
        sender.send(order, [(3, 0.0)], time.time)
        assert (len(made), site.client.llen("kept")) == (2, 4)
