"""
The registry of this layer: what each kind of run does with its session.

A kind of run is a column through the layers: a file of its name in `cli`, `measure`, `analysis` and `report`, and one
entry in the registry of each.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from producer.measure.limit import LimitSettings, measure_limit
from producer.measure.load import LoadSettings, measure_load
from producer.measure.race import measure_race
from producer.measure.session import NOTHING_BEFORE, EarlierPart, run_session
from producer.measure.soak import SoakSettings, measure_soak
from producer.measure.sweep import SweepSettings, measure_sweep
from producer.plan.settings import RaceSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from producer.errors import PoolraceError
    from producer.measure.progress import Progress
    from producer.plan.settings import FleetSettings

MEASURES: Mapping[str, Callable[[Any, Any], None]] = MappingProxyType(
    {
        RaceSettings.kind: measure_race,
        LoadSettings.kind: measure_load,
        LimitSettings.kind: measure_limit,
        SweepSettings.kind: measure_sweep,
        SoakSettings.kind: measure_soak,
    }
)
"""The function that measures, by kind of run; it is given the settings and the session."""


def measure_run(
    settings: FleetSettings, progress: Progress, before: EarlierPart = NOTHING_BEFORE
) -> tuple[Path, PoolraceError | None]:
    """Run what the settings ask for and write the run directory; return and raise what `run_session` does."""
    return run_session(settings, progress, MEASURES[settings.kind], before)
