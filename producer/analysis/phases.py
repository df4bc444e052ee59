"""The phases of a load by time: those that were reached. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from producer.rundir.run import Run
    from producer.rundir.trials import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseWindow:
    """
    A part of a load by time.

    Attributes:
        name: Of the phase.
        begin_s: From when, in seconds from the load's start.
        end_s: Until when.
        counts: Whether it counts.
        alone: Whether the load has no other phase.
    """

    name: str
    begin_s: float
    end_s: float
    counts: bool = True
    alone: bool = True

    def holds(self) -> pl.Expr:
        """Select the jobs that are due in it, by their `offset_s`."""
        return pl.col("offset_s").is_between(self.begin_s, self.end_s, closed="left")


def whole_window(trial: Trial) -> PhaseWindow:
    """Return all of a trial as one window: as long as its plan, or as it took where the plan says nothing."""
    return PhaseWindow(name="load", begin_s=0.0, end_s=trial.planned_s or trial.ended_at - trial.began_at)


def phase_windows(run: Run, trial: Trial) -> list[PhaseWindow]:
    """
    Return the phases of a load in order; a trial that is no load has none.

    A phase that was not reached is left out: a load that was given up ends in the middle of one.
    """
    load = run.manifest.settings.load
    phases = load.phases if load and trial.kind is Kind.LOAD else ()
    planned_s = whole_window(trial).end_s
    found, begin_s = [], 0.0
    for phase in phases:
        end_s = min(begin_s + phase.duration_s, planned_s)
        if end_s > begin_s:
            alone = len(phases) == 1
            window = PhaseWindow(name=phase.name, begin_s=begin_s, end_s=end_s, counts=phase.counts, alone=alone)
            found.append(window)
        begin_s += phase.duration_s
    return found
