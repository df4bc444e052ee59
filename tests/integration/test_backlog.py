"""What waits on a real broker is found whether it is ready, in whichever priority list, or taken and unacknowledged."""

from contextlib import contextmanager

import pytest
from celery import Celery
from kombu import Consumer, Queue

from poolrace.contract import HEADER, Stamp
from producer.fleet.queue_depth import waiting

RUN_ID = "00112233445566ff"
OTHER_RUN = "ff66554433221100"
TRIAL = 2


@pytest.fixture
def queue(request):
    return request.node.name


def send(site, queue, seq, *, run_id=RUN_ID, trial=TRIAL, priority=0):
    stamp = Stamp(run_id=run_id, trial=trial, seq=seq, due_at=1.0, sent_at=2.0)
    site.app.send_task("foreign.ok", queue=queue, priority=priority, headers={HEADER: stamp.to_header()})


@contextmanager
def taker(site, queue, jobs):
    """Takes jobs as a node would, and acknowledges none of them by itself."""
    taken = []
    with site.app.connection_for_read() as connection:
        channel = connection.default_channel
        channel.basic_qos(0, jobs, False)
        consumer = Consumer(channel, [Queue(queue)], callbacks=[lambda _, message: taken.append(message)])
        consumer.accept = None
        with consumer:
            while len(taken) < jobs:
                connection.drain_events(timeout=60)
            yield taken


def test_an_empty_queue_has_nothing_waiting(site, queue):
    assert waiting(site.app, [queue], RUN_ID, TRIAL) == []


def test_jobs_of_every_priority_are_waiting(site, queue):
    for priority in range(10):
        send(site, queue, 100 - priority, priority=priority)
    lists = [key for key in site.client.keys("*") if queue.encode() in key]
    assert len(lists) > 1
    assert waiting(site.app, [queue], RUN_ID, TRIAL) == list(range(91, 101))


def test_only_jobs_of_this_run_trial_and_queue_are_waiting(site, queue):
    send(site, queue, 1)
    send(site, queue, 2, run_id=OTHER_RUN)
    send(site, queue, 3, trial=TRIAL + 1)
    send(site, queue + " of another lane", 4)
    site.app.send_task("foreign.ok", queue=queue)
    site.app.send_task("foreign.ok", queue=queue, headers={HEADER: "somebody else's"})
    assert waiting(site.app, [queue], RUN_ID, TRIAL) == [1]
    assert waiting(site.app, [queue], OTHER_RUN, TRIAL) == [2]
    assert waiting(site.app, [queue], RUN_ID, TRIAL + 1) == [3]


def test_jobs_that_were_taken_wait_until_they_are_acknowledged(site, queue):
    for seq in range(5):
        send(site, queue, seq)
    send(site, queue + " of another lane", 9)
    with taker(site, queue, 3) as taken, taker(site, queue + " of another lane", 1):
        assert site.client.llen(queue) == 2
        assert waiting(site.app, [queue], RUN_ID, TRIAL) == [0, 1, 2, 3, 4]
        taken[1].ack()
        assert Stamp.from_header(taken[1].headers[HEADER]).seq == 1
        assert waiting(site.app, [queue], RUN_ID, TRIAL) == [0, 2, 3, 4]


def test_jobs_that_were_taken_come_back_with_the_taker_and_are_counted_once(site, queue):
    for seq in range(4):
        send(site, queue, seq)
    with taker(site, queue, 4):
        assert site.client.llen(queue) == 0
    assert waiting(site.app, [queue], RUN_ID, TRIAL) == [0, 1, 2, 3]
    assert site.client.llen(queue) == 4


def test_a_broker_that_cannot_be_looked_into_gives_none():
    with Celery("memory", broker="memory://", set_as_current=False) as app:
        assert waiting(app, ["queue"], RUN_ID, TRIAL) is None
