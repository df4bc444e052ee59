"""One page with all pictures of a run, or of two, the same as tables, and the report; needs nothing but a browser."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from producer.report.charts.gallery import pictures_of, pictures_of_both
from producer.report.comparison import comparison
from producer.report.document import figures, heading
from producer.report.first_screen import answer, headline
from producer.report.parts import Prose

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from producer.analysis.compare import Comparison
    from producer.analysis.summary import Summary
    from producer.report.charts.picture import Picture
    from producer.report.parts import Part
    from producer.rundir.run import Run

CONFIG = {"displaylogo": False, "responsive": True, "scrollZoom": False}
"""Plotly's settings: no link that leads to the network."""

PACKAGE = "producer.report.charts"


def page(summary: Summary, run: Run) -> str:
    """
    Return the report of a run as HTML, whole: style and script are in it.

    Args:
        summary: Of the run.
        run: The same run, read.
    """
    return _whole(
        headline(summary),
        heading(summary),
        answer(summary),
        figures(summary),
        pictures_of(summary, run),
        source=f"Run directory: {run.path.name}",
        again=f"poolrace report --html {run.path.name}",
    )


def page_of_both(found: Comparison, summaries: Sequence[Summary], runs: Sequence[Run]) -> str:
    """
    Return two runs side by side as HTML, whole like the page of one.

    Args:
        found: The comparison of both, from `producer.analysis.compare.compare_runs`.
        summaries: Of the first run and of the second.
        runs: The same runs, read.
    """
    top, *changes = comparison(found)
    assert isinstance(top, Prose)
    first, second = (run.path.name for run in runs)
    return _whole(
        top,
        None,
        [],
        changes,
        pictures_of_both(found, summaries, runs),
        source=f"Before: {first}. After: {second}",
        again=f"poolrace compare --html {first} {second}",
    )


def _whole(
    top: Prose,
    about: Prose | None,
    first: Sequence[Part],
    rest: Sequence[Part],
    pictures: Sequence[Picture],
    *,
    source: str,
    again: str,
) -> str:
    template = templates().get_template("page.html")
    return template.render(
        top=top,
        about=about,
        answer=first,
        figures=rest,
        pictures=pictures,
        charts={picture.key: _chart(picture) for picture in pictures},
        source=source,
        again=again,
        style=own_file("page.css"),
        plotly=Markup(get_plotlyjs()),  # noqa: S704 - plotly's own script
        scripts=[own_file(name) for name in _scripts(pictures)],
    )


def templates() -> Environment:
    """Return the templates beside this file. All that a run says is escaped; only `Markup` is not."""
    found = Environment(
        loader=PackageLoader(PACKAGE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.filters["with_breaks"] = _with_breaks
    return found


def _with_breaks(text: str) -> Markup:
    return Markup("<br>").join(text.split("\n"))


def own_file(name: str) -> Markup:
    """Read one of this folder's own files, which may stand in a page as it is."""
    return Markup(files(PACKAGE).joinpath(name).read_text(encoding="utf-8"))  # noqa: S704


def _chart(picture: Picture) -> Markup | None:
    """Draw a picture's chart as HTML, in which plotly has escaped what comes from the run; None if it has none."""
    if picture.figure is None:
        return None
    drawn = picture.figure.to_html(
        full_html=False, include_plotlyjs=False, config=CONFIG, div_id=f"{picture.key}-chart", default_width="100%"
    )
    return Markup(drawn)  # noqa: S704


def _scripts(pictures: Iterable[Picture]) -> Iterator[str]:
    """Name the page's own scripts: room for legends, and jobs drawn one by one where they are too many for plotly."""
    yield "legends.js"
    if any(picture.figure is not None and "bars" in (picture.figure.layout.meta or {}) for picture in pictures):
        yield "slot_bars.js"
