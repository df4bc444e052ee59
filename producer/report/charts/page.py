"""One page with all pictures of a run, or of two, the same as tables, and the report; needs nothing but a browser."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins
from plotly.offline import get_plotlyjs

from producer.report.charts.gallery import pictures_of, pictures_of_both
from producer.report.comparison import comparison
from producer.report.parts import Prose, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from producer.analysis.compare import Comparison
    from producer.report.charts.picture import Picture
    from producer.rundir.run import Run

CONFIG = {"displaylogo": False, "responsive": True, "scrollZoom": False}
"""Of plotly: no link that leads to the network."""

FIRST = ("This run is not valid", "Warnings", "Ended early", "What to run", "What that means")
"""Titles of what a reader needs before all else, in order."""


def page(document: Sequence[Table | Prose], summary: Mapping[str, Any], run: Run) -> str:
    """
    The report of a run as HTML, whole: style and script are in it.

    Args:
        document: The parts of the report; the first is its heading.
        summary: Of the run.
        run: The same run, read.
    """
    top, *rest = document
    assert isinstance(top, Prose)
    return _whole(
        top,
        rest,
        pictures_of(summary, run),
        source=f"Run directory: {run.path.name}",
        again=f"poolrace report --html {run.path.name}",
    )


def page_of_both(found: Comparison, summaries: Sequence[Mapping[str, Any]], runs: Sequence[Run]) -> str:
    """
    Two runs side by side as HTML, whole like the page of one.

    Args:
        found: What `producer.analysis.compare.compare_runs` found.
        summaries: Of the first run and of the second.
        runs: The same runs, read.
    """
    top, *rest = comparison(found)
    assert isinstance(top, Prose)
    first, second = (run.path.name for run in runs)
    return _whole(
        top,
        rest,
        pictures_of_both(to_builtins(found), summaries, runs),
        source=f"Before: {first}. After: {second}",
        again=f"poolrace compare --html {first} {second}",
    )


def _whole(top: Prose, rest: Sequence[Table | Prose], pictures: Sequence[Picture], *, source: str, again: str) -> str:
    prose = sorted((part for part in rest if isinstance(part, Prose)), key=_place)
    tables = [part for part in rest if isinstance(part, Table)]
    return Template(_resource("page.html")).substitute(
        title=escape(top.title),
        style=_resource("page.css"),
        script=get_plotlyjs(),
        source=escape(source),
        again=escape(again),
        heading=_paragraphs(top),
        links="".join(f'<li><a href="#{each.key}">{escape(each.title)}</a></li>' for each in pictures),
        findings=_parts(prose),
        pictures="\n".join(map(_picture, pictures)),
        more="".join(f"<script>{_resource(name)}</script>" for name in _scripts(pictures)),
        tables=_parts(tables) or '<p class="missing">No job was settled, so there is no figure.</p>',
    )  # fmt: skip


def _scripts(pictures: Iterable[Picture]) -> Iterator[str]:
    """The page's own: room for legends, and jobs drawn one by one where there are too many for plotly."""
    yield "legends.js"
    if any(picture.figure is not None and "bars" in (picture.figure.layout.meta or {}) for picture in pictures):
        yield "slot_bars.js"


def _place(part: Prose) -> int:
    """What is wrong with a run stands before what to do, and that before why; the rest keeps its order."""
    return FIRST.index(part.title) if part.title in FIRST else len(FIRST)


def _resource(name: str) -> str:
    return files("producer.report.charts").joinpath(name).read_text(encoding="utf-8")


def _picture(picture: Picture) -> str:
    heading = f'<h2 id="{picture.key}">{escape(picture.title)}</h2>'
    if picture.figure is None or picture.table is None:
        missing = f'<p class="missing">{escape(picture.missing)}</p>'
        return f'<section aria-labelledby="{picture.key}">{heading}{missing}</section>'
    chart = picture.figure.to_html(
        full_html=False, include_plotlyjs=False, config=CONFIG, div_id=f"{picture.key}-chart", default_width="100%"
    )
    return (
        f'<section aria-labelledby="{picture.key}">{heading}<p>{escape(picture.shows)}</p>'
        f'<figure aria-labelledby="{picture.key}" aria-describedby="{picture.key}-reads">'
        f'<div role="img" aria-label="{escape(f"{picture.title}. {picture.shows}")}">{chart}</div>'
        f'<figcaption><p class="reads" id="{picture.key}-reads">{escape(picture.reads)}</p></figcaption></figure>'
        f"<details><summary>The same as a table</summary>{_table(picture.table)}</details></section>"
    )


def _parts(parts: Iterable[Table | Prose]) -> str:
    return "\n".join(_table(part) if isinstance(part, Table) else _prose(part) for part in parts)


def _prose(part: Prose) -> str:
    title = f"<h2>{escape(part.title)}</h2>" if part.title else ""
    commands = f"<pre>{escape(chr(10).join(part.commands))}</pre>" if part.commands else ""
    return title + _paragraphs(part) + commands


def _paragraphs(part: Prose) -> str:
    return "".join(f"<p>{_lines(line)}</p>" for line in part.lines)


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    rows = "".join(map(_row, table.rows))
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(table.title)}"><table>'
        f"<caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{note}"
    )


def _row(cells: Sequence[str]) -> str:
    first, *rest = (_lines(cell) for cell in cells)
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
