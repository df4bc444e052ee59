"""Memory: what the nodes of each lane take, one above the other, or against slots where a run has several counts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import polars as pl

from producer.analyse import memory_per_slot_bytes
from producer.charts.picture import Picture
from producer.charts.theme import GRID, INK, OVERLAY, layout, look, text
from producer.report.formats import NONE, count, mebibytes
from producer.report.parts import Table
from producer.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from producer.rundir import Run

KEY, TITLE = "memory", "Memory of the nodes"
MISSING = (
    "No memory was sampled while a trial ran. Nodes sample it every other second, and only Linux can tell it (PSS): "
    "run longer there, e.g. --duration 5s."
)
MIB = 2**20
FAR = 3.0
"""A limit so many times above all that is measured would flatten it; it is told instead of drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """
    What a lane took at one count of slots.

    Attributes:
        lane: Its key; in a sweep that of the lane that was varied.
        slots: Its concurrency, all nodes together.
        nodes: By node, median PSS of its process tree while the lane worked, in bytes.
    """

    lane: str
    slots: int
    nodes: Mapping[str, float]

    @property
    def total_bytes(self) -> float:
        """Of all nodes."""
        return sum(self.nodes.values())


def memory(summary: Mapping[str, Any], run: Run) -> Picture:
    """PSS of each lane's nodes while it worked, with the limit where the run knows one."""
    taken = list(_of_sweep(summary) if summary["sweep"] else _of_lanes(summary, run))
    if not taken:
        return Picture(key=KEY, title=TITLE, missing=MISSING)
    limit = _limit(summary)
    varied = _varied(taken)
    return Picture(
        key=KEY,
        title=TITLE,
        shows=_shows(taken, limit),
        reads=_reads(taken, limit),
        figure=(_against_slots if varied else _by_lane)(taken, limit),
        table=_table(taken, limit),
    )


def _of_sweep(summary: Mapping[str, Any]) -> Iterator[_Taken]:
    for point in summary["sweep"]["points"]:
        for lane in point["lanes"]:
            if lane["memory_bytes"]:
                label = (
                    lane["lane"] if summary["sweep"]["axis"] == "concurrency" else f"{lane['lane']} {point['value']}"
                )
                yield _Taken(lane=label, slots=lane["slots"], nodes={lane["lane"]: lane["memory_bytes"]})


def _of_lanes(summary: Mapping[str, Any], run: Run) -> Iterator[_Taken]:
    for lane in summary["lanes"]:
        key = lane["key"]
        windows = [(t.began_at, t.ended_at) for t in run.trials if t.lane == key and t.kind is not Kind.WARM_UP]
        names = run.samples.filter(pl.col("lane") == key)["node"].unique().sort()
        known = {
            name: memory_per_slot_bytes(run.samples.filter(pl.col("node") == name), lane=key, windows=windows, slots=1)
            for name in names
        }
        if known and all(known.values()):
            yield _Taken(lane=key, slots=lane["slots"], nodes={name: size for name, size in known.items() if size})


def _varied(taken: Sequence[_Taken]) -> bool:
    """Whether a lane has several counts of slots: a sweep over concurrency."""
    return len({each.lane for each in taken}) < len(taken)


def _limit(summary: Mapping[str, Any]) -> tuple[str, float] | None:
    """The tightest bound that the run knows, with whose it is; in bytes."""
    machine = ((summary["machine"] or {}).get("limits") or {}).get("memory_bytes")
    nodes = [
        (((lane["hello"] or {}).get("limits") or {}).get("memory_bytes"), f"the container of {lane['key']}")
        for lane in summary["lanes"]
    ]
    asked = (summary["sweep"] or {}).get("memory_bytes")
    known = [(size, whose) for size, whose in [(asked, "--memory"), *nodes, (machine, "the container")] if size]
    return next(((whose, float(size)) for size, whose in sorted(known, key=lambda each: each[0])), None)


def _by_lane(taken: Sequence[_Taken], limit: tuple[str, float] | None) -> go.Figure:
    """A bar a lane, its nodes one above the other."""
    figure, keys = go.Figure(), [each.lane for each in taken]
    for each in taken:
        own = look(keys, each.lane)
        for number, (node, size) in enumerate(sorted(each.nodes.items())):
            figure.add_bar(
                x=[text(each.lane)], y=[size / MIB], name=text(node), showlegend=False, width=0.5,
                marker={
                    "color": own.colour, "pattern": {"shape": own.pattern, **OVERLAY},
                    "opacity": 1 - 0.25 * (number % 2), "line": {"color": INK, "width": 1},
                },
                text=text(f"{node}: {mebibytes(size)}"), textposition="inside", insidetextanchor="middle",
                textfont={"color": "white"}, hovertemplate="%{y:.1f} MiB<extra>%{fullData.name}</extra>",
            )  # fmt: skip
        figure.add_annotation(
            x=text(each.lane), y=each.total_bytes / MIB, yshift=12, showarrow=False,
            text=f"{mebibytes(each.total_bytes / each.slots)} a slot",
        )  # fmt: skip
    layout(figure, x="", y="PSS, MiB").update_layout(barmode="stack", margin={"t": 40})
    return _with_limit(figure.update_xaxes(showgrid=False), taken, limit)


