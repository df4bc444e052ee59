"""Pictures of lessons in characters, for a terminal and for Markdown, and as SVG for a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from markupsafe import Markup

from producer.lessons.picture import Bars, Lines, Timeline
from producer.report.formats import count, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from producer.lessons.lesson import Estimate, Span
    from producer.lessons.picture import Picture

BAR_COLUMNS, TIME_COLUMNS = 40, 72
BLOCKS = " ▏▎▍▌▋▊▉█"
SHADES = "█░▒▓"
"""The characters of kinds of stretches, in the order in which they appear."""

WIDTH, ROW, LABEL, BAR, SHORT_LABEL, TIME = 900, 24, 330, 380, 100, 780
"""Measures of a picture as SVG: its width, the height of a row, the widths of labels and of what stands beside them."""

COLOURS = ("#2f6db5", "#d9a441", "#7a9a3a", "#a05a9c")

TIME_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))


def value_of(value: float, unit: str) -> str:
    """Format a value with its unit: shares in per cent, times in the unit that fits, others as they are."""
    if unit == "%":
        return f"{_number(100 * value)} %"
    if unit == "s":
        scale, name = next((each for each in TIME_UNITS if value >= each[0]), TIME_UNITS[-1])
        return f"{_number(value / scale)} {name}"
    return f"{_number(value)} {unit}".rstrip()


def _number(value: float) -> str:
    """Format a number; whole ones are counts."""
    value = float(f"{value:.9g}")  # 0.48 / 0.01 is not quite 48
    return count(int(value)) if value == int(value) else number(value)


def estimate_of(found: Estimate, unit: str) -> str:
    """Format an estimate with its interval, in one unit: `0.99 [0.98, 1.00] cores`."""
    if found.low is None or found.high is None:
        return value_of(found.value, unit)
    scale, name = 1.0, unit
    if unit == "%":
        scale = 0.01
    elif unit == "s":
        scale, name = next((each for each in TIME_UNITS if found.value >= each[0]), TIME_UNITS[-1])
    low, middle, high = (_number(each / scale) for each in (found.low, found.value, found.high))
    interval = "" if low == middle == high else f" [{low}, {high}]"
    return f"{middle}{interval} {name}".rstrip()


def in_characters(picture: Picture) -> list[str]:
    """Draw a picture with characters: its lines."""
    if isinstance(picture, Bars):
        return _bars(picture)
    if isinstance(picture, Timeline):
        return _timeline(picture.spans)
    if isinstance(picture, Lines):
        return list(picture.lines)
    assert_never(picture)


def as_svg(picture: Picture) -> Markup:
    """Draw a picture for a page."""
    if isinstance(picture, Bars):
        return _svg_bars(picture)
    if isinstance(picture, Timeline):
        return _svg_timeline(picture.spans)
    if isinstance(picture, Lines):
        return Markup("<pre>{}</pre>").format("\n".join(picture.lines))
    assert_never(picture)


def _svg(height: int, parts: Sequence[Markup]) -> Markup:
    head = Markup('<svg viewBox="0 0 {} {}" role="img" font-size="13" fill="currentColor">').format(WIDTH, height)
    return Markup("{}{}</svg>").format(head, Markup("").join(parts))


def _svg_bars(picture: Bars) -> Markup:
    full = picture.full or max((each.value for each in picture.rows.values()), default=0) or 1
    parts = []
    for number_, (label, each) in enumerate(picture.rows.items()):
        top = number_ * ROW
        values = (each.low or each.value, each.value, each.high or each.value)
        low, width, high = (BAR * min(max(value, 0.0) / full, 1.0) for value in values)
        parts.append(
            Markup(
                '<text x="0" y="{y}">{label}</text>'
                '<rect x="{x}" y="{top}" width="{width:.1f}" height="14" fill="{fill}"/>'
                '<path d="M{low:.1f} {middle}H{high:.1f}" stroke="currentColor"/>'
                '<text x="{after:.1f}" y="{y}">{value}</text>'
            ).format(
                label=label,
                y=top + 14,
                top=top + 3,
                x=LABEL,
                width=width,
                fill=COLOURS[0],
                low=LABEL + low,
                middle=top + 10,
                high=LABEL + high,
                after=LABEL + high + 8,
                value=value_of(each.value, picture.unit),
            )
        )
    return _svg(ROW * len(picture.rows) + 4, parts)


def _svg_timeline(spans: Sequence[Span]) -> Markup:
    rows, kinds = sorted({each.row for each in spans}), list(dict.fromkeys(each.kind for each in spans))
    end_s = max(each.end_s for each in spans)
    parts = [Markup('<text x="0" y="{}">{}</text>').format(ROW * at + 14, row) for at, row in enumerate(rows)]
    parts += [
        Markup('<rect x="{:.1f}" y="{}" width="{:.1f}" height="14" fill="{}"/>').format(
            SHORT_LABEL + TIME * each.begin_s / end_s,
            ROW * rows.index(each.row) + 3,
            max(TIME * (each.end_s - each.begin_s) / end_s, 0.5),
            COLOURS[kinds.index(each.kind)],
        )
        for each in spans
    ]
    at = ROW * len(rows) + 16
    parts.append(Markup('<text x="{}" y="{}">0</text>').format(SHORT_LABEL, at))
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(SHORT_LABEL + TIME, at, value_of(end_s, "s"))
    )
    for number_, kind in enumerate(kinds):
        left = SHORT_LABEL + 60 + 110 * number_
        parts.append(
            Markup('<rect x="{}" y="{}" width="14" height="10" fill="{}"/><text x="{}" y="{}">{}</text>').format(
                left, at - 9, COLOURS[number_], left + 20, at, kind
            )
        )
    return _svg(at + 8, parts)


def _bars(picture: Bars) -> list[str]:
    width = max(map(len, picture.rows), default=0)
    full = picture.full or max((each.value for each in picture.rows.values()), default=0) or 1
    return [
        f"{label:{width}}  {_bar(each.value / full):{BAR_COLUMNS}}  {value_of(each.value, picture.unit)}"
        for label, each in picture.rows.items()
    ]


def _bar(share: float) -> str:
    eighths = round(8 * BAR_COLUMNS * min(max(share, 0.0), 1.0))
    return (BLOCKS[-1] * (eighths // 8) + BLOCKS[eighths % 8]).rstrip()


def _timeline(spans: Sequence[Span]) -> list[str]:
    rows, kinds = (list(dict.fromkeys(names)) for names in ((s.row for s in spans), (s.kind for s in spans)))
    end_s, width = max(each.end_s for each in spans), max(map(len, rows))
    drawn = {row: _row([each for each in spans if each.row == row], kinds, end_s) for row in sorted(rows)}
    lines = [f"{row:{width}}  {stretches}".rstrip() for row, stretches in drawn.items()]
    key = "  ".join(f"{SHADES[number]} {kind}" for number, kind in enumerate(kinds))
    took = value_of(end_s, "s")
    return [*lines, f"{'':{width}}  0{took:>{TIME_COLUMNS - 1}}", f"{'':{width}}  {key}"]


def _row(spans: Sequence[Span], kinds: Sequence[str], end_s: float) -> str:
    """Draw the stretches of a row: a column shows what covers most of it, if that is half of it."""
    step_s = end_s / TIME_COLUMNS
    row = ""
    for column in range(TIME_COLUMNS):
        begin_s = column * step_s
        covered = dict.fromkeys((each.kind for each in spans), 0.0)
        for each in spans:
            covered[each.kind] += max(0.0, min(each.end_s, begin_s + step_s) - max(each.begin_s, begin_s))
        kind = max(covered, key=lambda name: covered[name])
        row += SHADES[kinds.index(kind)] if covered[kind] >= step_s / 2 else " "
    return row
