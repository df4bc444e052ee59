"""The report of a soak: which lanes leak, what grows, by which task, and what it costs to replace children."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from producer.analysis.growth import Growing
from producer.analysis.jumps import FEW
from producer.report.formats import NONE, count, gibibytes, interval, mebibytes, number, percent, ratio
from producer.report.kind import Check, ReportKind
from producer.report.parts import Prose, Table
from producer.report.tables import INTERVALS, cost, cpu_limits, percentile_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from producer.analysis.growth import Growth, TaskGrowth
    from producer.analysis.soak import LaneSoak, Recycling, SoakSummary
    from producer.analysis.summary import Summary
    from producer.plan.run_settings import RunSettings, SoakOptions

GIB, MIB, KIB = 2**30, 2**20, 2**10
HARDLY = 0.1
"""A task that adds less than this part of what the worst one does is not named."""

DAY_H = 24
TEN = 10
ROOM_BYTES = 100 * MIB
"""What a child may grow by before it is replaced, in the advice."""

NAMED = 3
"""So many jumps are named, the largest."""

THINGS = {"memory": "memory", "files": "open files", "sockets": "open sockets"}


def soak_parts(summary: Summary) -> Iterator[Table | Prose]:
    """Yield what a soak found: the verdict of each lane, every growth, growth by task, and the price of replacement."""
    found, options = summary.soak, summary.settings.soak
    assert found
    assert options
    yield verdicts(found, options)
    yield Prose(title="What to do", lines=[line for lane in found.lanes for line in advice(lane, options)])
    yield growths(found)
    if any(lane.tasks for lane in found.lanes):
        yield tasks(found)
    if any(lane.recycling for lane in found.lanes):
        yield recycling(found)
    yield cost(summary)
    yield from cpu_limits(summary)


def asked(settings: RunSettings) -> str:
    """Return what was done, in a few words."""
    assert settings.soak
    return f"{', '.join(settings.workloads)} for {settings.soak.for_s / 60:.3g} minutes"


def verdicts(found: SoakSummary, options: SoakOptions) -> Table:
    """Return whether each lane leaks, and by how much a process of it grows."""
    return Table(
        title="Does it leak?",
        columns=["lane", "verdict", "memory, main process", "memory, a child", "open files"],
        rows=[
            [
                lane.lane,
                lane.growing.value,
                *(_per_hour(_of(lane, "memory", root=root)) for root in (True, False)),
                _files(lane),
            ]
            for lane in found.lanes
        ],
        note=(
            "Growth of a process in an hour of work, with its 95 % interval; the first quarter of the time is left "
            f"out, and so are jumps. Up to {mebibytes(options.tolerated_bytes_per_h)} an hour is no leak (--tolerate)."
        ),
        words=["verdict"],
        large=True,
    )


def _of(lane: LaneSoak, what: str, *, root: bool) -> Growth | None:
    return next((each for each in lane.growths if each.what == what and each.root is root), None)


def _per_hour(growth: Growth | None) -> str:
    if growth is None:
        return NONE
    value, low, high = (_amount(growth.what, each) for each in (growth.per_h, growth.low_per_h, growth.high_per_h))
    unit = " MiB" if growth.what == "memory" else ""
    ends = "" if growth.low_per_h is None or low == high else f" {interval(low, high)}"
    return f"{value}{ends}{unit}{f', {_times(growth)}' if growth.jumps else ''}"


def _times(growth: Growth) -> str:
    return "1 jump" if len(growth.jumps) == 1 else f"{len(growth.jumps)} jumps"


def _amount(what: str, value: float | None) -> str:
    """Format a growth, of memory in MiB: whole numbers from ten on, and tenths below."""
    if value is None:
        return NONE
    amount = value / MIB if what == "memory" else value
    return f"{amount:+,.0f}" if abs(amount) >= TEN else f"{round(amount, 1) + 0.0:.1f}"


def _files(lane: LaneSoak) -> str:
    told = [each for root in (True, False) if (each := _of(lane, "files", root=root)) is not None]
    return _per_hour(max(told, key=_worse, default=None))


def _worse(growth: Growth) -> tuple[bool, bool, float]:
    return growth.growing is Growing.LEAK, bool(growth.jumps), growth.per_h


def advice(lane: LaneSoak, options: SoakOptions) -> Iterator[str]:
    """Yield what follows for a lane, a sentence each."""
    if lane.growing is Growing.NO_LEAK:
        yield f"{lane.lane}: no leak. Nothing has to be replaced or restarted because of it."
    for growth in lane.leaks:
        yield _leak(lane, growth)
    if lane.growing is Growing.UNKNOWN:
        yield from _unknown(lane, options)
    if lane.recycling:
        yield _price(lane.recycling)


def _leak(lane: LaneSoak, growth: Growth) -> str:
    who = "its main process" if growth.root else "each child"
    day = growth.per_h * DAY_H
    gain = f"{_bytes(day)} of memory" if growth.what == "memory" else f"{day:,.0f} {THINGS[growth.what]}"
    return f"{lane.lane}: {who} gains {gain} in a day of such work{_named(lane, growth)}. {_cure(lane, growth)}"


def _bytes(value: float) -> str:
    return mebibytes(value) if value < TEN * GIB else gibibytes(value)


def _named(lane: LaneSoak, growth: Growth) -> str:
    """Name the tasks that surely make it grow, the worst first, and none that hardly adds to it; empty if none does."""
    tasks = [each for each in lane.tasks if growth.what == "memory" and each.root is growth.root]
    worst = max((each.bytes_per_job for each in tasks), default=0.0)
    sure = [each for each in tasks if each.low is not None and each.low > max(0.0, HARDLY * worst)]
    sure.sort(key=lambda each: -each.bytes_per_job)
    named = " and ".join(f"{each.workload} ({_kib(each.bytes_per_job)} a job)" for each in sure)
    return f", by {named}" if named else ""


def _cure(lane: LaneSoak, growth: Growth) -> str:
    if growth.what == "files":
        return "Find what is opened and not closed; when the limit is reached (ulimit -n), every job fails."
    if lane.recycling and not growth.root:
        jobs = max(1, math.floor(ROOM_BYTES / (growth.per_h / lane.jobs_per_h)))
        return f"--max-tasks-per-child {_round(jobs)} keeps it below {mebibytes(ROOM_BYTES)} until it is mended."
    return "It is never replaced: mend it, or restart the node in time."


def _round(jobs: int) -> int:
    """Round down to one digit: a limit that nobody takes for exact."""
    unit = int(10 ** (len(str(jobs)) - 1))
    return jobs // unit * unit


def _unknown(lane: LaneSoak, options: SoakOptions) -> Iterator[str]:
    """Yield why nothing can be said of a lane, and what would help."""
    open_ones = [each for each in lane.growths if each.growing is Growing.UNKNOWN and each.what != "sockets"]
    needed = [each.needed_s for each in open_ones if each.needed_s]
    if jumping := [each for each in open_ones if each.jumps]:
        yield from (f"{lane.lane}: cannot say: {in_jumps(each)}." for each in jumping)
        yield (
            f"{lane.lane}: jumps so few are no rate. If they go on, more than {FEW} are likely with --for "
            f"{_minutes(max(needed))}."
        )
    elif not lane.growths:
        yield f"{lane.lane}: cannot say: no process was there from begin to end, or the system tells nothing of it."
    elif slowing := next((each for each in lane.growths if each.slows), None):
        yield (
            f"{lane.lane}: cannot say: {THINGS[slowing.what]} grew, and hardly at the end, as what fills a cache does. "
            f"Soak longer: --for {_minutes(2 * options.for_s)}."
        )
    else:
        longer = f"Soak longer: --for {_minutes(max(needed))} would probably do." if needed else "Soak longer."
        yield f"{lane.lane}: cannot say: the intervals hold both a leak and none. {longer}"


def in_jumps(growth: Growth) -> str:
    """Return in which jumps something grew, and by how much besides; of many, the largest."""
    whose = f"{THINGS[growth.what]} of {'the main process' if growth.root else 'children'}"
    shown = sorted(growth.jumps, key=lambda each: -each.by)[:NAMED]
    told = [
        f"{mebibytes(each.by) if growth.what == 'memory' else f'{each.by:.0f}'} after {_after(each.after_s)}"
        for each in sorted(shown, key=lambda each: each.after_s)
    ]
    largest = "the largest " if len(shown) < len(growth.jumps) else ""
    between = _per_hour(replace(growth, jumps=()))
    return (
        f"{whose} grew in {_times(growth)}, {largest}by {' and '.join(told)} minutes of work, and besides by {between} "
        "an hour"
    )


def _after(value_s: float) -> str:
    """Format seconds as minutes, with tenths below ten."""
    minutes = value_s / 60
    return f"{minutes:.0f}" if minutes >= TEN else f"{minutes:.1f}"


def _minutes(value_s: float) -> str:
    return f"{math.ceil(value_s / 60)}m"


def _price(found: Recycling) -> str:
    if not found.replaced:
        return f"{found.lane}: no child did {found.jobs} jobs, so none was replaced. Give fewer with --recycle."
    if found.capacity is None or found.kept is None or found.recycled is None:
        return f"{found.lane}: it was not measured long enough to say what the replacement of children costs."
    done = percent(found.capacity)
    if found.capacity_low is not None and found.capacity_high is not None:
        done += f" ({100 * found.capacity_low:.0f} to {100 * found.capacity_high:.0f})"
    return (
        f"{found.lane}: a new child after {found.jobs:,} jobs leaves {done} of the throughput; the p99 of sojourn is "
        f"{number(found.recycled.p99 * 1000)} ms, and {number(found.kept.p99 * 1000)} without."
    )


def growths(found: SoakSummary) -> Table:
    """Return the growth of each thing on each lane."""
    return Table(
        title="Growth of a process in an hour of work",
        columns=["lane", "of", "processes", "what", "first", "last", "an hour", "verdict"],
        rows=[
            [
                lane.lane,
                _whose(each),
                str(each.processes),
                THINGS[each.what],
                *(mebibytes(value) if each.what == "memory" else number(value) for value in (each.first, each.last)),
                _per_hour(replace(each, jumps=())),
                _verdict(each),
            ]
            for lane in found.lanes
            for each in lane.growths
        ],
        note=(
            "Of processes that were there all the time; an hour without jumps. Memory: RSS, with what it shares. "
            "Sockets are files, too."
        ),
        words=["of", "what", "verdict"],
    )


def _verdict(growth: Growth) -> str:
    if growth.jumps and growth.growing is Growing.UNKNOWN:
        return f"in {_times(growth)}"
    return "it slows down" if growth.slows else growth.growing.value


def tasks(found: SoakSummary) -> Table:
    """Return by how much processes grow with a job of each task."""
    return Table(
        title="Growth with a job, all such processes together",
        columns=["lane", "of", "jobs of", "ended", "rounds", "a job", "95 %"],
        rows=[
            [
                lane.lane,
                _whose(each),
                each.workload,
                count(each.jobs),
                str(each.rounds),
                _kib(each.bytes_per_job),
                _ends(each),
            ]
            for lane in found.lanes
            for each in lane.tasks
        ],
        note="While jobs of this task ran alone; the first round is left out.",
        words=["of", "jobs of"],
    )


def _whose(found: Growth | TaskGrowth) -> str:
    return "main" if found.root else "children"


def _kib(value: float) -> str:
    return f"{number(value / KIB)} KiB"


def _ends(task: TaskGrowth) -> str:
    return NONE if task.low is None or task.high is None else interval(_kib(task.low), _kib(task.high))


def recycling(found: SoakSummary) -> Table:
    """Return what it costs to replace children."""
    return Table(
        title="What it costs to replace children: sojourn in ms at the held rate",
        columns=["lane", "after", "replaced", "throughput kept", "p50", "p50 then", "p99", "p99 then"],
        rows=[
            [
                each.lane,
                f"{each.jobs:,} jobs",
                count(each.replaced),
                ratio(each.capacity, each.capacity_low, each.capacity_high),
                *(percentile_cell(of, name) for name in ("p50", "p99") for of in (each.kept, each.recycled)),
            ]
            for lane in found.lanes
            if (each := lane.recycling) is not None
        ],
        note=f"Then: with replacement. {INTERVALS}",
    )


def checks(summary: Summary) -> Iterator[Check]:
    """Yield for each lane whether it leaks."""
    assert summary.soak
    assert summary.settings.soak
    for lane in summary.soak.lanes:
        leaks = ", ".join(f"{THINGS[each.what]} {_per_hour(each)} an hour" for each in lane.leaks)
        unsure = " ".join(_unknown(lane, summary.settings.soak)) if lane.growing is Growing.UNKNOWN else ""
        yield Check(name="it does not leak", lane=lane.lane, failure=leaks, unsure=unsure)


SOAK = ReportKind(name="soak", asked=asked, parts=soak_parts, checks=checks, between=" and ")
