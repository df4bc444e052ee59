"""What a report of a sweep says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.analysis.usl import LEAST_VALUES
from producer.report.formats import mebibytes, milliseconds, number, ratio
from producer.report.parts import Prose, Table
from producer.report.tables import Summary, get, percentile_cell

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def sweep_parts(summary: Summary) -> Iterator[Table | Prose]:
    """Every value on each lane, the lanes against each other, and what follows."""
    yield values(summary)
    if any(point["verdicts"] for point in summary["sweep"]["points"]):
        yield against(summary)
    yield Prose(title="What that means", lines=list(_sentences(summary)))


def values(summary: Summary) -> Table:
    """What each lane did at each value."""
    rows = [
        [
            row["lane"], point["value"], number(get(row, "capacity_per_s", "median")), number(row["rate_per_s"]),
            percentile_cell(row["sojourn"], "p50"), percentile_cell(row["sojourn"], "p99"),
            mebibytes(row["memory_bytes"]), milliseconds(row["cpu_s_per_job"]),
        ]
        for lane in _lanes(summary)
        for point in summary["sweep"]["points"]
        for row in point["lanes"]
        if row["lane"] == lane
    ]  # fmt: skip
    return Table(
        title=f"Over {summary['sweep']['axis']}: capacity, and sojourn in ms at the held rate",
        columns=["lane", summary["sweep"]["axis"], "capacity/s", "rate/s", "p50", "p99", "memory", "CPU ms a job"],
        rows=rows,
        note="Memory is that of all nodes of a lane (PSS). The rate held at a value is the same for all lanes.",
    )


def against(summary: Summary) -> Table:
    """The lanes against each other at each value."""
    rows = [
        [
            point["value"], verdict["measure"], f"{verdict['a']} / {verdict['b']}",
            ratio(verdict["ratio"], verdict["low"], verdict["high"]), verdict["word"],
        ]
        for point in summary["sweep"]["points"]
        for verdict in point["verdicts"]
    ]  # fmt: skip
    return Table(
        title="Lane against lane at each value",
        columns=[summary["sweep"]["axis"], "measure", "lanes", "ratio", "verdict"],
        rows=rows,
        note="Ratio with its 95 % interval, from paired trials.",
    )


def _lanes(summary: Summary) -> list[str]:
    return list(dict.fromkeys(row["lane"] for point in summary["sweep"]["points"] for row in point["lanes"]))


def _sentences(summary: Summary) -> Iterator[str]:
    sweep = summary["sweep"]
    if sweep["crossover"]:
        yield _crossover(sweep["crossover"])
    for found in sweep["findings"]:
        yield _finding(found, sweep)
    for found in sweep["scaling"] or ():
        yield scaling_sentence(found["lane"], found["law"])
    if sweep["scaling"]:
        yield _one_machine(summary)


def _crossover(found: Mapping[str, Any]) -> str:
    held, lost = found["threads_hold_to"], found["prefork_wins_from"]
    if lost is None and held is None:
        return "No share that was tried has a verdict on capacity between the pools. Use more --pairs."
    if lost is None:
        return f"Threads hold up to a CPU share of {held:g}; at none that was tried does prefork do more."
    kept = "at no lower share that was tried" if held is None else f"up to a CPU share of {held:g}"
    return f"Threads hold {kept}; from a CPU share of {lost:g} on prefork does more."


def scaling_sentence(lane: str, law: Mapping[str, Any] | None) -> str:
    """What the law says of a lane, within what was measured."""
    if law is None:
        return (
            f"{lane}: no law of scaling: it takes {LEAST_VALUES} numbers of nodes or more that were measured, 1 among "
            "them at best."
        )
    contention, coherency = (_estimate(law[name]) for name in ("contention", "coherency"))
    ends = (
        f"throughput peaks at about {law['peak']:.1f} nodes"
        if law["peak"] is not None
        else f"no peak up to the {law['largest']} nodes that were measured, and nothing is said beyond"
    )
    return (
        f"{lane}: one node does {number(law['one_node_per_s'])}/s; of the work {contention} is done by one node at a "
        f"time (contention), and each pair of nodes costs {coherency} more (coherency); {ends}."
    )


def _estimate(found: Mapping[str, float | None]) -> str:
    if found["low"] is None:
        return f"{found['value']:.3f} (no interval from so few trials: use more --pairs)"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"


def _one_machine(summary: Summary) -> str:
    cores = (summary["machine"] or {}).get("cores_available")
    return (
        f"All nodes shared the {f'{cores} ' if cores else ''}cores of this machine, with the broker and what sends: "
        "that is how it scales, and more machines may scale further."
    )


def _finding(found: Mapping[str, Any], sweep: Mapping[str, Any]) -> str:
    lane, axis = found["lane"], sweep["axis"]
    if found["best"] is None:
        return f"{lane}: no value was measured to the end."
    most = f"{lane}: the most at {axis} {found['best']}"
    knee = f", the knee at {found['knee']} (95 % of the most)" if found["knee"] else ""
    bound = sweep["memory_bytes"]
    if bound is None:
        return f"{most}{knee}."
    if not found["fits"]:
        return f"{most}{knee}; no value fits into {mebibytes(bound)}."
    return f"{most}{knee}; take {found['recommended']} in {mebibytes(bound)}, where {', '.join(found['fits'])} fit."
