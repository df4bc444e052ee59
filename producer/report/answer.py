"""The last part of a race of a user's own app: what to run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poolrace.transport_setting import ATOMIC
from producer.ownapp.caveats import caveats, redirect_notes
from producer.report.formats import NONE, mebibytes, milliseconds, number
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from producer.report.tables import Summary


def app_parts(summary: Summary) -> Iterator[Prose]:
    """What was known of the app before it ran; nothing for a run of the demonstration's jobs."""
    app = summary["settings"].get("app")
    if app:
        known = caveats(app["facts"], [lane["pool"] for lane in summary["lanes"]])
        yield Prose(title=f"The app {app['app']}", lines=[*redirect_notes(app), *known])


def answer_parts(summary: Summary) -> Iterator[Table | Prose]:
    """Which pool for which task, and the lines to use."""
    found = summary["answers"]
    if not found:
        return
    yield jobs(summary)
    yield pools(summary)
    yield Prose(title="How sure that is", lines=[f"{each['workload']}: {each['sure']}." for each in found])
    for commands, title in ((_worker_lines(found), "The worker"), (_services(found), "Its service in a compose file")):
        if commands:
            yield Prose(title=title, lines=[], commands=commands)


def jobs(summary: Summary) -> Table:
    """What each task is like."""
    keys = [lane["key"] for lane in summary["lanes"]]
    return Table(
        title="The tasks: what part of its time each holds the CPU",
        columns=["task", "of all jobs", "starts", *keys],
        rows=[_job_row(each, keys) for each in summary["answers"]],
        note="CPU time of a job over the time it holds its slot, at the held rate. Starts: jobs that each one starts.",
    )


def _job_row(answer: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    share = answer["share"]
    cells = [answer["workload"], NONE if share is None else f"{share:.0%}", number(answer["started_per_job"])]
    return [*cells, *(_percent(answer["cpu_share"].get(key)) for key in keys)]


def pools(summary: Summary) -> Table:
    """Which pool, and what it takes, per task and for all together."""
    return Table(
        title="The answer: one node, per task and for the whole mix",
        columns=["task", "pool", "slots", "prefetch", "jobs/s", "at rate/s", "p99 ms", "nodes", "memory"],
        rows=[_pool_row(each) for each in summary["answers"]],
        note="jobs/s: capacity. p99: from due to finished at that rate. Nodes: for that rate at 70 % of capacity each.",
    )


def _pool_row(answer: Mapping[str, Any]) -> list[str]:
    if answer["lane"] is None:
        return [answer["workload"], "no answer", *[NONE] * 7]
    return [
        answer["workload"],
        f"{answer['pool']}, atomic" if answer["transport"] == ATOMIC else answer["pool"],
        str(answer["concurrency"]),
        str(answer["prefetch"]),
        number(answer["capacity_per_s"]),
        number(answer["rate_per_s"]),
        milliseconds(answer["p99_s"]),
        NONE if answer["nodes"] is None else str(answer["nodes"]),
        mebibytes(answer["memory_bytes"]),
    ]


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{value:.0%}"


def _final(found: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The answer for all tasks together, which is the last; None if there is none."""
    return found[-1] if found[-1]["lane"] is not None else None


def _worker_lines(found: Sequence[Mapping[str, Any]]) -> list[str]:
    final = _final(found)
    return [final["command"]] if final else []


def _services(found: Sequence[Mapping[str, Any]]) -> list[str]:
    final = _final(found)
    return final["compose"].splitlines() if final else []
