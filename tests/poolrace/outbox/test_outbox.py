"""An outbox writes jobs down before they are sent, sends again what is not settled, and nothing else."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from billiard.exceptions import WorkerLostError
from celery import Celery, chain, signals

from poolrace.outbox import Outbox, OutboxError, settle_on

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = "redis://127.0.0.1:1/0"


def nothing(*_: Any) -> None:
    """What no test runs here."""


@pytest.fixture
def app() -> Iterator[Celery]:
    """An app on a broker in memory, with a task."""
    with Celery("shop", broker="memory://", set_as_current=False) as made:
        made.conf.task_ignore_result = True
        made.task(name="shop.charge", shared=False)(nothing)
        with made.connection_for_write() as connection:
            queue = made.amqp.queues["celery"](connection.default_channel)
            queue.declare()
            queue.purge()  # what an earlier test left in memory
        yield made


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "outbox.sqlite3")


def charge(app: Celery, *arguments: Any) -> Any:
    return app.signature("shop.charge", arguments)


def messages(app: Celery) -> list[tuple[str, Any]]:
    """Take all messages from the broker: the id and the arguments of each."""
    found = []
    with app.connection_for_read() as connection:
        queue = app.amqp.queues["celery"](connection.default_channel)
        while message := queue.get(no_ack=True):
            found.append((message.headers["id"], json.loads(message.body)[0]))
    return found


def ids(app: Celery) -> list[str]:
    return [task_id for task_id, _ in messages(app)]


def end(app: Celery, task_id: str, signal: Any = signals.task_success, **facts: Any) -> None:
    """Have a node say how a job ended."""
    signal.send(sender=app.tasks["shop.charge"], task_id=task_id, **facts)


def test_a_job_is_sent_as_it_is_and_remembered_until_a_node_settles_it(app: Celery, place: str) -> None:
    settle_on(app, place)
    outbox = Outbox(app, place)
    sent = outbox.send(charge(app, 7))
    assert messages(app) == [(sent.id, [7])]
    assert outbox.waiting() == 1
    # The signal says no id; that of the request that runs is taken.
    task = app.tasks["shop.charge"]
    task.push_request(id=sent.id)
    signals.task_success.send(sender=task, result=None)
    task.pop_request()
    assert outbox.waiting() == 0


def test_what_is_not_settled_in_time_is_sent_again_under_its_id(app: Celery, place: str) -> None:
    outbox = Outbox(app, place)
    sent = outbox.send(charge(app, 7))
    messages(app)
    assert outbox.send_again(after_s=60) == []
    assert outbox.send_again(after_s=0) == [sent.id]
    assert messages(app) == [(sent.id, [7])]


def test_one_that_was_sent_again_has_its_time_anew(app: Celery, place: str) -> None:
    outbox = Outbox(app, place)
    outbox.send(charge(app, 7))
    time.sleep(0.3)
    assert len(outbox.send_again(after_s=0.2)) == 1
    assert outbox.send_again(after_s=0.2) == []


def test_a_broker_that_is_away_is_no_error_and_the_job_is_sent_when_it_is_back(app: Celery, place: str) -> None:
    with Celery("shop", broker=NOBODY, set_as_current=False) as cut_off:
        sent = Outbox(cut_off, place).send(charge(cut_off, 7), retry=False)
    assert Outbox(app, place).send_again(after_s=0) == [sent.id]
    assert ids(app) == [sent.id]


def test_a_job_that_cannot_be_written_down_is_not_sent(app: Celery, place: str) -> None:
    outbox = Outbox(app, place)
    with pytest.raises(TypeError):
        outbox.send(charge(app, object()))
    with closing(sqlite3.connect(place)) as database, database:
        database.execute("DROP TABLE outbox")
    with pytest.raises(OutboxError, match="no such table"):
        outbox.send(charge(app, 7))
    assert messages(app) == []


def test_a_place_that_cannot_be_made_is_told(app: Celery, tmp_path: Path) -> None:
    with pytest.raises(OutboxError, match=r"unable to open .* Name a file in a folder that can be written"):
        Outbox(app, str(tmp_path / "none" / "outbox"))
    with pytest.raises(OutboxError, match="the outbox's server"):
        Outbox(app, NOBODY)


def test_what_is_no_single_task_is_refused(app: Celery, place: str) -> None:
    with pytest.raises(TypeError, match="no single task"):
        Outbox(app, place).send(chain(charge(app, 1), charge(app, 2)))


def test_a_failed_job_is_settled_but_not_one_whose_process_died(app: Celery, place: str) -> None:
    settle_on(app, place)
    outbox = Outbox(app, place)
    raised, died = outbox.send(charge(app, 1)), outbox.send(charge(app, 2))
    end(app, raised.id, signals.task_failure, exception=ValueError())
    end(app, died.id, signals.task_failure, exception=WorkerLostError())
    assert outbox.send_again(after_s=0) == [died.id]


def test_a_job_that_was_sent_too_often_is_sent_no_more_and_stays_there(app: Celery, place: str) -> None:
    outbox = Outbox(app, place, most_times=3)
    outbox.send(charge(app, 7))
    assert [len(outbox.send_again(after_s=0)) for _ in range(4)] == [1, 1, 0, 0]
    assert outbox.waiting() == 1


def test_jobs_of_another_app_of_the_same_process_are_not_touched(app: Celery, place: str) -> None:
    settle_on(app, place)
    outbox = Outbox(app, place)
    sent = outbox.send(charge(app, 7))
    with Celery("other", broker="memory://", set_as_current=False) as other:
        other.task(name="shop.charge", shared=False)(nothing)
        end(other, sent.id)
    assert outbox.waiting() == 1


def test_options_of_a_signature_are_kept(app: Celery, place: str) -> None:
    outbox = Outbox(app, place)
    outbox.send(charge(app, 7).set(queue="celery", headers={"tenant": "x"}), priority=3)
    messages(app)
    outbox.send_again(after_s=0)
    with app.connection_for_read() as connection:
        message = app.amqp.queues["celery"](connection.default_channel).get(no_ack=True)
    assert message.headers["tenant"] == "x"
    assert message.properties["priority"] == 3


def test_threads_use_one_outbox_at_the_same_time(app: Celery, place: str) -> None:
    outbox = Outbox(app, place)
    threads = [
        threading.Thread(target=lambda: [outbox.send(charge(app, each)) for each in range(20)]) for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert outbox.waiting() == 80
