"""The jobs of a user's app, ready to send."""

from __future__ import annotations

import base64
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from producer.errors import UsageError
from producer.plan.jobs import Call, Jobs, Message
from producer.plan.mix import deal_mix
from producer.plan.own_app import MIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_TASKS = 200
"""A plan numbers the tasks of its jobs with a byte."""

DRAWN_MESSAGES = 4_999
"""Messages of a task that are drawn by weight before they repeat: a prime, so that publishers share them evenly."""


def jobs_by_task(messages: Sequence[Mapping[str, Any]], *, timeout_s: float, seed: int) -> dict[str, Jobs]:
    """
    Return the jobs of each task, and of all together.

    Args:
        messages: The messages, in the form of `poolrace.ownapp.introspect`.
        timeout_s: The longest wait for the end of a job.
        seed: The seed of the draws by weight.

    Raises:
        UsageError: If there are too many tasks.
    """
    if len({message["task"] for message in messages}) > MAX_TASKS:
        raise UsageError(f"--jobs: more than {MAX_TASKS} tasks. Choose some with --task.")
    by_task: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for message in messages:
        by_task[message["task"]].append(message)
    names = short_names(list(by_task))
    calls = {names[task]: _call(names[task], made, seed) for task, made in by_task.items()}
    jobs = {name: _jobs(name, [call], (), timeout_s) for name, call in calls.items()}
    if len(calls) > 1:
        weights = tuple(sum(made["weight"] for made in of_task) for of_task in by_task.values())
        jobs[MIX] = _jobs(MIX, list(calls.values()), weights, timeout_s)
    return jobs


def replayed_jobs(
    messages: Sequence[Mapping[str, Any]], *, timeout_s: float
) -> tuple[dict[str, Jobs], tuple[tuple[float, str], ...]]:
    """
    Return the jobs of each task of a recording, and when each of all jobs came, with its task's short name.

    Sent in the order in which they came, each job is the one that was recorded.

    Raises:
        UsageError: If a job does not say when it came.
    """
    if len({message["task"] for message in messages}) > MAX_TASKS:
        raise UsageError(f"--jobs: more than {MAX_TASKS} tasks. Choose some with --task.")
    if timeless := [message["line"] for message in messages if message["at"] is None]:
        raise UsageError(f'--replay: {timeless[0]}: does not say when the job came, as "at": 1.5 does.')
    ordered = sorted(messages, key=lambda message: message["at"])
    names = short_names(list(dict.fromkeys(message["task"] for message in ordered)))
    jobs = {}
    for task, name in names.items():
        made = [message for message in ordered if message["task"] == task]
        places = iter(range(len(made)))
        message_index = tuple(next(places) if message["task"] == task else 0 for message in ordered)
        call = Call(task=task, workload=name, messages=tuple(map(message_of, made)), message_index=message_index)
        jobs[name] = _jobs(name, [call], (), timeout_s)
    return jobs, tuple((float(message["at"]), names[message["task"]]) for message in ordered)


def _jobs(workload: str, calls: Iterable[Call], weights: tuple[float, ...], timeout_s: float) -> Jobs:
    return Jobs(workload=workload, calls=tuple(calls), expected_s=0.0, weights=weights, timeout_s=timeout_s)


def short_names(tasks: Sequence[str]) -> dict[str, str]:
    """Return the last part of each task's name if no other task has the same; reports use these names."""
    tails = [task.rpartition(".")[2] for task in tasks]
    names = {
        task: tail if tails.count(tail) == 1 and tail != MIX else task for task, tail in zip(tasks, tails, strict=True)
    }
    return {task: f"task {name}" if name == MIX else name for task, name in names.items()}


def _call(name: str, made: Sequence[Mapping[str, Any]], seed: int) -> Call:
    weights = [message["weight"] for message in made]
    message_index = draw_many(weights, DRAWN_MESSAGES, seed) if len(made) > 1 else (0,)
    return Call(task=made[0]["task"], workload=name, messages=tuple(map(message_of, made)), message_index=message_index)


def draw_many(weights: Sequence[float], jobs: int, seed: int) -> tuple[int, ...]:
    """Draw by weight which message each of some jobs is."""
    if len(set(weights)) == 1 and len(weights) >= jobs:
        return tuple(range(len(weights)))
    return tuple(deal_mix(weights, jobs, seed, dtype="uint32").tolist())


def message_of(made: Mapping[str, Any]) -> Message:
    """Return a message from the form of `poolrace.ownapp.introspect`."""
    raw = base64.b64decode(made["body"])
    return Message(
        body=raw.decode() if made["text"] else raw,
        content_type=made["content_type"],
        content_encoding=made["content_encoding"],
        headers=made["headers"],
        reply_to=made["reply_to"],
        priority=made["priority"],
        queue=made["queue"],
        expires_s=made["expires_s"],
        results_by_task=made["results_by_task"],
    )
