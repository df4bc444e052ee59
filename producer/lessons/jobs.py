"""The jobs of the lessons, and the Celery app whose nodes run them."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from functools import cache, wraps
from typing import TYPE_CHECKING, Any

from celery import Celery, Task
from celery.signals import worker_init
from redis import Redis

from producer.lessons.lesson import BROKER

if TYPE_CHECKING:
    from collections.abc import Callable

BLOCK = bytes(1 << 20)

if os.environ.get("POOLRACE_LESSON_ONE_CORE"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

app = Celery("lessons", broker=os.environ[BROKER], backend=os.environ[BROKER])
app.conf.update(result_expires=60, task_ignore_result=False, worker_prefetch_multiplier=1)


@worker_init.connect
def _end_with_the_lesson(**_: Any) -> None:
    """End this node when whoever started it is gone, however that ended: then its standard input closes."""

    def wait() -> None:
        # Not sys.stdin.read(): its lock would be held in each child that is forked meanwhile, which closes sys.stdin.
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def job(function: Callable[..., Any]) -> Task[Any, Any]:
    """Make a task of a function; its result says when and where it ran, and its CPU time."""

    @wraps(function)
    def run(*arguments: Any) -> dict[str, Any]:
        return _timed(lambda: function(*arguments))

    return app.task(name=function.__name__)(run)


def _timed(function: Callable[[], Any]) -> dict[str, Any]:
    begin_s, cpu_s = time.monotonic(), time.thread_time()
    value = function()
    return {
        "value": value,
        "begin_s": begin_s,
        "end_s": time.monotonic(),
        "cpu_s": time.thread_time() - cpu_s,
        "slot": f"{os.getpid()}/{threading.get_native_id()}",
    }


@job
def noop() -> None:
    """Do nothing."""


@job
def spin(cpu_s: float) -> int:
    """Count in Python for so many seconds of CPU time, and return how far it came."""
    return count_for(cpu_s)


@job
def digest(cpu_s: float) -> None:
    """Hash in C, which releases the GIL, for so many seconds of CPU time."""
    hash_for(cpu_s)


@job
def wait(seconds: float) -> None:
    """Wait as for an answer from a network."""
    time.sleep(seconds)


@job
def steps(count: int, seconds: float) -> None:
    """Wait several times, as for answers to several questions."""
    for _ in range(count):
        time.sleep(seconds)


class _NoopTask(Task[Any, Any]):
    """`noop` as a class-based task."""

    name = "Noop"

    def run(self) -> dict[str, Any]:
        """Do nothing."""
        return _timed(lambda: None)


app.register_task(_NoopTask())

_global = 0


@job
def set_global(value: int) -> None:
    """Set a global variable of the process."""
    global _global
    _global = value


@job
def get_global(seconds: float) -> int:
    """Take a moment, and return the global variable."""
    time.sleep(seconds)
    return _global


@job
def add(key: str, way: str, times: int) -> None:
    """Add to a counter in Redis, by one of `WAYS_TO_ADD`."""
    for _ in range(times):
        WAYS_TO_ADD[way](key)


@job
def take_count(key: str) -> int:
    """Return the counter, and remove it."""
    return int(redis().getdel(key) or 0)


@cache
def redis() -> Redis:
    """Return this process's client of the broker."""
    return Redis.from_url(os.environ[BROKER])


def read_and_write(key: str) -> None:
    """Add by reading and writing: what a job does that loads a row and saves it."""
    value = int(redis().get(key) or 0)
    redis().set(key, value + 1)


def in_process_lock(key: str) -> None:
    """Add with a lock of this process."""
    with _process_lock:
        read_and_write(key)


def in_redis_lock(key: str) -> None:
    """Add with a lock in Redis."""
    with redis().lock(f"{key}.lock", timeout=10, sleep=0.001):
        read_and_write(key)


SCRIPT = "return redis.call('SET', KEYS[1], (redis.call('GET', KEYS[1]) or 0) + 1)"
"""Reads and writes in one step of the server."""

_process_lock = threading.Lock()

WAYS_TO_ADD: dict[str, Callable[[str], Any]] = {
    "nothing": read_and_write,
    "process_lock": in_process_lock,
    "redis_lock": in_redis_lock,
    "incr": lambda key: redis().incr(key),
    "script": lambda key: redis().eval(SCRIPT, 1, key),
}


def count_for(cpu_s: float) -> int:
    """Count in Python for so many seconds of this thread's CPU time."""
    until, count = time.thread_time() + cpu_s, 0
    while time.thread_time() < until:
        for _ in range(1_000):
            count += 1
    return count


def hash_for(cpu_s: float) -> None:
    """Hash blocks of a mebibyte for so many seconds of this thread's CPU time."""
    until = time.thread_time() + cpu_s
    while time.thread_time() < until:
        hashlib.sha256(BLOCK).digest()
