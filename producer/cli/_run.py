"""Measures a run and reports it. Imported once the options are known to be good, since it takes a while to import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producer.cli._output import finish
from producer.measure.kinds import measure_run
from producer.measure.session import NOTHING_BEFORE
from producer.report.progress.display import progress_for

if TYPE_CHECKING:
    from pathlib import Path

    from producer.measure.session import EarlierPart
    from producer.plan.settings import FleetSettings


def run_and_report(
    settings: FleetSettings,
    *,
    as_json: bool,
    full: bool,
    junit: Path | None,
    live: bool | None,
    before: EarlierPart | None,
) -> int:
    """Measure a run, show its progress, report it, and return the exit code."""
    with progress_for(quiet=as_json, live=live) as progress:
        path, error = measure_run(settings, progress, before or NOTHING_BEFORE)
    return finish(path, error, as_json=as_json, full=full, junit=junit)
