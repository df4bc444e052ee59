"""What a load found on each lane: offered and achieved rates, and what became of its thresholds. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from producer.analyse import first_successes, memory_per_slot_bytes, percentiles
from producer.thresholds import OPERATORS, STATISTICS, parse_threshold
from producer.trials import Kind, Trial

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from producer.analyse import Analysis
    from producer.rundir import Run
    from producer.thresholds import Threshold

SPANS = {
    "sojourn": ("due_at", "finished_at"),
    "sojourn_from_sent": ("sent_at", "finished_at"),
    "queue_wait": ("sent_at", "started_at"),
    "broker_wait": ("sent_at", "received_at"),
    "slot_wait": ("received_at", "started_at"),
    "service": ("started_at", "finished_at"),
    "publish_lag": ("due_at", "sent_at"),
}
"""From which instant to which one each stretch of a job's life goes."""

UNITS = {"rate": "jobs/s", "mem_per_slot": "bytes"}


def load_lanes(run: Run, analysis: Analysis) -> list[dict[str, Any]]:
    """One entry a lane, in the order in which they were loaded; none for a run that is no load."""
    thresholds = [parse_threshold(text) for text in run.manifest["settings"].get("thresholds", [])]
    results = {lane.lane: lane for lane in analysis.lanes}
    found = []
    for trial in run.trials:
        if trial.kind is Kind.LOAD:
            figures = {
                "lane": trial.lane,
                **_rates(run, trial),
                "settlement": results[trial.lane].settlement.to_dict(),
                "latency": results[trial.lane].to_dict()["latency"],
                "memory_per_slot_bytes": memory_per_slot_bytes(
                    run.samples, lane=trial.lane, windows=[(trial.began_at, trial.ended_at)], slots=trial.slots
                ),
            }
            judged = [_judge(threshold, figures, run, trial) for threshold in thresholds]
            found.append({**figures, "thresholds": judged})
    return found


def _rates(run: Run, trial: Trial) -> dict[str, float]:
    """Jobs per second: over the time the plan took, or over the time it took to send or finish them if that is more."""
    planned_s = float(run.manifest["settings"]["duration_s"])
    sent = run.sent.filter(pl.col("trial") == trial.trial)
    accepted = sent.filter(pl.col("accepted_at").is_not_null())
    done = first_successes(run.records.filter(pl.col("trial") == trial.trial))
    return {
        "offered_per_s": trial.jobs / planned_s,
        "sent_per_s": accepted.height / max(planned_s, _last(accepted, "sent_at") - trial.began_at),
        "finished_per_s": done.height / max(planned_s, _last(done, "finished_at") - trial.began_at),
    }


def _last(frame: pl.DataFrame, column: str) -> float:
    found: Any = frame[column].max()
    return float(found) if found is not None else float("-inf")


def _judge(threshold: Threshold, figures: dict[str, Any], run: Run, trial: Trial) -> dict[str, Any]:
    judged = threshold.judge(figures)
    unit = "s" if threshold.name in STATISTICS else UNITS.get(threshold.name, "jobs")
    since_s = None if judged.kept or threshold.name not in STATISTICS else first_broken_s(threshold, run.records, trial)
    return {**asdict(judged), "unit": unit, "since_s": since_s}


def first_broken_s(threshold: Threshold, records: pl.DataFrame, trial: Trial) -> float | None:
    """
    The first second of a trial whose jobs, those that were due in it, would have broken a threshold by themselves.

    Returns:
        Seconds since the trial's start; None if no second did, although all of them together do.
    """
    done = first_successes(records.filter(pl.col("trial") == trial.trial))
    begin, end = (done[name].cast(pl.Float64).to_numpy() for name in SPANS[threshold.of])
    second = np.floor(done["due_at"].to_numpy() - trial.began_at)
    for at_s in np.unique(second):
        value = _statistic((end - begin)[second == at_s], threshold.name)
        if value is not None and not OPERATORS[threshold.operator](value, threshold.limit):
            return float(at_s)
    return None


def _statistic(values: NDArray[np.float64], name: str) -> float | None:
    found = percentiles(values)
    return None if found is None else float(getattr(found, name.replace(".", "_")))
