"""What drills found, as the parts of a report: a row a cell, what is promised, and what an operator sees."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec

from producer.analysis.drill import CellResult, all_of, upper_share
from producer.analysis.features import Tried, disagreements
from producer.fleet.machine import describe
from producer.measure.drill import Entry, catalogue, find
from producer.plan.drill import cells
from producer.report.formats import seconds
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from producer.analysis.drill import Toll
    from producer.report.parts import Part

UNNAMED = "-"
GRACE = (
    "The longest job took {}. A node that is asked to end waits for the jobs that it runs, whichever pool it has: give "
    "it more than that ({} s: terminationGracePeriodSeconds, stop_grace_period), or they are killed."
)
COMES_BACK = "What a killed node held comes back after the visibility timeout, here {} s."
NOT_SEEN = (
    "Of your tasks only what their nodes see is known: that they began, succeeded or failed. What one has done before "
    "its process was gone is not seen."
)
COLUMNS = (
    "cell", "jobs", "lost", "failed", "set aside", "never ended", "ran again", "neighbours hurt", "held up",
    "recovered", "goes on after", "done after", "as expected",
)  # fmt: skip

OFTEN = 10
"""A fault that strikes so often is told with its counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillsRun:
    """
    What a run of drills found; as JSON it is what `poolrace drill --json` prints.

    Attributes:
        at: The day, in ISO 8601.
        cores: The cores of the machine.
        memory_gib: Its memory.
        took_s: How long all of it took, in seconds.
        results: What each drill found in each cell.
    """

    at: str
    cores: int
    memory_gib: float
    took_s: float
    results: list[CellResult]

    @property
    def as_expected(self) -> bool:
        """Whether no fault cost more than it may."""
        return all(each.as_expected for each in self.results)

    def by_drill(self) -> Iterator[tuple[Entry, list[CellResult]]]:
        """Return the results of each drill, by the order of the cells."""
        for name in sorted({each.drill for each in self.results}):
            entry = find(name)
            assert entry is not None
            yield entry, [each for each in self.results if each.drill == name]


def run_of(results: Sequence[CellResult], folder: Path, took_s: float) -> DrillsRun:
    """Return results with what is to be said of them all: when they were found, on what machine, and in what time."""
    machine = describe()
    order = {cell.name: place for place, cell in enumerate(cells())}
    return DrillsRun(
        at=folder.name[:10],
        cores=machine.cores_available,
        memory_gib=round(machine.memory_total_bytes / 2**30, 1),
        took_s=round(took_s, 1),
        # In the order of the drills and of the cells, whichever ended first.
        results=sorted(_merged(results), key=lambda each: (each.drill, order.get(each.cell, len(order)), each.cell)),
    )


def _merged(results: Sequence[CellResult]) -> list[CellResult]:
    """Return one result for each drill in each cell."""
    found: dict[tuple[str, str], list[CellResult]] = {}
    for each in results:
        found.setdefault((each.drill, each.cell), []).append(each)
    return [all_of(repeats) for repeats in found.values()]


def to_json(run: DrillsRun) -> str:
    """Return a run as JSON, ending in a line break."""
    return msgspec.json.format(msgspec.json.encode(run), indent=2).decode() + "\n"


def contents() -> list[Part]:
    """Return the list of all drills."""
    rows = [[each.name, each.drill.title] for each in catalogue()]
    return [
        Table(title="Drills", columns=["name", "what happens"], rows=rows, words=["what happens"]),
        Prose(
            title="",
            lines=["Each is run on nodes of both pools, with early and late acknowledgement, on both transports."],
            commands=["poolrace drill node-kill", "poolrace drill rolling-deploy --cell prefork-safe", "make drills"],
        ),
    ]


def contents_on_others(why_left_out: Callable[[Entry], str]) -> list[Part]:
    """Return what can be done on nodes that run already, and of all other drills why they cannot."""
    left_out = {each.name: why_left_out(each) for each in catalogue()}
    done = [[each.name, each.drill.title] for each in catalogue() if not left_out[each.name]]
    others = [[name, reason] for name, reason in left_out.items() if reason]
    return [
        Table(
            title="Drills on nodes that run already", columns=["name", "what happens"], rows=done,
            words=["what happens"],
        ),
        Table(title="Left out there", columns=["name", "because"], rows=others, words=["because"]),
        Prose(
            title="",
            lines=["A fault of your own is a command, or is done by hand, while jobs are sent."],
            commands=[
                "poolrace drill --broker URL --fault-command 'docker kill shop-worker-1'",
                "poolrace drill --broker URL --fault-by-hand",
            ],
        ),
    ]  # fmt: skip


def matrix(run: DrillsRun) -> list[Part]:
    """Return a table a pool, with a row a drill and a column a cell: what was lost, failed and ran again."""
    took = f"tried in {seconds(run.took_s)}. {machine_of(run)}"
    tables = [_of_pool(run, pool, took) for pool in sorted({_pool(each) for each in run.results})]
    return [*tables, *_unexpected(run)]


