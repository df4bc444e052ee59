"""
Record the jobs of a live system in a file; no job is taken away.

The file has the times at which they came. By default it listens to Celery's task events, which workers send with -E,
and which show arguments as text: values that are cut off, or are not plain, cannot be recorded. With --queue it looks
at the queue's own messages, on Redis, many times a second; a job that comes and goes between two looks is missed.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from poolrace.credentials import hide_password
from producer.cli._broker import BROKER_OPTION, broker_of
from producer.cli._command import command, option
from producer.cli._options import FOLDER, user_environment
from producer.cli._param_types import Duration, OneOf
from producer.errors import UsageError
from producer.fleet.broker import BrokerAccess, connect_to_one
from producer.ownapp.event_listener import EVENTS, FOLLOWING, QUEUE, WAYS
from producer.ownapp.introspect import broker_of_app
from producer.ownapp.jobfile import check_free, write_jobs
from producer.ownapp.mask import SALT_BYTES, Mask
from producer.ownapp.recorder import record_jobs
from producer.plan.units import DAY_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.ownapp.event_listener import RecordedJob
    from producer.ownapp.recorder import Recording

PATIENCE_S = 30.0

KEEP, MASK, DROP = ARGUMENTS = ("keep", "mask", "drop")
WORDS = {
    KEEP: "kept as they are",
    MASK: "masked: text is other text of the same length, numbers are 0",
    DROP: "dropped",
}

EXAMPLES = """\b
Examples:
  poolrace record --app shop.celery:app --duration 60s --yes-live
  poolrace record --broker redis://:PASSWORD@127.0.0.1:6379/0 --duration 60s --yes-live
  poolrace record --broker redis://:PASSWORD@127.0.0.1:6379/0 --queue images --queue mail --yes-live
  poolrace record --broker redis://127.0.0.1:6379/0 --queue mail --from queue --from events --yes-live
  poolrace record --broker redis://:PASSWORD@127.0.0.1:6379/0 --args keep --mask email --mask 0 --yes-live
  poolrace load --app shop.celery:app --jobs jobs.jsonl --replay 2x"""


@command(__doc__, epilog=EXAMPLES)
@BROKER_OPTION
@option("--app", metavar="APP", help="Your Celery app, whose own broker is watched, instead of --broker.")
@option("--workdir", type=FOLDER, metavar="DIR", default=".", help="With --app: where it is imported.")
@option(
    "--queue",
    "queues",
    multiple=True,
    metavar="NAME",
    help="Look at this queue in place, Redis only; repeatable. [default: the workers' events]",
)
@option(
    "--from",
    "ways",
    multiple=True,
    type=OneOf(WAYS),
    help="Listen to events, or look at the queue; both if given twice. [default: by --queue]",
)
@option("--duration", "duration_s", type=Duration(0.1, DAY_S), default=60.0, help="How long to record.")
@option(
    "--jobs",
    "job_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    default="jobs.jsonl",
    help="The job file to write.",
)
@option(
    "--args",
    "arguments",
    type=OneOf(ARGUMENTS),
    default=MASK,
    help="What becomes of the jobs' arguments in the file: kept as they are, masked, or dropped.",
)
@option(
    "--mask",
    "masked",
    multiple=True,
    metavar="NAME",
    help="With --args keep: mask this keyword argument, or the positional one of this number, from 0; repeatable.",
)
@option("--yes-live", is_flag=True, help="Yes, that broker.")
@option("--force", is_flag=True, help="Replace the job file if it is there already.")
@option("--json", "as_json", is_flag=True, help="Print what was recorded as JSON.")
def record(
    *,
    broker_url: str | None,
    app: str | None,
    workdir: Path,
    queues: Sequence[str],
    ways: Sequence[str],
    duration_s: float,
    job_file: Path,
    arguments: str,
    masked: Sequence[str],
    yes_live: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Record as the options say, and write the job file."""
    if app is not None and broker_url is not None:
        raise UsageError("--app, --broker: name the broker once, by its URL or by the app that is on it.")
    if masked and arguments != KEEP:
        raise UsageError(f"--mask: goes with --args keep; now all arguments are {WORDS[arguments]}.")
    access = _broker_of_app(app, workdir) if app else BrokerAccess(urls=(broker_of(broker_url),))
    check_free(job_file, force=force)
    chosen = chosen_ways(ways, queues)
    if not yes_live:
        raise UsageError(_question(access, duration_s, chosen, queues))
    broker = connect_to_one(access, f"--app {app}: its broker" if app else "--broker")
    found = record_jobs(
        broker.url, access.settings, queues=tuple(queues), ways=chosen, duration_s=duration_s, on_count=_print_counts
    )
    if not found.jobs:
        raise UsageError(_nothing(found, queues))
    mask = Mask(salt=os.urandom(SALT_BYTES), names=frozenset(masked), everything=arguments != KEEP)
    jobs = [without_arguments(job) for job in found.jobs] if arguments == DROP else found.jobs
    write_jobs(job_file, jobs, mask, force=force)
    click.echo(json.dumps(found.to_dict(), indent=2) if as_json else in_words(found, job_file, chosen, arguments))
    return 0


