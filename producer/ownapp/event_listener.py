"""Jobs as Celery's task events tell of them: when each came, with which arguments, as far as events show them. Pure."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENTS, QUEUE = WAYS = ("events", "queue")
"""How one can come to know of a job: it is told of, or it is seen where it lies."""

KINDS = ("task-sent", "task-received")

CUT = "cut by Celery to fit an event"
NO_LITERAL = "no plain values"
UNDECODABLE = "not JSON, YAML or MessagePack"
NOT_CELERY = "no Celery message of protocol 2"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedJob:
    """
    A job that was heard of.

    Attributes:
        task_id: Celery's.
        at: When it came, seconds since the epoch.
        task: Its name.
        args: Positional arguments; None if they cannot be told.
        kwargs: Keyword arguments; None if they cannot be told.
        queue: Where it was seen; empty if that is not known.
        headers: Those of the app's own, not Celery's.
        child: Another job has started it.
        reason: Why arguments cannot be told.
    """

    task_id: str
    at: float
    task: str
    args: list[Any] | None
    kwargs: dict[str, Any] | None
    queue: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)
    child: bool = False
    reason: str = ""

    @property
    def replayable(self) -> bool:
        """Whether it can be sent again as it was."""
        return self.args is not None and self.kwargs is not None


@dataclass(slots=True)
class EventListener:
    """
    Listens to events, and puts together what they say of each job.

    Attributes:
        jobs: By task id.
    """

    jobs: dict[str, RecordedJob] = field(default_factory=dict)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take one event; others than `KINDS`, and those without a task's name, say nothing new."""
        task_id, task = event.get("uuid"), event.get("name")
        if event.get("type") not in KINDS or not task_id or not task:
            return
        known = self.jobs.get(task_id)
        if known is None:
            if not event.get("retries"):  # a retry of a job that came before anybody listened is no new job
                self.jobs[task_id] = _heard(event)
            return
        # The clocks of senders and workers may differ: whichever event comes second may know the queue.
        at = min(known.at, float(event["timestamp"]))
        self.jobs[task_id] = replace(known, at=at, queue=known.queue or str(event.get("queue") or ""))


def _heard(event: Mapping[str, Any]) -> RecordedJob:
    args = literal(event.get("args"), (list, tuple))
    kwargs = literal(event.get("kwargs"), (dict,))
    shown = [str(event.get(key)) for key, value in (("args", args), ("kwargs", kwargs)) if value is None]
    return RecordedJob(
        task_id=event["uuid"],
        at=float(event["timestamp"]),
        task=event["name"],
        args=args,
        kwargs=kwargs,
        queue=str(event.get("queue") or ""),
        child=is_child(event, event["uuid"]),
        reason=(CUT if any("..." in text for text in shown) else NO_LITERAL) if shown else "",
    )


def is_child(says: Mapping[str, Any], task_id: str) -> bool:
    """Whether another job has started it, as an event or a message's headers say."""
    return bool(says.get("parent_id")) or says.get("root_id") not in (None, "", task_id)


def literal(text: Any, kinds: tuple[type, ...]) -> Any:
    """What a repr stands for, if it is whole and of plain values; else None."""
    if isinstance(text, kinds):
        return list(text) if isinstance(text, tuple) else text
    try:
        tree = ast.parse(_escaped(str(text)), mode="eval")
        value: Any = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    # What was cut ends in dots, in a text or as an Ellipsis of its own. Bytes may be shown as hexadecimal digits.
    if not isinstance(value, kinds) or "..." in str(text) or _holds_bytes(tree):
        return None
    return list(value) if isinstance(value, tuple) else value


def _escaped(text: str) -> str:
    """Celery's repr escapes a text's quotes and nothing else: a backslash that it shows is one that was sent."""
    text = _BARE_BACKSLASH.sub(r"\\\\", text)
    return text.replace("\n", r"\n").replace("\r", r"\r").replace("\f", r"\f").replace("\0", r"\x00")


_BARE_BACKSLASH = re.compile(r"\\(?!')")


def _holds_bytes(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Constant) and isinstance(node.value, bytes) for node in ast.walk(tree))