def _of_pool(run: DrillsRun, pool: str, took: str) -> Table:
    names = list(dict.fromkeys(each.cell for each in run.results if _pool(each) == pool))
    rows = []
    for entry, results in run.by_drill():
        by_cell = {each.cell: _short(each) for each in results}
        if any(name in by_cell for name in names):
            rows.append([entry.name, *(by_cell.get(name, UNNAMED) for name in names)])
    columns = [name.removeprefix(f"{pool}-") for name in names]
    note = f"Jobs that were lost, failed, set aside, never came to an end, or ran again; !: more than may be. {took}"
    return Table(title=f"{pool}: {len(rows)} drills", columns=["", *columns], rows=rows, words=columns, note=note)


def _pool(each: CellResult) -> str:
    return each.cell.partition("-")[0]


def drill(entry: Entry, results: Sequence[CellResult]) -> list[Part]:
    """Return what one drill found."""
    said = {line: None for each in results for line in each.said}
    ended = [f"{each.cell}: {line}." for each in results for line in _ended(each)]
    hanging = [f"{each.cell}: {name} takes no job." for each in results for name in each.hanging]
    return [
        Prose(title=entry.name, lines=[entry.drill.title]),
        _cells(results),
        Prose(title="Promised", lines=[f"{entry.drill.documented} ({entry.drill.source})"]),
        *([Prose(title="Struck", lines=struck)] if (struck := _struck(results)) else []),
        *([Prose(title="What struck", lines=done)] if (done := _done(results)) else []),
        *([Prose(title="Nodes that went and came", lines=seen)] if (seen := _seen_nodes(results)) else []),
        *([Prose(title="Jobs that ran again", lines=again)] if (again := _explained(results)) else []),
        *([Prose(title="Nodes that ended", lines=ended)] if ended else []),
        *([Prose(title="Nodes that hang", lines=hanging)] if hanging else []),
        *([Prose(title="What an operator sees", lines=list(said)[:6])] if said else []),
    ]


def _done(results: Sequence[CellResult]) -> list[str]:
    """Return what struck nodes that the drill did not start; a fault of the user's strikes all lanes at once."""
    found: dict[str, float] = {}
    for each in results:
        if each.nodes is not None and len(each.struck) < OFTEN:
            for what, at_s in each.struck:
                found.setdefault(what, at_s)
    return [f"{what}: {seconds(at_s)} after the load began" for what, at_s in found.items()]


def _seen_nodes(results: Sequence[CellResult]) -> list[str]:
    """Return what was seen of nodes, a line each, in the order of their hosts."""
    found: dict[str, list[str]] = {}
    for seen in sorted((seen for each in results for seen in each.seen), key=lambda seen: seen.at_s):
        found.setdefault(seen.node, []).append(f"{seen.what} at {seconds(seen.at_s)}")
    by_host = sorted(found, key=lambda node: (node.partition("@")[2], node))
    return [f"{node}: {', '.join(found[node])}" for node in by_host]


def _explained(results: Sequence[CellResult]) -> list[str]:
    """Return how many jobs ran again on nodes that the drill did not start, by what explains it."""
    again = Counter(
        (each.cell, job.explained_by) for each in results if each.nodes is not None for job in each.told if job.repeated
    )
    return [f"{cell}: {count} by {why or 'nothing that is known'}" for (cell, why), count in again.items()]


def runbook(run: DrillsRun, visibility_s: int) -> list[Part]:
    """Return what a team writes down of its own app: each fault and what it does, and the grace that a deploy needs."""
    rows = [
        [entry.drill.title, each.cell, _costs(each)]
        for entry, results in run.by_drill()
        for each in results
        if each.toll is not None
    ]
    longest_s = max((each.longest_s for each in run.results), default=0.0)
    return [
        Table(
            title="For the runbook", columns=["what happens", "nodes", "what it does to jobs"], rows=rows,
            words=["nodes", "what it does to jobs"],
        ),
        Prose(title="Grace period", lines=[GRACE.format(seconds(longest_s), math.ceil(1.5 * longest_s + 5))]),
        Prose(title="", lines=[COMES_BACK.format(visibility_s), NOT_SEEN]),
    ]  # fmt: skip


def _costs(each: CellResult) -> str:
    toll = each.toll
    assert toll is not None
    counts = ((toll.lost, "lost"), (toll.failed, "failed"), (toll.set_aside, "set aside"), (toll.queued, "never ended"))
    words = [f"{count} {what}" for count, what in counts if count]
    words += [f"{toll.repeated} run twice"] if toll.repeated else []
    resumed = "work does not go on" if each.resumed_s is None else f"work goes on after {seconds(each.resumed_s)}"
    return f"{', '.join(words) or 'none lost'} of {toll.sent}; {resumed}"


