"""A message as Celery and kombu make it is read as the job it is; what would run code to be read is not."""

import base64
import json
import pickle
from datetime import UTC, datetime

import pytest
from celery import Celery
from kombu import Connection
from kombu.compression import compress
from kombu.serialization import dumps

from poolrace.contract import HEADER
from producer.errors import UsageError
from producer.ownapp.event_listener import NOT_CELERY, UNDECODABLE
from producer.ownapp.queue_reader import QueueReader, decoded

AT = 100.0


@pytest.fixture(scope="module")
def app():
    with Celery("sender", broker="memory://", set_as_current=False) as app:
        yield app


def message(app, args=(1, "ä"), kwargs=None, *, serializer="json", **options):
    """A message as it lies in a list of a Redis broker."""
    made = app.amqp.as_task_v2("an-id", "shop.tasks.resize", args, kwargs or {"size": 64}, **options)
    content_type, encoding, body = dumps(made.body, serializer=serializer)
    raw = body.encode() if isinstance(body, str) else body
    return json.loads(
        json.dumps({
            "body": base64.b64encode(raw).decode(), "content-type": content_type, "content-encoding": encoding,
            "headers": made.headers, "properties": {**made.properties, "body_encoding": "base64"},
        }, default=str)
    )  # fmt: skip


@pytest.mark.parametrize("serializer", ["json", "yaml", "msgpack"])
def test_a_message_is_read_whole(app, serializer):
    pytest.importorskip({"json": "json", "yaml": "yaml", "msgpack": "msgpack"}[serializer])
    job = decoded(message(app, serializer=serializer), "images", AT)
    assert (job.task_id, job.at, job.task, job.queue) == ("an-id", AT, "shop.tasks.resize", "images")
    assert (job.args, job.kwargs) == ([1, "ä"], {"size": 64})
    assert not job.child


def test_a_long_argument_is_read_whole(app):
    assert decoded(message(app, ("x" * 100_000,)), "images", AT).args == ["x" * 100_000]


class Trap:
    """Leaves a file wherever it is unpickled."""

    def __init__(self, path):
        self._path = str(path)

    def __reduce__(self):
        return open, (self._path, "w")


def test_a_pickle_is_not_opened(app, tmp_path):
    trap = tmp_path / "sprung"
    pickled = message(app)
    pickled["body"] = base64.b64encode(pickle.dumps([[Trap(trap)], {}, {}])).decode()
    pickled["content-type"], pickled["content-encoding"] = "application/x-python-serialize", "binary"
    assert not decoded(pickled, "images", AT).replayable
    assert not trap.exists()


@pytest.mark.parametrize("body", ["no base64!", base64.b64encode(b"{").decode(), base64.b64encode(b"[1]").decode()])
def test_a_body_that_cannot_be_read_makes_a_job_without_arguments(app, body):
    assert not decoded({**message(app), "body": body}, "images", AT).replayable


def test_a_job_that_another_started_is_its_child(app):
    assert decoded(message(app, parent_id="parent", root_id="parent"), "images", AT).child


def test_a_broker_that_cannot_be_looked_into_is_told_with_what_to_do():
    with Connection("memory://") as connection, pytest.raises(UsageError, match="listen to the workers' events"):
        QueueReader(connection, ["images"])


def test_headers_of_the_apps_own_are_kept_and_celerys_are_not(app):
    made = message(app, headers={"tenant": "north"})
    made["headers"] |= {"tenant": "north", HEADER: "a stamp"}
    assert decoded(made, "images", AT).headers == {"tenant": "north"}


def test_why_a_message_cannot_be_read_is_told(app):
    assert decoded({**message(app), "body": "no base64!"}, "images", AT).reason == UNDECODABLE
    for strange in ({"body": "x"}, {"headers": None}, {"headers": {"id": "x"}}):
        assert decoded(strange, "images", AT).reason == NOT_CELERY


@pytest.mark.parametrize("compression", ["zlib", "gzip", "bzip2", "lzma"])
def test_a_compressed_message_is_read(app, compression):
    made = message(app)
    body, kind = compress(base64.b64decode(made["body"]), compression)
    made["body"] = base64.b64encode(body).decode()
    made["headers"]["compression"] = kind
    assert decoded(made, "images", AT).args == [1, "ä"]


def test_what_the_sender_asked_for_is_kept(app):
    made = message(app, expires=datetime.fromtimestamp(AT + 30, UTC), time_limit=9, soft_time_limit=8)
    made["properties"]["priority"] = 7
    assert decoded(made, "images", AT).options == {
        "priority": 7,
        "expires": 30.0,
        "time_limit": 9,
        "soft_time_limit": 8,
    }


def test_a_job_for_later_is_sent_again_when_it_was_due(app):
    assert decoded(message(app, eta=datetime.fromtimestamp(AT + 600, UTC)), "images", AT).at == AT + 600


def test_what_follows_a_job_is_kept_without_the_ids_that_it_had(app):
    store = app.signature("shop.tasks.store", args=(1,), immutable=True, queue="letters", task_id="old", root_id="old")
    tell = app.signature("shop.tasks.tell", kwargs={"whom": "Ann"})
    options = decoded(message(app, callbacks=[tell], errbacks=[tell], chain=[store]), "images", AT).options
    assert options == {
        "link": [{"task": "shop.tasks.tell", "kwargs": {"whom": "Ann"}}],
        "link_error": [{"task": "shop.tasks.tell", "kwargs": {"whom": "Ann"}}],
        "chain": [{"task": "shop.tasks.store", "args": [1], "immutable": True, "options": {"queue": "letters"}}],
    }
