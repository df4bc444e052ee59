"""The jobs of a trial: calls of tasks, and the messages that a user's own app made for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from producer.plan.mix import sample_mix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.plan.arrivals import Plan


PAYLOAD = "payload"
"""The keyword argument that only makes a message longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """
    What the jobs of a workload, or of a mix of some, are on the wire.

    Attributes:
        workload: What reports call them.
        calls: What jobs do; a plan of several parts says which of these each job is.
        expected_s: How long a job is expected to hold a slot, at the least.
        priority: Of the messages; None for none.
        weights: How many of all jobs are of each call; none if there is only one, or a plan says it.
        timeout_s: A trial in which no job ends for so long is given up; None for jobs of ours, which end.
    """

    workload: str
    calls: tuple[Call, ...]
    expected_s: float
    priority: int | None = None
    weights: tuple[float, ...] = ()
    timeout_s: float | None = None

    @classmethod
    def of(cls, workload: str, task: str, args: tuple[Any, ...] = (), *, expected_s: float) -> Self:
        """Jobs that are all the same."""
        return cls(workload=workload, calls=(Call(workload=workload, task=task, args=args),), expected_s=expected_s)


def with_calls(plan: Plan, jobs: Jobs) -> Plan:
    """A plan of which each job is known to be of one call: drawn by weight, the same on every lane."""
    if plan.parts is not None or len(jobs.calls) == 1 or not jobs.weights:
        return plan
    return replace(plan, parts=sample_mix(jobs.weights, plan.jobs, seed=plan.jobs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """
    A job of a user's app as it goes over the wire, without what differs from one of its kind to the next.

    Attributes:
        body: The task's arguments, serialised by the app.
        content_type: Of the body.
        content_encoding: Of the body.
        headers: Celery's, and those of the job file.
        reply_to: Where the app wants its results; empty for nowhere.
        priority: Of the message; None for none.
        queue: Which of the app's own queues it goes to, or its counterpart; empty for the default queue.
    """

    body: bytes | str
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any]
    reply_to: str = ""
    priority: int | None = None
    queue: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """
    A task as it is called, the same for every job of its kind.

    Attributes:
        task: Celery's name of the task.
        args: Its positional arguments.
        workload: What the job does, for whoever counts.
        payload_bytes: Length of a text that the message carries besides and the task ignores; 0 for none.
        messages: What is sent instead of the arguments, as a user's own app made it.
        picks: Which of those each job is, by number; a job beyond the last begins again with the first.
    """

    task: str
    args: tuple[Any, ...] = ()
    workload: str = ""
    payload_bytes: int = 0
    messages: tuple[Message, ...] = ()
    message_index: tuple[int, ...] = ()

    @property
    def keywords(self) -> dict[str, Any]:
        """Keyword arguments of the task."""
        return {PAYLOAD: "x" * self.payload_bytes} if self.payload_bytes else {}


def mixed_jobs(label: str, workloads: Sequence[str], jobs: Mapping[str, Jobs]) -> Jobs:
    """Several workloads as jobs of one trial."""
    parts = [jobs[name] for name in workloads]
    return Jobs(
        workload=label,
        calls=tuple(call for part in parts for call in part.calls),
        # A mix may change while it runs, to the slowest of its workloads alone.
        expected_s=max(part.expected_s for part in parts),
        timeout_s=parts[0].timeout_s,
    )


def with_payload(jobs: Jobs, payload_bytes: int) -> Jobs:
    """The same jobs with longer messages."""
    return replace(jobs, calls=tuple(replace(call, payload_bytes=payload_bytes) for call in jobs.calls))