def features(tried: Sequence[Tried]) -> list[Part]:
    """Return what pools were seen to do, a row a feature, and where that is not what is said of them."""
    pools = list(dict.fromkeys(each.pool for each in tried))
    names = list(dict.fromkeys(each.feature for each in tried))
    seen = {(each.feature, each.pool): each for each in tried}
    rows = [[name, *(_seen(seen.get((name, pool))) for pool in pools)] for name in names]
    wrong = disagreements(tried)
    return [
        Table(
            title="What pools do, tried", columns=["", *pools], rows=rows, words=pools,
            note=f"On a node each, with Celery {version('celery')}. !: not as poolrace/pools.py has it.",
        ),
        *([Prose(title="Not as it is said", lines=wrong)] if wrong else []),
    ]  # fmt: skip


def _seen(each: Tried | None) -> str:
    if each is None:
        return UNNAMED
    return ("works" if each.happens else "does not") + ("" if each.agrees else " !")


def _struck(results: Sequence[CellResult]) -> list[str]:
    """Return how often what struck, where that is often."""
    counts = {each.cell: Counter(what for what, _ in each.struck) for each in results if len(each.struck) >= OFTEN}
    return [
        f"{cell}: {found.total():,} times: {', '.join(f'{count} {what}' for what, count in found.most_common())}."
        for cell, found in counts.items()
    ]


def _ended(each: CellResult) -> list[str]:
    """Return how often nodes ended by themselves, and how."""
    ways = Counter(line.partition(" ")[2] for line in each.ended)
    return [
        f"{count} nodes {way.replace('by itself', 'by themselves')}" if count > 1 else f"1 node {way}"
        for way, count in ways.items()
    ]


def machine_of(run: DrillsRun) -> str:
    """Return when and on what machine drills were run."""
    return f"{run.at}, {run.cores} cores, {run.memory_gib:.0f} GiB."


def lost_of(toll: Toll) -> str:
    """Return how many jobs were lost, and the share that is not exceeded with 95 %."""
    by = [f"{count} by {transport or 'nobody'}" for transport, count in toll.lost_by.items()]
    percent = 100 * upper_share(toll.lost, toll.sent)
    return f"{toll.lost} ({', '.join([*by, f'below {percent:.1f} %' if percent >= 0.1 else f'below {percent:.2g} %'])})"


def _cells(results: Sequence[CellResult]) -> Table:
    """Return a table with a row a cell, without columns that say nothing of any cell."""
    rows = [_row(each) for each in results]
    kept = [place for place in range(len(COLUMNS)) if any(row[place] != UNNAMED for row in rows)]
    return Table(
        title="", columns=[COLUMNS[place] for place in kept], rows=[[row[place] for place in kept] for row in rows],
        words=["cell", "as expected"],
    )  # fmt: skip


def _row(each: CellResult) -> list[str]:
    if each.toll is None:
        return [each.cell, *[UNNAMED] * (len(COLUMNS) - 2), each.skipped or "; ".join(each.short)]
    toll = each.toll
    return [
        each.cell, str(toll.sent), lost_of(toll), str(toll.failed), str(toll.set_aside),
        str(toll.queued) if toll.queued else UNNAMED, _again(toll),
        UNNAMED if toll.neighbours is None else str(toll.neighbours),
        UNNAMED if each.held_up is None else str(each.held_up.jobs),
        UNNAMED if each.held_up is None else seconds(each.held_up.recovered_s),
        # Of several nodes others go on, and jobs are sent until long after: what counts there is what was held up.
        UNNAMED if each.resumed_s is None or each.held_up else seconds(each.resumed_s),
        UNNAMED if each.settled_s is None or each.held_up else seconds(each.settled_s),
        _kept(each),
    ]  # fmt: skip


def _kept(each: CellResult) -> str:
    """Return whether a fault cost no more than it may, and in how many repeats."""
    times = f"{each.kept} of {each.repeats}" if each.kept is not None else ""
    return "; ".join([times, *each.short] if times else each.short) or "yes"


def _again(toll: Toll) -> str:
    """Return how many jobs ran again, and how many of them without a fault that explains it."""
    return f"{toll.repeated} ({toll.unexplained} without a reason)" if toll.unexplained else str(toll.repeated)


def _short(each: CellResult) -> str:
    if each.toll is None:
        return "!" if each.short else UNNAMED
    toll = each.toll
    counts = (
        (toll.lost, "lost"), (toll.failed, "failed"), (toll.set_aside, "set aside"), (toll.queued, "never ended"),
        (toll.repeated, "again"),
    )  # fmt: skip
    words = [f"{count} {what}" for count, what in counts if count] + ["hangs"] * bool(each.hanging)
    return (", ".join(words) or "none") + (" !" if each.short else "")


def _unexpected(run: DrillsRun) -> list[Part]:
    lines = [f"{each.drill}, {each.cell}: {'; '.join(each.short)}." for each in run.results if each.short]
    return [Prose(title="More than it may", lines=lines)] if lines else []
