"""Watches the nodes of a fleet that somebody else runs: which of them went, came back, or are others than before."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ASK_S = 1.0
SILENT_ASKS = 2
"""A node that has not answered so many questions in a row has gone: one that is busy may miss one."""

WENT, CAME, BACK, RESTARTED = "went", "came", "came back", "was started again"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChange:
    """
    What was seen of a node.

    Attributes:
        node: Its name.
        what: `went`: it does not answer; `came`: it is new; `came back`: the same process answers again; `was started
            again`: another process answers under its name.
        at: When, in seconds since the epoch, by this machine's clock; it went up to two questions before.
    """

    node: str
    what: str
    at: float


class NodeWatch:
    """
    Asks all nodes once a second, in a thread, for as long as it is used as a context manager.

    Args:
        ask: Asks them, and returns what each that answers says of itself; raises if the broker is away.
        before: What they said before.

    Attributes:
        changes: What was seen so far, in order.
    """

    def __init__(
        self,
        ask: Callable[[float], Mapping[str, Mapping[str, Any]]],
        before: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.changes: list[NodeChange] = []
        self._ask = ask
        self._last = dict(before)
        self._missed: Counter[str] = Counter()
        self._gone: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="node watch")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            at = time.time()
            try:
                answered = self._ask(ASK_S)
            except Exception:  # any client's: the broker is away, and nothing is known of nodes
                self._ended.wait(ASK_S)
                continue
            self.heard(answered, at)

    def heard(self, answered: Mapping[str, Mapping[str, Any]], at: float) -> None:
        """Note what follows from the answers to one question."""
        for node, hello in answered.items():
            self._missed[node] = 0
            before = self._last.get(node)
            if before is None:
                self._note(node, CAME, at)
            elif life_of(hello) != life_of(before):
                self._note(node, RESTARTED, at)
            elif node in self._gone:
                self._note(node, BACK, at)
            self._gone.discard(node)
            self._last[node] = hello
        for node in self._last.keys() - answered.keys() - self._gone:
            self._missed[node] += 1
            if self._missed[node] >= SILENT_ASKS:
                self._gone.add(node)
                self._note(node, WENT, at)

    def _note(self, node: str, what: str, at: float) -> None:
        self.changes.append(NodeChange(node=node, what=what, at=at))

    def living(self, queue: str) -> list[str]:
        """Return the nodes of a queue that answer."""
        return sorted(node for node, hello in self._last.items() if queue in hello["queues"] and node not in self._gone)

    def known(self, queue: str) -> set[str]:
        """Return the nodes of a queue that ever answered."""
        return {node for node, hello in list(self._last.items()) if queue in hello["queues"]}


def life_of(hello: Mapping[str, Any]) -> object:
    """Return what tells one start of a node from the next; an old poolrace tells only the process."""
    return hello.get("life") or hello["pid"]
