"""
The parts of a report, in order, without saying how they look: a summary becomes titles, sentences and tables.

What was raced, then the answer whole, then every figure. What a terminal shows first is in `first_screen.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.report.answer import app_parts
from producer.report.first_screen import answer
from producer.report.formats import NONE, gibibytes, instant
from producer.report.kinds import KINDS
from producer.report.lane_names import distances_told, lane_name, versions_that_differ
from producer.report.parts import Prose

if TYPE_CHECKING:
    from producer.analysis.summary import Summary
    from producer.report.parts import Part


def document(summary: Summary) -> list[Part]:
    """Return the parts of a report; the first is its heading."""
    return [heading(summary), *answer(summary), *figures(summary)]


def figures(summary: Summary) -> list[Part]:
    """Return all that the answer does not have already."""
    found: list[Part] = list(app_parts(summary))
    if summary.workloads:
        said = answer(summary)
        found += [part for part in KINDS[summary.settings.kind].parts(summary) if part not in said]
    return found


def heading(summary: Summary) -> Prose:
    """Return what was raced, on what."""
    settings, settled = summary.settings, summary.settlement
    kind = KINDS[settings.kind]
    lanes = kind.between.join(map(lane_name, settings.base_lanes))
    rest = ", ".join(f"{count:,} {name}" for name, count in settled.counts.items() if count)
    lines = [
        f"{lanes}, {kind.asked(settings)}, {settings.arrivals} arrivals, seed {settings.seed}.",
        _machine(summary),
        *versions_that_differ(summary.lanes),
        *distances_told(summary.distances),
        f"{settled.sent:,} jobs sent: {rest or 'none settled'}.",
    ]
    if settings.race and settings.race.quick:
        lines.append("Quick: fewer workloads, 3 pairs and shorter trials. For a firm verdict run poolrace race.")
    return Prose(title=f"{kind.name.capitalize()} of {instant(summary.run.began_at)}", lines=lines)


def _machine(summary: Summary) -> str:
    machine = summary.machine
    if machine is None:
        return f"? cores, {NONE}, Python ?."
    parts = [
        f"{machine.cores_available} cores",
        gibibytes(machine.memory_total_bytes),
        f"{machine.implementation} {machine.python}",
        *(f"{name} {machine.versions[name]}" for name in ("celery", "kombu", "redis") if machine.versions.get(name)),
    ]
    return ", ".join(parts) + "."
