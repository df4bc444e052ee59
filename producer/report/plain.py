"""
The border to pictures: a summary as plain data in the shape that they read, and the report's words for such data.

Pictures alone read it. Whatever takes a `Summary` needs nothing of this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from producer.analysis.compare import Comparison
from producer.analysis.percentiles import Percentiles
from producer.analysis.price import Price
from producer.analysis.usl import Law
from producer.report import comparison, sweep, tables

if TYPE_CHECKING:
    from producer.analysis.summary import Summary
    from producer.report.parts import Table

PlainSummary = Mapping[str, Any]
"""A summary as `plain` returns it."""

KINDS = ("race", "load", "limit", "sweep")


def plain(summary: Summary) -> dict[str, Any]:
    """Return a summary as dicts and lists, with the options of its kind beside the other settings."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(summary))
    settings = found["settings"]
    options = [settings[kind] or {} for kind in KINDS]
    load, limit = found["load"] or {}, found["limit"] or {}
    return {
        **found,
        "settings": {**{name: value for name, value in settings.items() if name not in KINDS}, **_merged(options)},
        "load": load.get("lanes", []),
        "aborted": load.get("aborted"),
        "changes": load.get("changes", {}),
        "limit": limit.get("lanes", []),
    }


def _merged(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


def lane_keys(summary: Mapping[str, Any]) -> list[str]:
    """Return the keys of all lanes, in order."""
    return [lane["key"] for lane in summary["lanes"]]


def get(value: Any, *keys: str) -> Any:
    """Return what is below some keys; None if any of them is not there."""
    for key in keys:
        value = value.get(key) if value is not None else None
    return value


def percentile_cell(found: Mapping[str, Any] | None, name: str) -> str:
    """Return a percentile as in the report's tables."""
    return tables.percentile_cell(msgspec.convert(found, Percentiles | None), name)


def price_of(summary: Mapping[str, Any]) -> str:
    """Return the price of a core-hour as in the report."""
    return tables.price_of(msgspec.convert(summary["price"], Price))


def money_of_a_million(summary: Mapping[str, Any]) -> str:
    """Return the name of a column of money as in the report."""
    return tables.money_of_a_million(msgspec.convert(summary["price"], Price))


def scaling_sentence(lane: str, law: Mapping[str, Any] | None) -> str:
    """Return what the law says of a lane as in the report."""
    return sweep.scaling_sentence(lane, msgspec.convert(law, Law | None))


def second_over_first(found: Mapping[str, Any]) -> Table:
    """Return the table of a comparison as in the report."""
    return comparison.second_over_first(msgspec.convert(found, Comparison))