def _against_slots(taken: Sequence[_Taken], limit: tuple[str, float] | None) -> go.Figure:
    figure = go.Figure()
    for key, mine in _series(taken).items():
        own = look(list(_series(taken)), key)
        figure.add_scatter(
            x=[each.slots for each in mine], y=[each.total_bytes / MIB for each in mine], name=text(key),
            mode="lines+markers", line={"color": own.colour, "dash": own.dash},
            marker={"color": own.colour, "symbol": own.symbol, "size": 9},
            hovertemplate="%{x} slots: %{y:.1f} MiB<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_xaxes(tickvals=sorted({each.slots for each in taken}), gridcolor=GRID)
    figure.update_yaxes(rangemode="tozero")
    return _with_limit(layout(figure, x="slots", y="PSS of the whole node, MiB"), taken, limit)


def _with_limit(figure: go.Figure, taken: Sequence[_Taken], limit: tuple[str, float] | None) -> go.Figure:
    if limit and _near(limit, taken):
        whose, size = limit
        figure.add_hline(
            y=size / MIB, line={"color": INK, "dash": "dash", "width": 2}, annotation_position="top left",
            annotation={"text": text(f"limit of {whose}: {mebibytes(size)}"), "font": {"color": INK}},
        )  # fmt: skip
        figure.update_yaxes(range=[0, 1.15 * max(size, _most(taken).total_bytes) / MIB])
    return figure


def _near(limit: tuple[str, float], taken: Sequence[_Taken]) -> bool:
    return limit[1] <= FAR * _most(taken).total_bytes


def _most(taken: Sequence[_Taken]) -> _Taken:
    return max(taken, key=lambda each: each.total_bytes)


def _series(taken: Sequence[_Taken]) -> dict[str, list[_Taken]]:
    """By lane, ascending by slots."""
    return {
        key: sorted((each for each in taken if each.lane == key), key=lambda each: each.slots)
        for key in dict.fromkeys(each.lane for each in taken)
    }


def _shows(taken: Sequence[_Taken], limit: tuple[str, float] | None) -> str:
    told = "; ".join(_range(key, mine) for key, mine in _series(taken).items())
    if limit is None:
        return f"While they worked, nodes took: {told}. The run knows no memory limit."
    drawn = "the dashed line" if _near(limit, taken) else "too far above to be drawn"
    return f"While they worked, nodes took: {told}. The limit is {mebibytes(limit[1])} ({limit[0]}), {drawn}."


def _range(key: str, mine: Sequence[_Taken]) -> str:
    first, last = mine[0], mine[-1]
    if first is last:
        nodes = f" on {count(len(last.nodes))} nodes" if len(last.nodes) > 1 else ""
        return f"{key} {mebibytes(last.total_bytes)} for {last.slots} slots{nodes}"
    sizes = f"{mebibytes(first.total_bytes)} to {mebibytes(last.total_bytes)}"
    return f"{key} {sizes} from {first.slots} to {last.slots} slots"


def _reads(taken: Sequence[_Taken], limit: tuple[str, float] | None) -> str:
    over = [f"{e.lane} with {e.slots} slots" for e in taken if limit and e.total_bytes > limit[1]]
    end = f"; beyond the limit is {', '.join(over)}" if over else ""
    if _varied(taken):
        steps = ", ".join(
            f"{mebibytes(_slope(mine))} on {key}" for key, mine in _series(taken).items() if len(mine) > 1
        )
        return f"The steeper a line, the more every further slot takes: {steps} (PSS counts a shared page once){end}."
    parts = "its parts are its nodes" if any(len(each.nodes) > 1 for each in taken) else "all processes of its node"
    each = ", ".join(f"{mebibytes(e.total_bytes / e.slots)} on {e.lane}" for e in taken)
    return f"A bar is a lane's PSS, {parts}, with a page that processes share counted once; a slot takes {each}{end}."


def _slope(mine: Sequence[_Taken]) -> float:
    """Bytes that a further slot takes, from the fewest to the most."""
    rises = [(b.total_bytes - a.total_bytes, b.slots - a.slots) for a, b in pairwise(mine)]
    return sum(rise for rise, _ in rises) / max(sum(step for _, step in rises), 1)


def _table(taken: Sequence[_Taken], limit: tuple[str, float] | None) -> Table:
    rows = [
        [
            each.lane, count(each.slots), count(len(each.nodes)), mebibytes(each.total_bytes),
            mebibytes(each.total_bytes / each.slots),
            NONE if limit is None else f"{each.total_bytes / limit[1] * 100:.0f} %",
        ]
        for each in taken
    ]  # fmt: skip
    return Table(
        title="Memory while it worked (PSS)",
        columns=["lane", "slots", "nodes", "all nodes", "a slot", "of the limit"],
        rows=rows,
        note="The median over time. A run has no split into shared and private memory: PSS holds both.",
    )
