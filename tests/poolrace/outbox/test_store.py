"""Both places of an outbox keep jobs in the same way: a SQLite file, and a real Redis server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from poolrace.outbox.store import RedisStore, SqliteStore, Store, open_store
from producer.fleet.embedded import start_embedded
from producer.fleet.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = {"task": "shop.charge", "args": [7, "grüße"], "kwargs": {}, "options": {"queue": "celery"}}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with Processes() as processes:
        yield start_embedded(processes, processes.folder()).url


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path, server: str) -> Store:
    found = open_store(server if request.param == "redis" else str(tmp_path / "outbox"))
    assert isinstance(found, RedisStore if request.param == "redis" else SqliteStore)
    for each in found.open(time.time() + 1):  # what an earlier test left
        found.settle(each.task_id)
    return found


def test_what_was_written_down_is_there_as_it_was(store: Store) -> None:
    store.add("one", JOB)
    (kept,) = store.open(time.time() + 1)
    assert (kept.task_id, kept.signature, kept.times) == ("one", JOB, 1)
    assert abs(kept.sent_at - time.time()) < 60
    assert store.count() == 1


def test_only_what_was_sent_before_an_instant_is_returned_the_oldest_first(store: Store) -> None:
    for name in ("first", "second"):
        store.add(name, JOB)
        time.sleep(0.01)
    now = time.time()
    time.sleep(0.01)
    store.add("third", JOB)
    assert [each.task_id for each in store.open(now)] == ["first", "second"]


def test_what_is_sent_again_has_its_time_anew_and_is_counted(store: Store) -> None:
    store.add("one", JOB)
    before = time.time()
    time.sleep(0.01)
    store.sent("one")
    assert store.open(before) == []
    (kept,) = store.open(time.time() + 1)
    assert kept.times == 2


def test_what_is_settled_is_gone_and_stays_gone(store: Store) -> None:
    store.add("one", JOB)
    store.settle("one")
    store.settle("one")
    store.sent("one")
    assert (store.count(), store.open(time.time() + 1)) == (0, [])
