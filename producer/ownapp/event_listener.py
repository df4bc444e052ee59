"""Jobs from Celery's task events: when each came, and its arguments as far as events show them. Pure."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

EVENTS, QUEUE = WAYS = ("events", "queue")
"""Sources of a recording: task events, or the messages in a queue."""

KINDS = ("task-sent", "task-received")

FOLLOWING = ("link", "link_error", "chain")
"""Options of a job that are jobs themselves, which follow it."""

CUT = "cut by Celery to fit an event"
NO_LITERAL = "no plain values"
UNDECODABLE = "not JSON, YAML or MessagePack"
NOT_CELERY = "no Celery message of protocol 2"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedJob:
    """
    A job of a live system.

    Attributes:
        task_id: Celery's id of the job.
        at: When it came, or was due if its sender asked for later, in seconds since the epoch.
        task: The task's name.
        args: Positional arguments; None if they cannot be read.
        kwargs: Keyword arguments; None if they cannot be read.
        queue: The queue that it was in; empty if that is not known.
        headers: The app's own headers, without Celery's.
        options: What else its sender asked for, by the keys of a job file: priority, expires, limits, and what follows.
        child: True if another job started it.
        later: True if its sender asked for a later time, by a countdown or an eta.
        reason: Why its arguments cannot be read; empty if they can.
    """

    task_id: str
    at: float
    task: str
    args: list[Any] | None
    kwargs: dict[str, Any] | None
    queue: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    child: bool = False
    later: bool = False
    reason: str = ""

    @property
    def replayable(self) -> bool:
        """True if it can be sent again as it was."""
        return self.args is not None and self.kwargs is not None


@dataclass(slots=True)
class EventListener:
    """
    Builds jobs from the events about them.

    Attributes:
        jobs: The jobs so far, by task id.
    """

    jobs: dict[str, RecordedJob] = field(default_factory=dict)

    def on_event(self, event: Mapping[str, Any]) -> None:
        """Take one event; ignore those of other kinds than `KINDS`, and those without a task's name."""
        task_id, task = event.get("uuid"), event.get("name")
        if event.get("type") not in KINDS or not task_id or not task:
            return
        known = self.jobs.get(task_id)
        if known is None:
            if not event.get("retries"):  # a retry of a job from before the recording is no new job
                self.jobs[task_id] = _recorded(event)
            return
        # The clocks of senders and workers may differ: whichever event comes second may know the queue.
        at = known.at if known.later else min(known.at, float(event["timestamp"]))
        self.jobs[task_id] = replace(known, at=at, queue=known.queue or str(event.get("queue") or ""))


def _recorded(event: Mapping[str, Any]) -> RecordedJob:
    args = literal(event.get("args"), (list, tuple))
    kwargs = literal(event.get("kwargs"), (dict,))
    unread = [str(event.get(key)) for key, value in (("args", args), ("kwargs", kwargs)) if value is None]
    came_at = float(event["timestamp"])
    at, expires_at = instant(event.get("eta"), came_at), instant(event.get("expires"), 0.0)
    return RecordedJob(
        task_id=event["uuid"],
        at=at,
        task=event["name"],
        args=args,
        kwargs=kwargs,
        queue=str(event.get("queue") or ""),
        options={"expires": round(expires_at - at, 3)} if expires_at > at else {},
        child=is_child(event, event["uuid"]),
        later=at != came_at,
        reason=(CUT if any("..." in text for text in unread) else NO_LITERAL) if unread else "",
    )


def instant(text: Any, otherwise: float) -> float:
    """Return an instant of an event or a header in seconds since the epoch; `otherwise` if there is none."""
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return otherwise
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def is_child(header: Mapping[str, Any], task_id: str) -> bool:
    """Check by the fields of an event, or by a message's headers, whether another job started this one."""
    return bool(header.get("parent_id")) or header.get("root_id") not in (None, "", task_id)


def literal(text: Any, kinds: tuple[type, ...]) -> Any:
    """Return the value of a repr that is whole and holds only plain values; None for any other."""
    if isinstance(text, kinds):
        return list(text) if isinstance(text, tuple) else text
    try:
        tree = ast.parse(_escaped(str(text)), mode="eval")
        value: Any = ast.literal_eval(tree)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    # Celery marks a cut with dots, within a text or as an Ellipsis, and may show bytes as hexadecimal digits.
    if not isinstance(value, kinds) or "..." in str(text) or _holds_bytes(tree):
        return None
    return list(value) if isinstance(value, tuple) else value


def _escaped(text: str) -> str:
    """Escape what Celery's repr does not: it escapes only quotes, so a backslash in it is one that was sent."""
    text = _BARE_BACKSLASH.sub(r"\\\\", text)
    return text.replace("\n", r"\n").replace("\r", r"\r").replace("\f", r"\f").replace("\0", r"\x00")


_BARE_BACKSLASH = re.compile(r"\\(?!')")


def _holds_bytes(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Constant) and isinstance(node.value, bytes) for node in ast.walk(tree))
