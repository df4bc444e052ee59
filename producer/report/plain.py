"""The summary as plain data in the shape that pictures and exports read: the border between typed and untyped code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from producer.analysis.summary import Summary

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
