"""Gathers results into steps and stores each step in one round trip, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kombu.log import get_logger
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError

from poolrace.results.script import SHA, STORE
from poolrace.steps import Step, Steps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

logger = get_logger(__name__)

READ_ONLY = "READONLY"
"""What the error of a server begins with that takes no writes."""

NAMED = 3
"""So many ids are in a line of the log."""


@dataclass(slots=True)
class Result:
    """
    A result that is to be stored.

    Attributes:
        key: Its key on the server.
        text: The result as Celery writes it.
        expires_s: How long it is kept, in seconds; 0 for ever.
        task_id: The id of its task.
        is_waited_for: Whether its slot waits until it is stored.
        failed_of: What it could not be stored for, if somebody waits.
    """

    key: str | bytes
    text: str
    expires_s: int
    task_id: str
    is_waited_for: bool
    failed_of: BaseException | None = None


class ResultGatherer:
    """Stores the results of one app, of all slots of this process, on its backend's server."""

    def __init__(self) -> None:
        self._steps: Steps[Result] = Steps(self._send, "poolrace-results")
        self._backend: Any = None

    def after_fork(self) -> None:
        """Begin anew in a child, with a connection of its own."""
        self._steps.after_fork()
        self._backend = None

    def add(self, result: Result, backend: Any) -> None:
        """
        Store a result with others.

        Args:
            result: What to store.
            backend: A backend of this process; the first one is kept for its client.

        Raises:
            Exception: What the backend raises where a result that is waited for could not be stored.
        """
        if self._backend is None:
            self._backend = backend
        step = self._steps.gather(result, len(result.text), watched=not result.is_waited_for)
        if not result.is_waited_for:
            self._steps.hurry(step)
            return
        self._steps.wait(step)
        if result.failed_of is not None:
            raise result.failed_of

    def flush(self) -> None:
        """Wait until all that was added before is stored, or could not be."""
        self._steps.send_open(wait=True)

    def _send(self, step: Step[Result]) -> None:
        try:
            # Tried again for as long as Celery's backend tries to store one.
            refused = self._backend.ensure(self._execute, (step.items,))
        except BaseException as error:
            self._settle(step, dict.fromkeys(range(len(step.items)), error))
            if not isinstance(error, Exception):
                raise
            return
        self._settle(step, refused)

    def _execute(self, results: Sequence[Result]) -> dict[int, ResponseError]:
        keys = [result.key for result in results]
        values = [value for result in results for value in (result.expires_s, result.text)]
        client = self._backend.client
        try:
            answer = client.execute_command("EVALSHA", SHA, len(keys), *keys, *values)
        except NoScriptError:
            answer = client.execute_command("EVAL", STORE, len(keys), *keys, *values)
        texts = [each.decode() if isinstance(each, bytes) else each for each in answer]
        refused = {int(number): ResponseError(why) for number, why in zip(texts[::2], texts[1::2], strict=True)}
        if any(str(error).startswith(READ_ONLY) for error in refused.values()):
            # A master that is one no more: behind Sentinel, who connects again finds the new one.
            client.connection_pool.disconnect()
            raise RedisConnectionError(str(refused.popitem()[1]))
        return refused

    def _settle(self, step: Step[Result], failed: Mapping[int, BaseException]) -> None:
        unheard = []
        for number, error in failed.items():
            result = step.items[number]
            result.failed_of = error
            if not result.is_waited_for:
                unheard.append(result.task_id)
        if unheard:
            named = ", ".join(unheard[:NAMED]) + (", …" if len(unheard) > NAMED else "")
            logger.error("%d results could not be stored (%s): %s", len(unheard), next(iter(failed.values())), named)
        step.is_settled.set()
