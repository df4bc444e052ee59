"""Stores results on the server in one round trip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from celery import states
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

from poolrace.results.script import SHA, STORE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

READ_ONLY = "READONLY"
"""What is in the error of a server that takes no writes."""


@dataclass(frozen=True, slots=True)
class Result:
    """
    A result that is to be stored.

    Attributes:
        task_id: The id of its task.
        key: Its key on the server.
        text: The result as Celery writes it.
        state: Its state.
        expires_s: How long it is kept, in seconds; 0 for ever.
    """

    task_id: str
    key: str | bytes
    text: bytes
    state: str
    expires_s: int


def store(backend: Any, results: Sequence[Result]) -> Mapping[int, BaseException]:
    """
    Store results, and return what each that could not be stored failed of, by its place.

    Args:
        backend: A backend of Celery, for its client and for how often it tries again.
        results: What to store, in order.

    Raises:
        Exception: What the backend raises if the server cannot be reached for as long as it tries.
    """
    left: Mapping[int, str] = backend.ensure(_execute, (backend, results))
    failed: dict[int, BaseException] = {}
    for place, why in left.items():
        if why:
            failed[place] = ResponseError(why)
        else:
            _store_as_celery(backend, results[place])
    return failed


def _execute(backend: Any, results: Sequence[Result]) -> Mapping[int, str]:
    keys = [result.key for result in results]
    values = [value for result in results for value in (result.expires_s, result.text)]
    client = backend.client
    try:
        answer = client.execute_command("EVALSHA", SHA, len(keys), *keys, *values)
    except NoScriptError:
        answer = client.execute_command("EVAL", STORE, len(keys), *keys, *values)
    texts = [each.decode() if isinstance(each, bytes) else str(each) for each in answer]
    left = {int(place): why for place, why in zip(texts[::2], texts[1::2], strict=True)}
    pool = client.connection_pool
    if hasattr(pool, "sentinel_manager") and (demoted := [why for why in left.values() if READ_ONLY in why]):
        # A master that is one no more: behind Sentinel, who connects again finds the new one.
        pool.disconnect(inuse_connections=False)
        raise RedisConnectionError(demoted[0])
    return left


def _store_as_celery(backend: Any, result: Result) -> None:
    """Store a result where something stands that only Celery can read, such as a result that is compressed."""
    if backend._get_task_meta_for(result.task_id)["status"] != states.SUCCESS:
        backend._set_with_state(result.key, result.text, result.state)
