"""What is raised when messages could not be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kombu.exceptions import OperationalError

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMED = 3
"""So many ids are in a message; all are in its attribute."""


class PublishError(OperationalError):
    """
    Some messages were not accepted by the broker.

    A kombu `OperationalError`, as `apply_async` raises without steps.

    Attributes:
        task_ids: The ids of their tasks, in order.
    """

    def __init__(self, task_ids: Sequence[str], cause: BaseException) -> None:
        self.task_ids = tuple(task_ids)
        named = ", ".join(self.task_ids[:NAMED]) + (", …" if len(self.task_ids) > NAMED else "")
        super().__init__(
            f"{len(self.task_ids)} {'message was' if len(self.task_ids) == 1 else 'messages were'} not accepted by the "
            f"broker ({cause}): {named}. Send them again."
        )
