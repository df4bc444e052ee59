"""
Memory: what the nodes of each lane take, private and shared one above the other; in a sweep over slots, or over nodes
that bring theirs, against slots.

Private is what each process has to itself; shared the node's part of pages that several processes map. Together: PSS.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import polars as pl
from plotly.subplots import make_subplots

from producer.analysis.memory import memory_per_slot_bytes
from producer.report.charts.labels import escaped
from producer.report.charts.layout import layout
from producer.report.charts.picture import Drawn, picture
from producer.report.charts.swept import key_of, slots_vary
from producer.report.charts.theme import GRID, HEADING, INK, OVERLAY, style_of
from producer.report.formats import NONE, count, mebibytes
from producer.report.parts import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from producer.report.charts.theme import LaneStyle
    from producer.report.plain import PlainSummary as Summary
    from producer.rundir.run import Run

NOT_SAMPLED = (
    "No memory was sampled while a trial ran. Nodes sample it every other second, and only Linux reports it (PSS): "
    "run longer there, e.g. --duration 5s."
)
MIB = 2**20
FAR = 3.0
"""A limit so many times above all that is measured would flatten it; it is named instead of drawn."""

MOST_LANES = 4
"""Side by side; more would be too narrow. The table has all."""

WHOLE, PALE = 1.0, 0.45
"""Opacity of what is private, or not divided, and of what is shared."""

DIVIDED = "Shared is the nodes' part of pages that several processes map, programs outside the run included."
UNDIVIDED = "What is private and what is shared is not known of {}: the system does not report it."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """
    Memory in bytes.

    Attributes:
        pss: All of it.
        private: What of it no other process maps; None if unknown.
    """

    pss: float
    private: float | None

    @property
    def shared(self) -> float | None:
        """The part of pages that others map, too."""
        return None if self.private is None else self.pss - self.private


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """
    The memory of a lane at one count of slots.

    Attributes:
        lane: Its key; in a sweep that of the lane that was varied.
        slots: Its concurrency, all nodes together.
        nodes: By node, the median of its process tree while the lane worked; in a sweep all of them together.
        of: How many nodes that is.
    """

    lane: str
    slots: int
    nodes: Mapping[str, _Size]
    of: int

    @property
    def total_bytes(self) -> float:
        """PSS of all nodes."""
        return sum(each.pss for each in self.nodes.values())

    @property
    def private_bytes(self) -> float | None:
        """Private memory of all nodes; None if that of one is unknown."""
        known = [each.private for each in self.nodes.values() if each.private is not None]
        return sum(known) if len(known) == len(self.nodes) else None


@picture(key="memory", title="Memory of the nodes", missing=NOT_SAMPLED, order=60, compares=True)
def memory(summary: Summary, run: Run) -> Drawn | None:
    """Draw the PSS of each lane's nodes while it worked, with the limit where the run knows one."""
    taken = list(_of_sweep(summary, run) if summary["sweep"] else _of_lanes(summary, run))
    if not taken:
        return None
    limit = _limit(summary)
    varied = _varied(taken)
    return Drawn(
        shows=_shows(taken, limit),
        reads=_reads(taken, limit),
        figure=(_against_slots if varied else _by_lane)(taken, limit),
        table=_table(taken, limit),
    )


def _of_sweep(summary: Summary, run: Run) -> Iterator[_Taken]:
    for point in summary["sweep"]["points"]:
        for lane in point["lanes"]:
            if lane["memory_bytes"]:
                label = lane["lane"] if slots_vary(summary) else f"{lane['lane']} {point['value']}"
                key = key_of(summary, point["workload"], lane["lane"])
                trials = [trial for trial in run.trials if (trial.lane, trial.workload) == (key, point["workload"])]
                # As the sweep itself does: its turns and what lies between them.
                window = (min((t.began_at for t in trials), default=0), max((t.ended_at for t in trials), default=0))
                private = memory_per_slot_bytes(
                    run.samples, lane=key, windows=[window], slots=1, column="private_bytes"
                )
                size = _Size(pss=lane["memory_bytes"], private=private)
                yield _Taken(lane=label, slots=lane["slots"], nodes={lane["lane"]: size}, of=_nodes(summary, key))


def _nodes(summary: Summary, key: str) -> int:
    return int(next(lane["nodes"] for lane in summary["lanes"] if lane["key"] == key))


def _of_lanes(summary: Summary, run: Run) -> Iterator[_Taken]:
    for lane in summary["lanes"]:
        key = lane["key"]
        windows = [(trial.began_at, trial.ended_at) for trial in memory.trials_of(run) if trial.lane == key]
        names = run.samples.filter(pl.col("lane") == key)["node"].unique().sort()
        known = {name: _size(run.samples.filter(pl.col("node") == name), key, windows) for name in names}
        if known and all(known.values()):
            sizes = {name: size for name, size in known.items() if size}
            yield _Taken(lane=key, slots=lane["slots"], nodes=sizes, of=len(sizes))


