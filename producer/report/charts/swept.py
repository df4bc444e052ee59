"""Lanes of a sweep: the keys that they have at each of its values, and the lanes that it varies. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.analysis.sweep import SLOTS_VARY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.analysis.summary import Summary
    from producer.plan.run_settings import PlannedPoint


def lane_keys(summary: Summary) -> list[str]:
    """Return the keys of all lanes, in order."""
    return [lane.key for lane in summary.lanes]


def lane_of(summary: Summary, key: str) -> str:
    """Return the lane that a sweep varies, by its key at one of the values; in any other run the key."""
    return next((point.lanes[key] for point in _points(summary) if key in point.lanes), key)


def key_of(summary: Summary, workload: str, lane: str) -> str:
    """Return the key that a lane of a sweep has at the value with this workload; in any other run the lane's own."""
    lanes: Mapping[str, str] = next((each.lanes for each in _points(summary) if each.workload == workload), {})
    return next((key for key, varied in lanes.items() if varied == lane), lane)


def last_lanes(summary: Summary) -> set[str] | None:
    """Return the keys of a sweep's lanes at the last value that was measured; None for other runs."""
    measured = {point.value for point in summary.sweep.points} if summary.sweep else set()
    last = next((point for point in reversed(_points(summary)) if point.value in measured), None)
    return set(last.lanes) if last and last.lanes else None


def slots_vary(summary: Summary) -> bool:
    """Check whether lanes have other numbers of slots at each value."""
    return summary.sweep is not None and summary.sweep.axis in SLOTS_VARY


def _points(summary: Summary) -> Sequence[PlannedPoint]:
    return summary.settings.sweep.points if summary.settings.sweep else ()
