"""What a drill sends of a user's app is what the app made, by an outbox too."""

from __future__ import annotations

import datetime
import pickle
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from poolrace.outbox import Outbox
from producer.measure.drilled import QUEUE, OwnSender, why_no_outbox
from producer.plan.jobs import Call, Jobs, Message
from producer.plan.own_app import OwnApp


@pytest.fixture
def app() -> Celery:
    """An app on a broker in memory."""
    return Celery("drill", broker="memory://", set_as_current=False)


def message_of(app: Celery, *arguments: Any, **options: Any) -> Message:
    """Return the message that an app makes of a job."""
    made = app.amqp.as_task_v2("first", "shop.charge", arguments, {"currency": "EUR"}, **options)
    made.headers["tenant"] = "north"
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        body, content_type, content_encoding = producer._prepare(
            made.body, "json", None, None, None, {"task": "shop.charge"}
        )
    return Message(
        body=body, content_type=content_type, content_encoding=content_encoding, headers=made.headers,
        reply_to="replies", priority=3, queue="mail",
    )  # fmt: skip


def own_app(message: Message) -> OwnApp:
    """Return an app with one kind of job."""
    call = Call(task="shop.charge", messages=(message,), message_index=(0,))
    return OwnApp(
        app="shop", folder=Path(), facts={"queues": ["mail"]}, environment={}, timeout_s=1.0,
        jobs={"shop.charge": Jobs(workload="shop.charge", calls=(call,), expected_s=0.01)},
    )  # fmt: skip


def sent(app: Celery, message: Message, outbox: Outbox | None = None) -> Any:
    """Send one job, and return its message as a node gets it."""
    OwnSender(app, outbox, own=own_app(message)).send_one(0.0)
    with app.connection_for_read() as connection:
        return connection.SimpleQueue(f"{QUEUE}.mail").get(timeout=5)


def test_by_an_outbox_a_node_gets_the_message_that_the_app_made(app: Celery, tmp_path: Path) -> None:
    due = datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)
    link = app.signature("shop.mail", (7,))
    message = message_of(app, due, callbacks=[link], time_limit=9, soft_time_limit=8, retries=2)
    plainly, by_outbox = sent(app, message), sent(app, message, Outbox(app, str(tmp_path / "box")))
    assert by_outbox.payload == plainly.payload
    assert plainly.payload[0] == [due]
    assert by_outbox.payload[2]["callbacks"][0]["task"] == "shop.mail"
    assert by_outbox.headers == plainly.headers
    assert (by_outbox.headers["tenant"], by_outbox.headers["timelimit"]) == ("north", [9, 8])
    for name in ("correlation_id", "reply_to", "priority"):
        assert by_outbox.properties[name] == plainly.properties[name], name


def test_by_an_outbox_it_is_kept_until_it_is_settled(app: Celery, tmp_path: Path) -> None:
    box = Outbox(app, str(tmp_path / "box"))
    sent(app, message_of(app, 1), box)
    assert box.send_again(after_s=-1) == ["job-0"]
    box.settle("job-0")
    assert box.waiting() == 0


def test_arguments_that_are_not_json_are_a_reason_against_an_outbox(app: Celery) -> None:
    plain = message_of(app, 1)
    pickled = Message(
        body=pickle.dumps([[1], {}, {}]), content_type="application/x-python-serialize", content_encoding="binary",
        headers=plain.headers,
    )  # fmt: skip
    compressed = Message(body=b"\x78\x9c", content_type="application/json", content_encoding="utf-8", headers={})
    assert why_no_outbox(own_app(plain)) == ""
    for message in (pickled, compressed):
        assert why_no_outbox(own_app(message)) == "an outbox keeps arguments as JSON, and those of shop.charge are not"
