"""Two runs as if they were one with twice the lanes, so that every picture of a run can show both. Pure."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from producer.rundir.run import Run

NAMES = ("before", "after")
"""The word after the key of a lane of the first run, and of the second."""

Summary = dict[str, Any]


def side_by_side(summaries: Sequence[Mapping[str, Any]], runs: Sequence[Run]) -> tuple[Summary, Run]:
    """
    Put summary and run of both together: each lane of the first is followed by the same one of the second.

    Args:
        summaries: Of the first run and of the second, with the same workloads.
        runs: The same runs, read.
    """
    named = [_named(summary, name) for summary, name in zip(summaries, NAMES, strict=True)]
    first, second = named
    merged = {
        **first,
        "settings": {**first["settings"], "lanes": _turns(*(each["settings"]["lanes"] for each in named))},
        "lanes": _turns(first["lanes"], second["lanes"]),
        "workloads": [_both(workload, second) for workload in first["workloads"]],
        "sweep": None,
    }
    later = max((trial.trial for trial in runs[0].trials), default=-1) + 1
    return merged, _joined(*(_renamed(run, name, at) for run, name, at in zip(runs, NAMES, (0, later), strict=True)))


def _turns(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    return [each for each in chain.from_iterable(zip_longest(first, second)) if each is not None]


def _both(workload: Mapping[str, Any], second: Mapping[str, Any]) -> Summary:
    same = (each["lanes"] for each in second["workloads"] if each["workload"] == workload["workload"])
    return {**workload, "lanes": _turns(workload["lanes"], next(same, [])), "verdicts": []}


def _named(summary: Mapping[str, Any], name: str) -> Summary:
    """Rename the lanes of a summary."""
    settings = summary["settings"]
    return {
        **summary,
        "settings": {**settings, "lanes": [{**lane, "key": _key(lane["key"], name)} for lane in settings["lanes"]]},
        "lanes": [{**lane, "key": _key(lane["key"], name)} for lane in summary["lanes"]],
        "workloads": [
            {**workload, "lanes": [{**lane, "lane": _key(lane["lane"], name)} for lane in workload["lanes"]]}
            for workload in summary["workloads"]
        ],
    }


def _key(lane: str, name: str) -> str:
    return f"{lane} {name}"


def _renamed(run: Run, name: str, later: int) -> Run:
    """Rename the lanes of a run, and number its trials from a later one on."""
    return replace(
        run,
        trials=[replace(trial, lane=_key(trial.lane, name), trial=trial.trial + later) for trial in run.trials],
        pings=[{**ping, "lane": _key(ping["lane"], name), "trial": ping["trial"] + later} for ping in run.pings],
        events=[replace(event, lane=_key(event.lane, name) if event.lane else "") for event in run.events],
        records=_table(run.records, name, later),
        sent=_table(run.sent, name, later),
        samples=_table(run.samples, name, later),
        children=_table(run.children, name, later),
    )


def _table(table: pl.DataFrame, name: str, later: int) -> pl.DataFrame:
    changes = []
    if "lane" in table.columns:
        changes.append((pl.col("lane").cast(pl.String) + f" {name}").cast(table.schema["lane"]))
    if "trial" in table.columns:
        changes.append((pl.col("trial") + later).cast(table.schema["trial"]))
    return table.with_columns(changes)


def _joined(first: Run, second: Run) -> Run:
    return replace(
        first,
        trials=[*first.trials, *second.trials],
        pings=[*first.pings, *second.pings],
        events=[*first.events, *second.events],
        records=pl.concat([first.records, second.records]),
        sent=pl.concat([first.sent, second.sent]),
        samples=pl.concat([first.samples, second.samples]),
        children=pl.concat([first.children, second.children]),
    )