def without_arguments(job: RecordedJob) -> RecordedJob:
    """Return a job without its arguments, and without those of the jobs that follow it."""
    following = {
        name: [{**each, "args": [], "kwargs": {}} for each in job.options[name]]
        for name in FOLLOWING
        if name in job.options
    }
    return replace(job, args=[], kwargs={}, options={**job.options, **following})


def _broker_of_app(app: str, workdir: Path) -> BrokerAccess:
    environment = user_environment()
    return broker_of_app(app, folder=workdir.resolve(), environment=environment, patience_s=PATIENCE_S)


def _question(access: BrokerAccess, duration_s: float, ways: frozenset[str], queues: Sequence[str]) -> str:
    looked_at = f"the queues {', '.join(queues)}, looked at in place"
    what = " and ".join(looked_at if way == QUEUE else "the task events of its workers" for way in sorted(ways))
    where = " or ".join(map(hide_password, access.urls))
    return (
        f"record would watch {where} for {duration_s:g} s: {what}. Nothing is taken away. If that is the broker, add "
        "--yes-live."
    )


def chosen_ways(ways: Sequence[str], queues: Sequence[str]) -> frozenset[str]:
    """
    Return the ways in which to listen.

    Raises:
        UsageError: If a queue is to be looked at and none is named, or the other way round.
    """
    chosen = frozenset(ways) or frozenset({QUEUE if queues else EVENTS})
    if QUEUE in chosen and not queues:
        raise UsageError("--from queue: which? Name it: --queue NAME. Or listen to all workers with --from events.")
    if queues and QUEUE not in chosen:
        raise UsageError("--queue: goes with --from queue. Leave --queue out, or add --from queue.")
    return chosen


def _print_counts(counts: Mapping[str, int]) -> None:
    if not counts:
        click.echo("Listening. No job so far", err=True)
        return
    tasks = ", ".join(f"{count} of {task}" for task, count in counts.items())
    click.echo(f"{sum(counts.values())} jobs so far: {tasks}", err=True)


def _nothing(found: Recording, queues: Sequence[str]) -> str:
    if found.unreadable:
        return f"no job can be sent again: {unreadable(found)}."
    remedy = (
        "Is that the queue's name, and are jobs sent to it?"
        if queues
        else "Do its workers send events (celery worker -E)? Or its senders (task_send_sent_event)? On Redis, --queue "
        "NAME needs none."
    )
    return f"no job came. {remedy}"


def _started_again(chosen: frozenset[str]) -> str:
    if QUEUE in chosen:
        return "a replay starts them again, but for the body of a chord."
    return (
        "a replay starts those again that a task itself starts. What a sender chained or linked, events do not show; "
        "on Redis, --queue sees it."
    )


def unreadable(found: Recording) -> str:
    """List the jobs that cannot be recorded, and why."""
    return "; ".join(
        f"{count} of {task} ({reason})"
        for task, reasons in found.unreadable.items()
        for reason, count in reasons.items()
    )


def in_words(found: Recording, path: Path, chosen: frozenset[str], arguments: str) -> str:
    """Describe what was recorded in a few lines."""
    span_s = found.jobs[-1].at - found.jobs[0].at
    tasks = ", ".join(f"{count} of {task}" for task, count in found.to_dict()["tasks"].items())
    first = f"{path}: {len(found.jobs)} jobs in {span_s:.1f} s: {tasks}."
    last = f"Replay it: poolrace load --app YOUR_APP --jobs {path} --replay 1x"
    kept = f"Arguments are {WORDS[arguments]}." + ("" if arguments == KEEP else " With --args keep they are kept.")
    return "\n".join([first, kept, *left_out(found, chosen), last])


def left_out(found: Recording, chosen: frozenset[str]) -> list[str]:
    """List what is missing from the file though it came, or may have come."""
    lines = []
    if QUEUE in chosen:
        lines.append("A job that came and went between two looks at the queue may be missing.")
    if found.events_only is not None:
        lines.append(f"{found.events_only} jobs were in events and not seen in the queue; they are taken from events.")
    if found.elsewhere:
        lines.append(
            f"{found.elsewhere} jobs in events are left out, as other queues' or of a queue that events do not name; "
            "senders name it with task_send_sent_event = True."
        )
    if found.before:
        lines.append(f"{found.before} jobs are left out that had come before, or were tried again.")
    if found.children:
        lines.append(f"{found.children} jobs that others started are left out: {_started_again(chosen)}")
    if found.unreadable:
        advice = "" if QUEUE in chosen else " On Redis, --queue sees the arguments themselves."
        lines.append(f"Left out, since they cannot be sent again: {unreadable(found)}.{advice}")
    return lines
