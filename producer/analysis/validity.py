"""Judges whether a run's figures may be used, and what to warn of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from producer.analysis.generator import lag_bound_s, missed_the_rate
from producer.analysis.limit import GENERATOR
from producer.rundir.schema import COMPLETE, INCOMPLETE, RUNNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from producer.analysis.analyse import Analysis, LaneResult
    from producer.rundir.run import Run


NAMED_TRIALS, NAMED = 3, 12
"""Of so many trials a report names so many jobs one by one; the summary names them all."""

CROWDED_SHARE = 0.1
"""Other programs that use more of the cores than this are worth a warning."""

SHORT_JOB_S = 0.005

CLOCK_STEP_S = 0.005


def _status(run: Run) -> str:
    """A run that still says that it is running was cut short."""
    return INCOMPLETE if run.manifest["status"] == RUNNING else str(run.manifest["status"])


def _problems_of_the_run(run: Run, analysis: Analysis, stray: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if _status(run) != COMPLETE:
        reason = run.manifest.get("reason") or "it was cut short before it could say why."
        yield f"The run is {_status(run)}: {reason}"
    settlement = analysis.settlement
    if settlement.missing or settlement.duplicated:
        counts = {name: count for name, count in settlement.to_dict().items() if count and name not in {"sent", "done"}}
        yield f"Of {settlement.sent} jobs not all came to one end: {_words(counts)}."
    yield from map(_named, stray[:NAMED_TRIALS])


def _problems_of_the_generator(
    analysis: Analysis, load: Sequence[Mapping[str, Any]], limit: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    yield from filter(None, map(_late, analysis.lanes))
    for lane in load:
        if missed_the_rate(**{name: lane[name] for name in GENERATOR}):
            yield _short_of_the_rate(lane)
    for lane in limit:
        if lane["generator_late"]:
            yield _generators_limit(lane)


def _short_of_the_rate(lane: Mapping[str, Any]) -> str:
    return (
        f"The generator could not hold the rate: it sent {lane['generator_per_s']:,.0f} jobs/s of "
        f"{lane['offered_per_s']:,.0f} to {lane['lane']}. Use a lower rate, more --publishers or a faster machine."
    )


def _generators_limit(lane: Mapping[str, Any]) -> str:
    broke = next(each for each in lane["probes"] if each["rate_per_s"] == lane["broke_per_s"] and not each["passed"])
    return (
        f"The generator was late when {lane['lane']} broke at {broke['rate_per_s']:.1f}/s; it sent "
        f"{broke['generator_per_s']:.1f}/s. The limit may be its own. Use a quieter machine, or more --publishers."
    )


def _named(group: Mapping[str, Any]) -> str:
    jobs = ", ".join(map(str, group["jobs"][:NAMED])) + (", …" if len(group["jobs"]) > NAMED else "")
    what = f"{len(group['jobs'])} {group['fate']} with {group['workload']} on {group['lane']}, trial {group['trial']}"
    return f"{what}: jobs {jobs}. All of them are in summary.json, under unsettled."


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _late(lane: LaneResult) -> str | None:
    latency = lane.latency
    if latency is None or latency.publish_lag is None or latency.sojourn is None:
        return None
    bound_s = lag_bound_s(latency.sojourn.p50)
    if latency.publish_lag.p99 <= bound_s:
        return None
    return (
        f"The generator was late: publish lag p99 {latency.publish_lag.p99 * 1000:.1f} ms with {lane.workload} on "
        f"{lane.lane}, more than {bound_s * 1000:.1f} ms. Use a quieter machine, fewer slots, a lower rate or more "
        "--publishers."
    )


def _warnings(run: Run, analysis: Analysis) -> list[str]:
    warnings = []
    noise = run.manifest.get("noise")
    if noise and not noise["quiet"]:
        warnings.append(noise["advice"])
    warnings += _crowded(run)
    short = sorted({lane.workload for lane in analysis.lanes if _short(lane)})
    if short:
        warnings.append(f"Jobs shorter than 5 ms measure Celery, not the pool: {', '.join(short)}.")
    negative = sum(trial.negative for trial in analysis.trials)
    if negative:
        warnings.append(
            f"{negative} jobs have a wait below zero: clocks disagree by more than it took ({_bounds(run)})."
        )
    if _clock_stepped(run.samples):
        warnings.append("A node's clock was set while it ran: instants before and after do not compare.")
    return warnings + _failures(analysis)


def _crowded(run: Run) -> list[str]:
    others = run.manifest.get("others_cores")
    cores = (run.manifest.get("machine") or {}).get("cores_available")
    if others is None or not cores or others <= CROWDED_SHARE * cores:
        return []
    used = f"Other programs used {others:.1f} of {cores} cores while it ran"
    return [f"{used}: its figures are those of a busy machine. Close them and run it again."]


def _short(lane: LaneResult) -> bool:
    timed = lane.latency or lane.backlog
    return timed is not None and timed.service is not None and timed.service.p50 < SHORT_JOB_S


def _bounds(run: Run) -> str:
    bounds = [clock["bound_s"] for clock in run.manifest.get("clocks", {}).values() if clock["bound_s"] is not None]
    return f"offsets known to within {max(bounds) * 1e6:.0f} us" if bounds else "offsets unknown"


def _clock_stepped(samples: pl.DataFrame) -> bool:
    spans = samples.group_by("node").agg((pl.col("drift_s").max() - pl.col("drift_s").min()).alias("span"))
    return bool((spans["span"] > CLOCK_STEP_S).any())


def _failures(analysis: Analysis) -> list[str]:
    return [
        f"{lane.settlement.failed} of {lane.settlement.sent} {lane.workload} jobs failed on {lane.lane}: "
        f"{_words(lane.failures)}."
        for lane in analysis.lanes
        if lane.settlement.failed
    ]
