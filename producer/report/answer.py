"""The last part of a race of a user's own app: what to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import to_builtins

from poolrace.transport_setting import ATOMIC
from producer.ownapp.caveats import caveats, redirect_notes
from producer.report.formats import NONE, count, mebibytes, milliseconds, number, percent
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.analysis.answer import Answer
    from producer.analysis.summary import Summary


def app_parts(summary: Summary) -> Iterator[Prose]:
    """Yield what was known of the app before it ran; nothing for a run of the demonstration's jobs."""
    app = summary.settings.app
    if app:
        known = caveats(app.facts, [lane.pool for lane in summary.lanes])
        yield Prose(title=f"The app {app.app}", lines=[*redirect_notes(to_builtins(app)), *known])


def answer_parts(summary: Summary) -> Iterator[Table | Prose]:
    """Yield which pool for which task, and the lines to use."""
    found = summary.answers
    if not found:
        return
    yield jobs(found, [lane.key for lane in summary.lanes])
    yield pools(found)
    yield Prose(title="Confidence", lines=[f"{each.workload}: {each.sure}." for each in found])
    overall = found[-1]  # for all tasks together
    if overall.command and overall.compose:
        yield Prose(title="The worker", lines=[], commands=[overall.command])
        yield Prose(title="Its service in a compose file", lines=[], commands=overall.compose.splitlines())


def jobs(found: Sequence[Answer], lanes: Sequence[str]) -> Table:
    """Return what each task is like, with its CPU share on each lane."""
    return Table(
        title="The tasks: what part of its time each holds the CPU",
        columns=["task", "of all jobs", "starts", *lanes],
        rows=[
            [
                each.workload,
                percent(each.share),
                number(each.started_per_job),
                *(percent(each.cpu_share.get(lane)) for lane in lanes),
            ]
            for each in found
        ],
        note="CPU time of a job over the time it holds its slot, at the held rate. Starts: jobs that each one starts.",
    )


def pools(found: Sequence[Answer]) -> Table:
    """Return which pool, and what it takes, per task and for all together."""
    return Table(
        title="The answer: one node, per task and for the whole mix",
        columns=["task", "pool", "slots", "prefetch", "jobs/s", "at rate/s", "p99 ms", "nodes", "memory"],
        rows=[_pool_row(each) for each in found],
        note="jobs/s: capacity. p99: from due to finished at that rate. Nodes: for that rate at 70 % of capacity each.",
    )


def _pool_row(answer: Answer) -> list[str]:
    if answer.pool is None:
        return [answer.workload, "no answer", *[NONE] * 7]
    return [
        answer.workload,
        f"{answer.pool}, atomic" if answer.transport == ATOMIC else answer.pool,
        count(answer.concurrency),
        count(answer.prefetch),
        number(answer.capacity_per_s),
        number(answer.rate_per_s),
        milliseconds(answer.p99_s),
        count(answer.nodes),
        mebibytes(answer.memory_bytes),
    ]
