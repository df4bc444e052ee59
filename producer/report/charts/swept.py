"""Lanes of a sweep: the keys that they have at each of its values, and the lanes that it varies. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.report.plain import PlainSummary as Summary

BRINGS_SLOTS = frozenset({"concurrency", "nodes"})
"""Axes of a sweep along which lanes have other numbers of slots."""


def lane_of(summary: Summary, key: str) -> str:
    """Return the lane that a sweep varies, by its key at one of the values; in any other run the key."""
    return str(next((point["lanes"][key] for point in _points(summary) if key in point["lanes"]), key))


def key_of(summary: Summary, workload: str, lane: str) -> str:
    """Return the key that a lane of a sweep has at the value with this workload; in any other run the lane's own."""
    lanes: Mapping[str, str] = next((p["lanes"] for p in _points(summary) if p["workload"] == workload), {})
    return next((key for key, varied in lanes.items() if varied == lane), lane)


def last_lanes(summary: Summary) -> set[str] | None:
    """Return the keys of a sweep's lanes at the last value that was measured; None for other runs."""
    measured = {point["value"] for point in summary["sweep"]["points"]} if summary["sweep"] else set()
    last = next((point for point in reversed(_points(summary)) if point["value"] in measured), None)
    return set(last["lanes"]) if last and last["lanes"] else None


def slots_vary(summary: Summary) -> bool:
    """Check whether lanes have other numbers of slots at each value."""
    return bool(summary["sweep"]) and summary["sweep"]["axis"] in BRINGS_SLOTS


def _points(summary: Summary) -> Sequence[Mapping[str, Any]]:
    points: Sequence[Mapping[str, Any]] = summary["settings"].get("points", ())
    return points