def _size(samples: pl.DataFrame, lane: str, windows: Sequence[tuple[float, float]]) -> _Size | None:
    """Measure one node; None if it was never sampled while its lane worked."""
    pss = memory_per_slot_bytes(samples, lane=lane, windows=windows, slots=1)
    private = memory_per_slot_bytes(samples, lane=lane, windows=windows, slots=1, column="private_bytes")
    return _Size(pss=pss, private=private) if pss else None


def _varied(taken: Sequence[_Taken]) -> bool:
    """Check whether a lane has several counts of slots: a sweep over concurrency or nodes."""
    return len({each.lane for each in taken}) < len(taken)


def _limit(summary: Summary) -> tuple[str, float] | None:
    """Return the tightest bound that the run knows: whose it is, and bytes."""
    machine = ((summary["machine"] or {}).get("limits") or {}).get("memory_bytes")
    nodes = [
        (((lane["hello"] or {}).get("limits") or {}).get("memory_bytes"), f"the container of {lane['key']}")
        for lane in summary["lanes"]
    ]
    asked = (summary["sweep"] or {}).get("memory_bytes")
    known = [(size, whose) for size, whose in [(asked, "--memory"), *nodes, (machine, "the container")] if size]
    return next(((whose, float(size)) for size, whose in sorted(known, key=lambda each: each[0])), None)


def _by_lane(taken: Sequence[_Taken], limit: tuple[str, float] | None) -> go.Figure:
    """Draw a bar a lane, its nodes one above the other, each of a private and a shared part."""
    figure, keys = go.Figure(), [each.lane for each in taken]
    for each in taken:
        own = style_of(keys, each.lane)
        for node, size in sorted(each.nodes.items()):
            for words, part, opacity in _parts(size):
                figure.add_bar(
                    x=[escaped(each.lane)],
                    y=[part / MIB],
                    name=escaped(f"{node} {words}".strip()),
                    showlegend=False,
                    width=0.5,
                    marker={
                        "color": own.colour,
                        "opacity": opacity,
                        "pattern": {"shape": own.pattern, **OVERLAY},
                        "line": {"color": INK, "width": 1},
                    },
                    text=escaped(f"{node}: {mebibytes(part)} {words}".strip()),
                    textposition="inside",
                    insidetextanchor="middle",
                    textfont={"color": "white" if opacity == WHOLE else INK},
                    hovertemplate="%{y:.1f} MiB<extra>%{fullData.name}</extra>",
                )
        figure.add_annotation(
            x=escaped(each.lane),
            y=each.total_bytes / MIB,
            yshift=12,
            showarrow=False,
            text=f"{mebibytes(each.total_bytes / each.slots)} a slot",
        )
    layout(figure, x="", y="PSS, MiB").update_layout(barmode="stack", margin={"t": 40})
    return _with_limit(figure.update_xaxes(showgrid=False), taken, limit)


def _parts(size: _Size) -> list[tuple[str, float, float]]:
    """Return name, bytes and opacity of each part of a bar; the whole, without a name, if it cannot be divided."""
    if size.private is None or size.shared is None:
        return [("", size.pss, WHOLE)]
    return [("private", size.private, WHOLE), ("shared", size.shared, PALE)]


def _against_slots(taken: Sequence[_Taken], limit: tuple[str, float] | None) -> go.Figure:
    """Draw a chart a lane: private memory below, shared above it, the whole PSS as a line with marks."""
    series = dict(list(_series(taken).items())[:MOST_LANES])
    figure = make_subplots(
        rows=1, cols=len(series), shared_yaxes=True, horizontal_spacing=0.04, column_titles=list(map(escaped, series))
    )
    figure.update_annotations(font=HEADING)
    for place, (key, mine) in enumerate(series.items(), start=1):
        _add_areas(figure, style_of(list(series), key), key, mine, place)
        figure.update_xaxes(
            tickvals=[each.slots for each in mine], gridcolor=GRID, title_text="slots", row=1, col=place
        )
    layout(figure, x="slots", y="PSS of all nodes, MiB").update_layout(margin={"t": 70}, legend_traceorder="normal")
    return _with_limit(figure.update_xaxes(title_text="slots").update_yaxes(rangemode="tozero"), taken, limit)


def _add_areas(figure: go.Figure, own: LaneStyle, key: str, mine: Sequence[_Taken], place: int) -> None:
    slots = [each.slots for each in mine]
    private = [None if each.private_bytes is None else each.private_bytes / MIB for each in mine]
    place_of = {"row": 1, "col": place}
    if None not in private:
        figure.add_scatter(
            x=slots,
            y=private,
            name=escaped(f"{key} private"),
            mode="lines",
            line={"color": own.colour, "dash": "dot"},
            fill="tozeroy",
            fillpattern={"shape": "/", "fgcolor": own.colour, "solidity": 0.25},
            hovertemplate="%{x} slots: %{y:.1f} MiB<extra>%{fullData.name}</extra>",
            **place_of,
        )
    figure.add_scatter(
        x=slots,
        y=[each.total_bytes / MIB for each in mine],
        name=escaped(f"{key} private and shared" if None not in private else key),
        mode="lines+markers",
        line={"color": own.colour, "dash": own.dash},
        marker={"color": own.colour, "symbol": own.symbol, "size": 9},
        **(
            {"fill": "tonexty", "fillpattern": {"shape": ".", "fgcolor": own.colour, "solidity": 0.15}}
            if None not in private
            else {}
        ),
        hovertemplate="%{x} slots: %{y:.1f} MiB<extra>%{fullData.name}</extra>",
        **place_of,
    )


