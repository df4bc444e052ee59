"""Either way of listening, and both, see every job of a live queue as it was sent; nothing in the broker changes."""

import threading
import time

import pytest
from integration.commands import until
from integration.test_backlog import taker
from kombu import Consumer, Exchange, Queue

from producer.ownapp.event_listener import EVENTS, QUEUE
from producer.ownapp.queue_reader import PAGE, QueueReader
from producer.ownapp.recorder import record_jobs

JOBS, EVERY_S, COUNTDOWN_S = 40, 0.05, 0.3
TAIL_S = 1.5
SLACK_S = 1.0
"""A busy machine may be late; an order of arrivals that is wrong, or a clock that is, is further off."""


@pytest.fixture(scope="module")
def live(site):
    """A node that sends events, as in production."""
    node = site.start_node("live", "threads", worker_send_task_events=True)
    yield node
    site.processes.stop(node.child)


def test_it_says_that_it_listens_when_the_broker_knows_it(site):
    before, patterns = site.client.pubsub_numpat(), []

    def count(_):
        patterns.append(site.client.pubsub_numpat())

    record_jobs(site.broker.url, {}, queues=(), ways={EVENTS}, duration_s=0.1, on_count=count)
    assert patterns[0] > before


@pytest.fixture
def queue(request):
    return request.node.name


def keys(site):
    """What the broker holds, but for what jobs and replies of others come and go with."""
    return {key for key in site.client.keys("*") if b"pidbox" not in key and b"unacked" not in key}


def acknowledge(*taken):
    """Let a taker have nothing to put back: kombu does that from a connection that it never closes."""
    for message in taken:
        message.ack()


def recorded_meanwhile(site, queues, ways, send):
    """What is recorded while jobs are sent."""
    found, counts = [], []
    for_s = JOBS * EVERY_S + COUNTDOWN_S + TAIL_S

    def listen():
        found.append(
            record_jobs(site.broker.url, {}, queues=queues, ways=ways, duration_s=for_s, on_count=counts.append)
        )

    listener = threading.Thread(target=listen)
    listener.start()
    until(lambda: counts)
    send()
    listener.join()
    assert counts[0] == {}
    return found[0]


@pytest.mark.parametrize(
    "ways",
    [
        pytest.param({EVENTS}, marks=pytest.mark.heavy, id="events"),
        pytest.param({QUEUE}, marks=pytest.mark.heavy, id="queue"),
        pytest.param({EVENTS, QUEUE}, id="both"),
    ],
)
def test_every_job_is_recorded_as_it_was_sent_and_done_all_the_same(site, live, tmp_path, ways):
    sent = []
    before = keys(site)

    def send():
        began_s = time.monotonic()
        for number in range(JOBS):
            # By the clock, so that sends that take long on a busy machine do not add up beyond the recording's end.
            time.sleep(max(0.0, began_s + number * EVERY_S - time.monotonic()))
            path = str(tmp_path / f"{number}")
            sent.append((time.time(), path))
            # Looked at in place, a job must lie there for a moment: it waits in the node for its time.
            site.app.send_task(
                "foreign.touch", [], {"path": path}, queue=live.queue, countdown=COUNTDOWN_S, headers={"tenant": path}
            )

    found = recorded_meanwhile(site, [live.queue] if QUEUE in ways else [], ways, send)
    until(lambda: len(list(tmp_path.iterdir())) == JOBS)
    assert [(job.task, job.args, job.kwargs) for job in found.jobs] == [
        ("foreign.touch", [], {"path": path}) for _, path in sent
    ]
    late_s = [job.at - (at + COUNTDOWN_S) for job, (at, _) in zip(found.jobs, sent, strict=True)]
    assert max(map(abs, late_s)) < SLACK_S
    assert found.events_only == (0 if len(ways) == 2 else None)
    if QUEUE in ways:
        assert [(job.queue, job.headers) for job in found.jobs] == [(live.queue, {"tenant": path}) for _, path in sent]
    until(lambda: keys(site) == before)


def test_a_long_backlog_is_left_out_and_what_comes_on_top_of_it_is_seen(site, queue):
    with site.app.connection_for_read() as connection:
        reader = QueueReader(connection, [queue])
        for number in range(PAGE + 20):
            site.app.send_task("foreign.ok", [number], queue=queue)
        reader.read()
        assert (len(reader.before), reader.jobs) == (PAGE + 20, {})
        for number in range(2 * PAGE + 30):
            site.app.send_task("foreign.ok", [number], queue=queue, priority=number % 10)
        reader.read()
    assert sorted(job.args[0] for job in reader.jobs.values()) == list(range(2 * PAGE + 30))
    assert sum(site.client.llen(key) for key in site.client.keys(f"{queue}*")) == 3 * PAGE + 50


def test_a_job_that_a_node_has_taken_is_seen(site, queue):
    with site.app.connection_for_read() as connection:
        reader = QueueReader(connection, [queue])
        reader.read()
        site.app.send_task("foreign.ok", [7], queue=queue)
        site.app.send_task("foreign.ok", [8], queue=queue + " of others")
        with taker(site, queue, 1) as taken, taker(site, queue + " of others", 1) as others:
            assert site.client.llen(queue) == 0
            reader.read()
            acknowledge(*taken, *others)
    assert [job.args for job in reader.jobs.values()] == [[7]]


def test_jobs_of_one_look_are_noted_in_the_order_in_which_they_came(site, queue):
    """More than a page, the first of them with a node already; all have the time of the look."""
    with site.app.connection_for_read() as connection:
        reader = QueueReader(connection, [queue])
        reader.read()
        for number in range(PAGE + 20):
            site.app.send_task("foreign.ok", [number], queue=queue)
        with taker(site, queue, 5) as taken:
            reader.read()
            acknowledge(*taken)
    assert [job.args[0] for job in reader.jobs.values()] == list(range(PAGE + 20))


def test_a_job_that_was_taken_is_known_by_its_queues_binding(site, queue):
    bound = Queue(queue, Exchange(f"exchange of {queue}"), routing_key="another.name")
    with site.app.connection_for_read() as looking, site.app.connection_for_read() as taking:
        reader = QueueReader(looking, [queue])
        reader.read()
        taken = []
        consumer = Consumer(taking.default_channel, [bound], callbacks=[lambda _, message: taken.append(message)])
        consumer.accept = None
        with consumer:
            site.app.send_task("foreign.ok", [7], exchange=bound.exchange, routing_key="another.name")
            while not taken:
                taking.drain_events(timeout=60)
            reader.read()
        acknowledge(*taken)
    assert [job.args for job in reader.jobs.values()] == [[7]]


def test_retries_and_children_are_no_jobs_of_their_own(site, queue):
    with site.app.connection_for_read() as connection:
        reader = QueueReader(connection, [queue])
        reader.read()
        site.app.send_task("foreign.ok", queue=queue, retries=1)
        site.app.send_task("foreign.ok", queue=queue, parent_id="parent", root_id="parent")
        reader.read()
    assert len(reader.before) == 1
    assert [job.child for job in reader.jobs.values()] == [True]
