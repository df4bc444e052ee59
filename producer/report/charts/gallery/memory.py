"""
Memory: what the nodes of each lane take, private and shared one above the other; in a sweep over slots, or over nodes
that bring theirs, against slots.

Private is what each process has to itself; shared the node's part of pages that several processes map. Together: PSS.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from producer.report.charts.lane_memory import by_lane, memory_limit, of_lanes, of_sweep, slots_differ
from producer.report.charts.memory_figure import memory_against_slots, memory_bars
from producer.report.charts.picture import Drawn, picture
from producer.report.formats import NONE, count, mebibytes
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.analysis.summary import Summary
    from producer.report.charts.lane_memory import LaneMemory, MemoryLimit
    from producer.rundir.run import Run

NOT_SAMPLED = (
    "No memory was sampled while a trial ran. Nodes sample it every other second, and only Linux reports it (PSS): "
    "run longer there, e.g. --duration 5s."
)
DIVIDED = "Shared is the nodes' part of pages that several processes map, programs outside the run included."
UNDIVIDED = "What is private and what is shared is not known of {}: the system does not report it."


@picture(key="memory", title="Memory of the nodes", missing=NOT_SAMPLED, order=60, compares=True)
def memory(summary: Summary, run: Run) -> Drawn | None:
    """Draw the PSS of each lane's nodes while it worked, with the limit where the run knows one."""
    taken = list(
        of_sweep(summary, summary.sweep, run) if summary.sweep else of_lanes(summary, run, memory.trials_of(run))
    )
    if not taken:
        return None
    limit = memory_limit(summary)
    figure = memory_against_slots if slots_differ(taken) else memory_bars
    return Drawn(
        shows=_shows(taken, limit),
        reads=_reads(taken, limit),
        figure=figure(taken, limit),
        table=_table(taken, limit),
    )


def _shows(taken: Sequence[LaneMemory], limit: MemoryLimit | None) -> str:
    sizes = "; ".join(_range(key, mine) for key, mine in by_lane(taken).items())
    if limit is None:
        return f"While they worked, nodes took: {sizes}. The run knows no memory limit."
    drawn = "the dashed line" if limit.is_near(taken) else "too far above to be drawn"
    return (
        f"While they worked, nodes took: {sizes}. The limit is {mebibytes(limit.size_bytes)} ({limit.whose}), {drawn}."
    )


def _range(key: str, mine: Sequence[LaneMemory]) -> str:
    first, last = mine[0], mine[-1]
    if first is last:
        nodes = f" on {count(last.of)} nodes" if last.of > 1 else ""
        return f"{key} {mebibytes(last.total_bytes)} for {last.slots} slots{nodes}{_of_it(last)}"
    sizes = f"{mebibytes(first.total_bytes)} to {mebibytes(last.total_bytes)}"
    return f"{key} {sizes} from {first.slots} to {last.slots} slots{_of_it(last)}"


def _of_it(each: LaneMemory) -> str:
    return "" if each.private_bytes is None else f", {mebibytes(each.private_bytes)} of it private"


def _reads(taken: Sequence[LaneMemory], limit: MemoryLimit | None) -> str:
    over = [f"{e.lane} with {e.slots} slots" for e in taken if limit and e.total_bytes > limit.size_bytes]
    end = f"; beyond the limit is {', '.join(over)}" if over else ""
    if slots_differ(taken):
        steps = ", ".join(
            f"{mebibytes(_slope(mine))} on {key}" for key, mine in by_lane(taken).items() if len(mine) > 1
        )
        return f"The steeper a line, the more every further slot takes: {steps}; {_split(taken)}{end}."
    parts = "its parts are its nodes" if any(len(each.nodes) > 1 for each in taken) else "all processes of its node"
    each = ", ".join(f"{mebibytes(e.total_bytes / e.slots)} on {e.lane}" for e in taken)
    return f"A bar is a lane's PSS, {parts}; {_split(taken)}; a slot takes {each}{end}."


def _split(taken: Sequence[LaneMemory]) -> str:
    if _undivided(taken):
        return "a page that processes share counts once"
    return "private memory is below, and above it the node's part of pages that processes share, each counted once"


def _undivided(taken: Sequence[LaneMemory]) -> list[str]:
    """Return the lanes whose private memory is unknown."""
    return list(dict.fromkeys(each.lane for each in taken if each.private_bytes is None))


def _slope(mine: Sequence[LaneMemory]) -> float:
    """Return the bytes that a further slot takes, from the fewest to the most."""
    rises = [(b.total_bytes - a.total_bytes, b.slots - a.slots) for a, b in pairwise(mine)]
    return sum(rise for rise, _ in rises) / max(sum(step for _, step in rises), 1)


def _table(taken: Sequence[LaneMemory], limit: MemoryLimit | None) -> Table:
    rows = [
        [
            each.lane,
            count(each.slots),
            count(each.of),
            mebibytes(each.total_bytes),
            *_divided(each),
            mebibytes(each.total_bytes / each.slots),
            NONE if limit is None else f"{each.total_bytes / limit.size_bytes * 100:.0f} %",
        ]
        for each in taken
    ]
    undivided = _undivided(taken)
    return Table(
        title="Memory while it worked (PSS)",
        columns=["lane", "slots", "nodes", "all nodes", "private", "shared", "a slot", "of the limit"],
        rows=rows,
        note=f"The median over time. {UNDIVIDED.format(', '.join(undivided)) if undivided else DIVIDED}",
    )


def _divided(each: LaneMemory) -> tuple[str, str]:
    private = each.private_bytes
    return (NONE, NONE) if private is None else (mebibytes(private), mebibytes(each.total_bytes - private))
