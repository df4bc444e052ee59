"""Effects that travel over a broker: a real one, that is away for a while, and an app whose job notes them."""

from __future__ import annotations

import gc
import re
import threading
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery, signals

from poolrace import effects, effects_queue
from poolrace.contract import WAIT_TASK
from poolrace.transport_setting import PATH, SETTING
from producer.fleet.embedded import EmbeddedServer
from producer.fleet.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "0a1b2c3d"
JOB = effects_queue.identity(TOKEN, 7)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with Processes() as processes:
        yield EmbeddedServer(processes, processes.folder(), aof=True)


@pytest.fixture
def app(server: EmbeddedServer) -> Iterator[Celery]:
    with Celery("shop", broker=server.broker.url, set_as_current=False) as made:
        yield made
    with server.client() as client:
        client.flushall()


def listed(server: EmbeddedServer) -> list[list[str]]:
    """The lines in the list, without the time, process and thread."""
    with server.client() as client:
        lines = client.lrange(effects_queue.effects_list(TOKEN), 0, -1)
    return [[job, what, node] for job, what, _, node, *_ in (line.decode().split("\t") for line in lines)]


def test_a_note_is_a_line_of_a_ledger_in_a_list_that_expires(app: Celery, server: EmbeddedServer) -> None:
    effects_queue.note(app, JOB, effects.BEGUN, "threads@node3")
    assert listed(server) == [[JOB, effects.BEGUN, "threads@node3"]]
    with server.client() as client:
        assert 0 < client.ttl(effects_queue.effects_list(TOKEN)) <= effects_queue.EXPIRES_S


@pytest.mark.parametrize("job", ["job-7", "7b6f5b0e-83a5-4b44-8d4c-000000000000", "job-0a1b2c3d-7x", "job-XX-7"])
def test_jobs_of_others_are_left_alone(app: Celery, server: EmbeddedServer, job: str) -> None:
    effects_queue.note(app, job, effects.DONE, "threads@node3")
    with server.client() as client:
        assert client.keys("poolrace.effects.*") == []


def test_a_note_waits_for_a_broker_that_is_away_and_is_the_same_line_then(app: Celery, server: EmbeddedServer) -> None:
    effects_queue.note(app, JOB, effects.BEGUN, "threads@node3")
    server.kill()
    waiting = threading.Thread(target=effects_queue.note, args=(app, JOB, effects.DONE, "threads@node3"))
    waiting.start()
    waiting.join(3 * effects_queue.PAUSE_S)
    assert waiting.is_alive()
    server.start_again()
    waiting.join(30)
    assert [what for _, what, _ in listed(server)] == [effects.BEGUN, effects.DONE]


def test_a_note_that_nobody_takes_is_given_up_after_a_while() -> None:
    away = Celery("shop", broker="redis://127.0.0.1:1/0", set_as_current=False)
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1"):
        effects_queue.note(away, JOB, effects.DONE, "threads@node3", patience_s=0.1)


def test_a_connection_is_forgotten_with_its_app(server: EmbeddedServer) -> None:
    """Another app may be at the same place in memory later, and would have its notes go to the broker of this one."""
    known = len(effects_queue._connections)
    with Celery("shop", broker=server.broker.url, set_as_current=False) as gone:
        effects_queue.note(gone, effects_queue.identity("ffffffff", 1), effects.DONE, "threads@node3")
        assert len(effects_queue._connections) == known + 1
    del gone
    gc.collect()
    assert len(effects_queue._connections) <= known


def test_a_note_goes_by_kombus_transport_whichever_the_app_has(app: Celery, server: EmbeddedServer) -> None:
    app.conf.update({SETTING: PATH})
    effects_queue.note(app, JOB, effects.DONE, "threads@node3")
    assert len(listed(server)) == 1
    _, made = effects_queue._connections[app]
    assert made.transport.driver_type == "redis"
    assert "poolrace" not in type(made.transport).__module__


def test_the_job_that_waits_notes_its_beginning_and_its_end(app: Celery, server: EmbeddedServer) -> None:
    effects_queue.register(app)
    app.tasks[WAIT_TASK].apply(args=(JOB, 0.0), task_id=JOB, hostname="threads@node3")
    assert [[job, what] for job, what, _ in listed(server)] == [[JOB, effects.BEGUN], [JOB, effects.DONE]]


def fails(app: Celery, job: str) -> None:
    """Have a node say that a job has failed."""
    task: Any = app.tasks[WAIT_TASK]
    task.push_request(id=job, hostname="threads@node3")
    signals.task_failure.send(sender=task, task_id=job, exception=ValueError())
    task.pop_request()


def test_a_job_that_its_node_gives_up_is_noted_and_one_of_another_app_is_not(
    app: Celery, server: EmbeddedServer
) -> None:
    effects_queue.register(app)
    fails(app, JOB)
    with Celery("other", broker=server.broker.url, set_as_current=False) as other:
        effects_queue.register(other)
        fails(other, effects_queue.identity("ffffffff", 1))
        fails(app, "7b6f5b0e")
    assert listed(server) == [[JOB, effects.FAILED, "threads@node3"]]


def test_an_identity_says_to_which_list_its_effects_go() -> None:
    assert re.fullmatch(r"job-0a1b2c3d-7", JOB)
    assert effects_queue.effects_list(TOKEN) == "poolrace.effects.0a1b2c3d"
