"""The report of a race of a user's own app: what was known of it, and what its nodes need, task by task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import to_builtins

from poolrace.transport_setting import ATOMIC
from producer.ownapp.caveats import caveats, redirect_notes
from producer.report.formats import count, mebibytes, milliseconds, number, percent
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from producer.analysis.answer import Answer
    from producer.analysis.slowed import Apart, Slowed
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
    if any(each.pool for each in found):
        yield pools(found)
    if without := [each for each in found if not each.pool]:
        yield Prose(title="No pool yet", lines=_why_none(without))
    yield Prose(title="Confidence", lines=[f"{each.workload}: {each.sure}." for each in found])
    if summary.apart:
        yield mix_apart(summary.apart)
    overall = found[-1]  # for all tasks together
    if overall.command and overall.compose:
        yield Prose(title="The service of a worker, in a compose file", lines=[], commands=overall.compose.splitlines())


def mix_parts(summary: Summary) -> Iterator[Prose]:
    """Yield which tasks the mix makes slower, and what became of those apart; nothing where that is not known."""
    if summary.slowed:
        apart = {(each.lane, each.task): each for each in summary.apart}
        lines = [_slowed_line(each, apart.get((each.lane, each.task))) for each in summary.slowed]
        yield Prose(
            title="A mix that hurts itself: tasks in it, and alone at the same rate",
            lines=lines if apart else [*lines, _apart_advice(summary)],
        )


APART = "What a queue of its own would give, with nodes of another lane behind it: race again with --apart TASK=LANE."


def _apart_advice(summary: Summary) -> str:
    race = summary.settings.race
    if race and race.apart:
        return "The mix apart was not measured: there was no time for it, or each of its rounds was disturbed."
    return APART


LONGER = {
    "run": "it runs longer",
    "slot": "it waits for a slot",
    "node": "it waits although a slot is free",
}


def _slowed_line(one: Slowed, apart: Apart | None) -> str:
    of = "the time in slots" if one.longer == "slot" else "the CPU time"
    by = f", and {one.by} takes {percent(one.by_share)} of {of}" if one.by else ""
    times = _times(one.times_low, one.times_high)
    measured = f"; {milliseconds(apart.apart_s)} apart" if apart and apart.percentile == one.percentile else ""
    return (
        f"{one.task} on {one.lane}: {one.percentile} {milliseconds(one.mixed_s)} ms, not "
        f"{milliseconds(one.alone_s)} ({times} times){measured}: {LONGER[one.longer]}{by}."
    )


def mix_apart(apart: Sequence[Apart]) -> Table:
    """Return what became of each task while lanes shared the mix."""
    return Table(
        title="Apart: the mix on one lane, and with some of its tasks on another",
        columns=["task", "lane", "taken by", "percentile", "together ms", "apart ms", "times as long"],
        rows=[
            [
                each.task,
                each.lane,
                each.taken_by,
                each.percentile,
                milliseconds(each.together_s),
                milliseconds(each.apart_s),
                _times(each.times_low, each.times_high),
            ]
            for each in apart
        ],
        note="From due to finished, of the same jobs at the same times. Both lanes' nodes share the machine.",
        words=["taken by"],
    )


def _times(low: float | None, high: float | None) -> str:
    """Return a range of how many times as long something takes."""
    if low is None or high is None:
        return "-" if low is None else f"over {number(low)}"
    return f"{number(low)} to {number(high)}"


def _why_none(without: Sequence[Answer]) -> list[str]:
    """Return why tasks have no pool, those for the same reason together."""
    tasks: dict[str, list[str]] = {}
    for each in without:
        advice = f" {each.advice}." if each.advice else ""
        tasks.setdefault(f"{each.why}.{advice}", []).append(each.workload)
    return [f"{', '.join(names)}: {why}" for why, names in tasks.items()]


def settings_given_up(summary: Summary, pool: str) -> list[str]:
    """Return which settings of the app have no effect on a pool; nothing for the demonstration's jobs."""
    app = summary.settings.app
    return [f"your setting {sentence}".rstrip(".") for sentence in app.facts["inert"].get(pool, ())] if app else []


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
    """Return which pool, and what it takes, for the tasks that have one, and for all together."""
    at_rate = any(each.nodes for each in found)
    columns = ["task", "pool", "slots", "prefetch", "jobs/s", "at rate/s", "p99 ms", "memory"]
    nodes = " Nodes: for that rate at 70 % of capacity each." if at_rate else ""
    return Table(
        title="The answer: one node, per task and for the whole mix",
        columns=[*columns, "nodes"] if at_rate else columns,
        rows=[_pool_row(each, at_rate=at_rate) for each in found if each.pool],
        note=f"jobs/s: capacity. p99: from due to finished at that rate.{nodes}",
        words=["pool"],
    )


def _pool_row(answer: Answer, *, at_rate: bool) -> list[str]:
    return [
        answer.workload,
        f"{answer.pool}, atomic" if answer.transport == ATOMIC else str(answer.pool),
        count(answer.concurrency),
        count(answer.prefetch),
        number(answer.capacity_per_s),
        number(answer.rate_per_s),
        milliseconds(answer.p99_s),
        mebibytes(answer.memory_bytes),
        *([count(answer.nodes)] if at_rate else []),
    ]
