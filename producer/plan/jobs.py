"""The jobs of a trial: calls of tasks, and the messages that a user's own app made for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from producer.plan.mix import deal_mix

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.plan.arrivals import Plan


PAYLOAD = "payload"
"""The keyword argument that only makes a message longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jobs:
    """
    The jobs of a workload, or of a mix of workloads, as publishers send them.

    Attributes:
        workload: Their name in reports.
        calls: The tasks to call; a plan with several parts has an index into them for each job.
        expected_s: The least time that a job is expected to hold a slot.
        priority: The priority of the messages; None for none.
        weights: The weight of each call among all jobs; empty if there is only one call, or the plan has the parts.
        timeout_s: A trial in which no job ends for this long is given up; None for jobs that always end.
    """

    workload: str
    calls: tuple[Call, ...]
    expected_s: float
    priority: int | None = None
    weights: tuple[float, ...] = ()
    timeout_s: float | None = None

    @classmethod
    def of(cls, workload: str, task: str, args: tuple[Any, ...] = (), *, expected_s: float) -> Self:
        """Return jobs that are all the same."""
        return cls(workload=workload, calls=(Call(workload=workload, task=task, args=args),), expected_s=expected_s)


def with_calls(plan: Plan, jobs: Jobs, seed: int) -> Plan:
    """
    Return a plan with a call for each job: each call has its exact share, in a random order.

    Args:
        plan: When the jobs are due; one that says what each job is stays as it is.
        jobs: The calls, with their weights.
        seed: The same on every lane of a round, and another one in each round.
    """
    if plan.parts is not None or len(jobs.calls) == 1 or not jobs.weights:
        return plan
    return replace(plan, parts=deal_mix(jobs.weights, plan.jobs, seed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """
    A message of a user's app, without the parts that differ between two sends of it.

    Attributes:
        body: The task's arguments, serialised by the app.
        content_type: Content type of the body.
        content_encoding: Content encoding of the body.
        headers: Celery's headers, and those of the job file.
        reply_to: The app's queue for results; empty for none.
        priority: Priority of the message; None for none.
        queue: The app's own queue whose counterpart it goes to; empty for the default queue.
        expires_s: The time from its sending after which a node revokes it instead of running it; None for no end.
        results_by_task: True if it says of its result what its task says; a call may say otherwise.
    """

    body: bytes | str
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any]
    reply_to: str = ""
    priority: int | None = None
    queue: str = ""
    expires_s: float | None = None
    results_by_task: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """
    A task with its arguments, the same for every job of its kind.

    Attributes:
        task: Celery's name of the task.
        args: Its positional arguments.
        workload: The workload that its jobs count for.
        payload_bytes: Length of a text that the message carries and the task ignores; 0 for none.
        messages: The messages that a user's own app made, sent instead of the arguments.
        message_index: The index of each job's message; a job beyond the last begins again with the first.
    """

    task: str
    args: tuple[Any, ...] = ()
    workload: str = ""
    payload_bytes: int = 0
    messages: tuple[Message, ...] = ()
    message_index: tuple[int, ...] = ()

    @property
    def keywords(self) -> dict[str, Any]:
        """The task's keyword arguments."""
        return {PAYLOAD: "x" * self.payload_bytes} if self.payload_bytes else {}


def mixed_jobs(label: str, workloads: Sequence[str], jobs: Mapping[str, Jobs]) -> Jobs:
    """Return several workloads as the jobs of one trial."""
    parts = [jobs[name] for name in workloads]
    return Jobs(
        workload=label,
        calls=tuple(call for part in parts for call in part.calls),
        # A mix may change while it runs, to the slowest of its workloads alone.
        expected_s=max(part.expected_s for part in parts),
        timeout_s=parts[0].timeout_s,
    )


def with_payload(jobs: Jobs, payload_bytes: int) -> Jobs:
    """Return the same jobs with longer messages."""
    return replace(jobs, calls=tuple(replace(call, payload_bytes=payload_bytes) for call in jobs.calls))
