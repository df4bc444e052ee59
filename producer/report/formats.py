"""Numbers as readers see them: the only place where seconds become milliseconds and bytes become MiB."""

from __future__ import annotations

from datetime import UTC, datetime

NONE = "-"


def number(value: float | None, digits: int = 3) -> str:
    """Format three significant digits, thousands apart: 1,630, 85.1, 0.042."""
    if value is None:
        return NONE
    if value == 0:
        return "0"
    whole = len(f"{abs(value):.0f}") if abs(value) >= 1 else 0
    return f"{value:,.{max(digits - whole, 0)}f}" if whole else f"{value:.{digits}g}"


def count(value: int | None) -> str:
    """Format a whole number, thousands apart."""
    return NONE if value is None else f"{value:,}"


def milliseconds(value_s: float | None) -> str:
    """Format seconds as milliseconds."""
    return NONE if value_s is None else number(value_s * 1000)


def seconds(value_s: float | None) -> str:
    """Format seconds, with the unit."""
    return NONE if value_s is None else f"{number(value_s)} s"


def mebibytes(value_bytes: float | None) -> str:
    """Format bytes as MiB."""
    return NONE if value_bytes is None else f"{number(value_bytes / 2**20)} MiB"


def gibibytes(value_bytes: float | None) -> str:
    """Format bytes as GiB."""
    return NONE if value_bytes is None else f"{number(value_bytes / 2**30)} GiB"


def percent(share: float | None, digits: int = 0) -> str:
    """Format a part of 1 as percent."""
    return NONE if share is None else f"{share * 100:.{digits}f} %"


def interval(low: str, high: str) -> str:
    """Format the ends of an interval."""
    return f"[{low}, {high}]"


def ratio(value: float | None, low: float | None, high: float | None) -> str:
    """Format a ratio with its interval."""
    if value is None:
        return NONE
    if low is None or high is None:
        return f"{value:.2f}"
    return f"{value:.2f}  [{low:.2f}, {high:.2f}]"


def instant(at: float | None) -> str:
    """Format seconds since the epoch as a date and time."""
    return NONE if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
