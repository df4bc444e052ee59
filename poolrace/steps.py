"""
Gathers what threads have for a server into steps: each is sent in one round trip, and in order.

What is sent, and what its failure means, is said by who uses it: messages of a publisher, results of a node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Condition, Event, Lock, RLock, Thread
from time import monotonic, sleep
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")

LINGER_S = 0.001
"""How long an item waits for others before its step is sent."""

STEP_ITEMS, STEP_SIZE = 256, 1 << 18
"""A step with so many items, or of so many characters, is sent at once."""

MOST_ITEMS = 8192
"""So many items wait for a server that is slow or gone; who would add more waits with them."""


@dataclass(slots=True)
class Step(Generic[Item]):
    """
    Items that are sent in one round trip.

    Attributes:
        began_s: When its first item came, on the monotonic clock.
        items: In order.
        size: Their length in characters.
        is_watched: Whether the thread knows of it, and sends it when nobody else does.
        is_settled: Set when all are accepted or failed.
    """

    began_s: float
    items: list[Item] = field(default_factory=list)
    size: int = 0
    is_watched: bool = False
    is_settled: Event = field(default_factory=Event)

    def is_full(self) -> bool:
        """Check whether it is sent without waiting for more."""
        return len(self.items) >= STEP_ITEMS or self.size >= STEP_SIZE


class Steps(Generic[Item]):
    """
    The step that is open, and who sends it: who adds to it if it is full or old enough, else a thread of its own.

    Args:
        send: Sends the items of a step, once at a time; it raises nothing but what ends the process.
        name: The name of the thread.
    """

    def __init__(self, send: Callable[[Step[Item]], None], name: str) -> None:
        self._send = send
        self._name = name
        self.after_fork()

    def after_fork(self) -> None:
        """Begin anew in a child: what was gathered before, the parent sends."""
        self._lock, self.sending = Lock(), RLock()
        self._waiting = Condition(self._lock)
        self._open: Step[Item] | None = None
        self._thread: Thread | None = None

    def gather(self, item: Item, size: int, *, watched: bool) -> Step[Item]:
        """
        Add an item to the open step, and return that step; nothing is sent yet.

        Args:
            item: What is to be sent.
            size: Its length in characters.
            watched: True if a millisecond later a thread is to send it; False if the caller waits for it.
        """
        with self._lock:
            step = self._open
            if step is None:
                step = self._open = Step(monotonic())
            if watched and not step.is_watched:
                step.is_watched = True
                self._wake()
            step.items.append(item)
            step.size += size
            return step

    def hurry(self, step: Step[Item]) -> None:
        """Send a step if it is full or old enough."""
        if step.is_full() or monotonic() - step.began_s >= LINGER_S:
            # Behind a step that is under way this one may grow, so long as it does not grow too large.
            self.send_open(wait=len(step.items) >= MOST_ITEMS)

    def wait(self, step: Step[Item]) -> None:
        """Wait until a step is settled; who finds nobody sending sends it, with what others have added meanwhile."""
        with self.sending:
            if not step.is_settled.is_set():
                self.send_open(wait=True)

    def send_open(self, *, wait: bool) -> None:
        """Send what is gathered; without `wait`, only if no other thread is sending."""
        if not self.sending.acquire(blocking=wait):
            return
        try:
            with self._lock:
                step, self._open = self._open, None
            if step is not None:
                self._send(step)
        finally:
            self.sending.release()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._keep_sending, name=self._name, daemon=True)
            self._thread.start()
        self._waiting.notify()

    def _keep_sending(self) -> None:
        """Send what nobody else has sent by the time that it is due."""
        while True:
            with self._waiting:
                while self._open is None or not self._open.is_watched:
                    self._waiting.wait()
                wait_s = self._open.began_s + LINGER_S - monotonic()
            if wait_s > 0:
                sleep(wait_s)
                continue
            self.send_open(wait=True)