def _with_limit(figure: go.Figure, taken: Sequence[_Taken], limit: tuple[str, float] | None) -> go.Figure:
    if limit and _near(limit, taken):
        whose, size = limit
        figure.add_hline(y=size / MIB, line={"color": INK, "dash": "dash", "width": 2})
        figure.add_annotation(
            x=0,
            xref="x domain",
            xanchor="left",
            y=size / MIB,
            yref="y",
            yanchor="bottom",
            showarrow=False,
            text=escaped(f"limit of {whose}: {mebibytes(size)}"),
            font={"color": INK},
        )
        figure.update_yaxes(range=[0, 1.15 * max(size, _most(taken).total_bytes) / MIB])
    return figure


def _near(limit: tuple[str, float], taken: Sequence[_Taken]) -> bool:
    return limit[1] <= FAR * _most(taken).total_bytes


def _most(taken: Sequence[_Taken]) -> _Taken:
    return max(taken, key=lambda each: each.total_bytes)


def _series(taken: Sequence[_Taken]) -> dict[str, list[_Taken]]:
    """Group by lane, ascending by slots."""
    return {
        key: sorted((each for each in taken if each.lane == key), key=lambda each: each.slots)
        for key in dict.fromkeys(each.lane for each in taken)
    }


def _shows(taken: Sequence[_Taken], limit: tuple[str, float] | None) -> str:
    sizes = "; ".join(_range(key, mine) for key, mine in _series(taken).items())
    if limit is None:
        return f"While they worked, nodes took: {sizes}. The run knows no memory limit."
    drawn = "the dashed line" if _near(limit, taken) else "too far above to be drawn"
    return f"While they worked, nodes took: {sizes}. The limit is {mebibytes(limit[1])} ({limit[0]}), {drawn}."


def _range(key: str, mine: Sequence[_Taken]) -> str:
    first, last = mine[0], mine[-1]
    if first is last:
        nodes = f" on {count(last.of)} nodes" if last.of > 1 else ""
        return f"{key} {mebibytes(last.total_bytes)} for {last.slots} slots{nodes}{_of_it(last)}"
    sizes = f"{mebibytes(first.total_bytes)} to {mebibytes(last.total_bytes)}"
    return f"{key} {sizes} from {first.slots} to {last.slots} slots{_of_it(last)}"


def _of_it(each: _Taken) -> str:
    return "" if each.private_bytes is None else f", {mebibytes(each.private_bytes)} of it private"


def _reads(taken: Sequence[_Taken], limit: tuple[str, float] | None) -> str:
    over = [f"{e.lane} with {e.slots} slots" for e in taken if limit and e.total_bytes > limit[1]]
    end = f"; beyond the limit is {', '.join(over)}" if over else ""
    if _varied(taken):
        steps = ", ".join(
            f"{mebibytes(_slope(mine))} on {key}" for key, mine in _series(taken).items() if len(mine) > 1
        )
        return f"The steeper a line, the more every further slot takes: {steps}; {_split(taken)}{end}."
    parts = "its parts are its nodes" if any(len(each.nodes) > 1 for each in taken) else "all processes of its node"
    each = ", ".join(f"{mebibytes(e.total_bytes / e.slots)} on {e.lane}" for e in taken)
    return f"A bar is a lane's PSS, {parts}; {_split(taken)}; a slot takes {each}{end}."


def _split(taken: Sequence[_Taken]) -> str:
    if _undivided(taken):
        return "a page that processes share counts once"
    return "private memory is below, and above it the node's part of pages that processes share, each counted once"


def _undivided(taken: Sequence[_Taken]) -> list[str]:
    """Return the lanes whose private memory is unknown."""
    return list(dict.fromkeys(each.lane for each in taken if each.private_bytes is None))


def _slope(mine: Sequence[_Taken]) -> float:
    """Return the bytes that a further slot takes, from the fewest to the most."""
    rises = [(b.total_bytes - a.total_bytes, b.slots - a.slots) for a, b in pairwise(mine)]
    return sum(rise for rise, _ in rises) / max(sum(step for _, step in rises), 1)


def _table(taken: Sequence[_Taken], limit: tuple[str, float] | None) -> Table:
    rows = [
        [
            each.lane,
            count(each.slots),
            count(each.of),
            mebibytes(each.total_bytes),
            *_divided(each),
            mebibytes(each.total_bytes / each.slots),
            NONE if limit is None else f"{each.total_bytes / limit[1] * 100:.0f} %",
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


def _divided(each: _Taken) -> tuple[str, str]:
    private = each.private_bytes
    return (NONE, NONE) if private is None else (mebibytes(private), mebibytes(each.total_bytes - private))
