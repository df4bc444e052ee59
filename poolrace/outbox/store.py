"""Where an outbox keeps jobs: a SQLite file of this machine, or a Redis server that several machines reach."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import redis

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BUSY_S = 10.0
"""How long a writer waits for another one."""

SCHEMES = ("redis://", "rediss://", "unix://")


class OutboxError(RuntimeError):
    """An outbox that cannot be read or written; the message says which, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """
    A job in the outbox.

    Attributes:
        task_id: Its id.
        signature: What is sent, as plain values of a Celery signature.
        sent_at: When it was last sent, in seconds since the epoch.
        times: How often it was sent.
    """

    task_id: str
    signature: dict[str, Any]
    sent_at: float
    times: int


class Store(Protocol):
    """Keeps jobs."""

    def add(self, task_id: str, signature: dict[str, Any]) -> None:
        """Write a job down for good, before it is sent."""

    def sent(self, task_id: str) -> None:
        """Note that a job is being sent again."""

    def settle(self, task_id: str) -> None:
        """Cross a job out; one that is not there is no error."""

    def open(self, before: float) -> Sequence[Kept]:
        """Return the jobs that were last sent before an instant, the oldest first."""

    def count(self) -> int:
        """Return how many jobs there are."""


def open_store(where: str) -> Store:
    """
    Return the store of an address: a URL of Redis, or the path of a SQLite file.

    Raises:
        OutboxError: If it cannot be reached, or made.
    """
    return RedisStore(where) if where.startswith(SCHEMES) else SqliteStore(where)


class SqliteStore:
    """
    A SQLite file, which any number of processes and threads of one machine may use.

    Each write is on the disk when it returns. It is opened for each, so that nothing is left open or inherited by a
    process that is forked.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        with self._using() as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS outbox "
                "(task_id TEXT PRIMARY KEY, signature TEXT NOT NULL, sent_at REAL NOT NULL, times INTEGER NOT NULL)"
            )

    def add(self, task_id: str, signature: dict[str, Any]) -> None:
        """Write a job down for good, before it is sent."""
        with self._using() as database:
            row = (task_id, json.dumps(signature), time.time())
            database.execute("INSERT INTO outbox VALUES (?, ?, ?, 1)", row)

    def sent(self, task_id: str) -> None:
        """Note that a job is being sent again."""
        with self._using() as database:
            database.execute(
                "UPDATE outbox SET sent_at = ?, times = times + 1 WHERE task_id = ?", (time.time(), task_id)
            )

    def settle(self, task_id: str) -> None:
        """Cross a job out; one that is not there is no error."""
        with self._using() as database:
            database.execute("DELETE FROM outbox WHERE task_id = ?", (task_id,))

    def open(self, before: float) -> Sequence[Kept]:
        """Return the jobs that were last sent before an instant, the oldest first."""
        with self._using() as database:
            rows = database.execute(
                "SELECT task_id, signature, sent_at, times FROM outbox WHERE sent_at < ? ORDER BY sent_at", (before,)
            ).fetchall()
        return [
            Kept(task_id=task_id, signature=json.loads(signature), sent_at=sent_at, times=times)
            for task_id, signature, sent_at, times in rows
        ]

    def count(self) -> int:
        """Return how many jobs there are."""
        with self._using() as database:
            return int(database.execute("SELECT count(*) FROM outbox").fetchone()[0])

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=BUSY_S)) as database, database:
                yield database
        except sqlite3.Error as error:
            raise OutboxError(f"outbox {self._path}: {error}. Name a file in a folder that can be written.") from error


class RedisStore:
    """
    A Redis server, for senders and nodes on several machines.

    It should be another server than the broker, or one that keeps all on its disk (`appendonly yes`): what it loses,
    nobody sends again.
    """

    KEY, TIMES, SENT = "poolrace.outbox", "poolrace.outbox.times", "poolrace.outbox.sent"

    def __init__(self, url: str) -> None:
        self._client: Any = redis.Redis.from_url(url)
        with self._reaching():
            self._client.ping()

    def add(self, task_id: str, signature: dict[str, Any]) -> None:
        """Write a job down for good, before it is sent."""
        with self._reaching(), self._client.pipeline() as pipe:
            pipe.hset(self.KEY, task_id, json.dumps(signature)).hset(self.TIMES, task_id, 1)
            pipe.zadd(self.SENT, {task_id: time.time()}).execute()

    def sent(self, task_id: str) -> None:
        """Note that a job is being sent again."""
        with self._reaching():
            if self._client.zadd(self.SENT, {task_id: time.time()}, xx=True, ch=True):  # not one that was settled
                self._client.hincrby(self.TIMES, task_id, 1)

    def settle(self, task_id: str) -> None:
        """Cross a job out; one that is not there is no error."""
        with self._reaching(), self._client.pipeline() as pipe:
            pipe.zrem(self.SENT, task_id).hdel(self.KEY, task_id).hdel(self.TIMES, task_id).execute()

    def open(self, before: float) -> Sequence[Kept]:
        """Return the jobs that were last sent before an instant, the oldest first."""
        with self._reaching():
            found = self._client.zrangebyscore(self.SENT, "-inf", f"({before}", withscores=True)
            ids = [task_id for task_id, _ in found]
            texts = self._client.hmget(self.KEY, ids) if ids else []
            times = self._client.hmget(self.TIMES, ids) if ids else []
        return [
            Kept(task_id=task_id.decode(), signature=json.loads(text), sent_at=sent_at, times=int(count or 1))
            for (task_id, sent_at), text, count in zip(found, texts, times, strict=True)
            if text is not None
        ]

    def count(self) -> int:
        """Return how many jobs there are."""
        with self._reaching():
            return int(self._client.zcard(self.SENT))

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            raise OutboxError(f"the outbox's server: {error}") from error
