"""Jobs as Celery's task events tell of them: when each came, with which arguments, as far as events show them. Pure."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = ("task-sent", "task-received")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """
    A job that was heard of.

    Attributes:
        task_id: Celery's.
        at: When it came, seconds since the epoch.
        task: Its name.
        args: Positional arguments; None if they cannot be told.
        kwargs: Keyword arguments; None if they cannot be told.
        queue: Where it was seen; empty if that is not known.
        child: Another job has started it.
    """

    task_id: str
    at: float
    task: str
    args: list[Any] | None
    kwargs: dict[str, Any] | None
    queue: str = ""
    child: bool = False

    @property
    def replayable(self) -> bool:
        """Whether it can be sent again as it was."""
        return self.args is not None and self.kwargs is not None


@dataclass(slots=True)
class Ear:
    """
    Listens to events, and puts together what they say of each job.

    Attributes:
        jobs: By task id.
    """

    jobs: dict[str, Heard] = field(default_factory=dict)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take one event; others than `KINDS`, and those without a task's name, say nothing new."""
        task_id, task = event.get("uuid"), event.get("name")
        if event.get("type") not in KINDS or not task_id or not task:
            return
        at = float(event["timestamp"])
        known = self.jobs.get(task_id)
        if known is not None and known.at <= at:
            return  # a retry comes again under the same id, and is no new job
        self.jobs[task_id] = Heard(
            task_id=task_id,
            at=at,
            task=task,
            args=literal(event.get("args"), (list, tuple)),
            kwargs=literal(event.get("kwargs"), (dict,)),
            queue=str(event.get("queue") or ""),
            child=bool(event.get("parent_id")),
        )


def literal(text: Any, kinds: tuple[type, ...]) -> Any:
    """What a repr stands for, if it is whole and of plain values; else None."""
    if isinstance(text, kinds):
        return list(text) if isinstance(text, tuple) else text
    try:
        value: Any = ast.literal_eval(str(text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    # What was cut ends in dots, in a text or as an Ellipsis of its own.
    if not isinstance(value, kinds) or "..." in str(text):
        return None
    return list(value) if isinstance(value, tuple) else value
