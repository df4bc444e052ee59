"""What a sweep found at each value, and what follows from it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poolrace.pools import POOLS
from producer.analysis.memory import memory_per_slot_bytes
from producer.analysis.usl import fit
from producer.analysis.verdict_words import NO_DIFFERENCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.analysis.analyse import Analysis, LaneResult
    from producer.analysis.verdict import Verdict
    from producer.rundir.run import Run

ENOUGH = 0.95
"""The knee is the smallest value that gives this part of the best capacity."""


def sweep_of(run: Run, analysis: Analysis, verdicts: Sequence[Verdict]) -> dict[str, Any] | None:
    """A sweep's points in order, and what they say of each lane; None for a run that is none."""
    settings = run.manifest["settings"]
    if settings.get("kind") != "sweep":
        return None
    points = [_point(run, analysis, verdicts, point) for point in settings["points"]]
    points = [point for point in points if point["lanes"]]
    return {
        "axis": settings["axis"],
        "memory_bytes": settings["memory_bytes"],
        "points": points,
        "findings": [_finding(lane["key"], points, settings) for lane in settings["base"]] if points else [],
        "crossover": _crossover(points, _pools(settings)) if settings["axis"] == "cpu-share" else None,
        "scaling": _scaling(analysis, settings) if settings["axis"] == "nodes" else None,
    }


def _point(run: Run, analysis: Analysis, verdicts: Sequence[Verdict], point: Mapping[str, Any]) -> dict[str, Any]:
    found = [result for result in analysis.lanes if result.workload == point["workload"]]
    return {
        "value": point["value"],
        "workload": point["workload"],
        "lanes": [_lane(run, result, point["lanes"].get(result.lane, result.lane)) for result in found],
        "verdicts": [verdict.to_dict() for verdict in verdicts if verdict.workload == point["workload"]],
    }


def _lane(run: Run, result: LaneResult, base: str) -> dict[str, Any]:
    trials = [trial for trial in run.trials if (trial.lane, trial.workload) == (result.lane, result.workload)]
    # Its turns and what lies between them: a short turn may have no sample of its own.
    window = (min(trial.began_at for trial in trials), max(trial.ended_at for trial in trials))
    per_slot = memory_per_slot_bytes(run.samples, lane=result.lane, windows=[window], slots=result.slots)
    sojourn = result.latency.sojourn if result.latency else None
    return {
        "lane": base,
        "slots": result.slots,
        "capacity_per_s": result.capacity_per_s.to_dict() if result.capacity_per_s else None,
        "rate_per_s": result.rate_per_s,
        "sojourn": sojourn.to_dict() if sojourn else None,
        "memory_bytes": None if per_slot is None else per_slot * result.slots,
        "memory_per_slot_bytes": per_slot,
        "cpu_s_per_job": result.backlog_cpu_s_per_job,
        "settlement": result.settlement.to_dict(),
    }


def _finding(lane: str, points: Sequence[Mapping[str, Any]], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The best value of a lane, its knee, and the smallest that gives nearly as much as the best that fits."""
    rows = [(point["value"], row) for point in points for row in point["lanes"] if row["lane"] == lane]
    known = [(value, row) for value, row in rows if row["capacity_per_s"]]
    bound = settings["memory_bytes"]
    fitting = [each for each in known if bound is None or (each[1]["memory_bytes"] or float("inf")) <= bound]
    slots_vary = settings["axis"] in {"concurrency", "nodes"}
    return {
        "lane": lane,
        "best": _best(known),
        "knee": _knee(known) if slots_vary else None,
        "recommended": (_knee if slots_vary else _best)(fitting),
        "fits": [value for value, _ in fitting],
    }


def _best(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str | None:
    return max(rows, key=lambda row: row[1]["capacity_per_s"]["median"])[0] if rows else None


def _knee(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str | None:
    most = max((row["capacity_per_s"]["median"] for _, row in rows), default=0.0)
    enough = [(row["slots"], value) for value, row in rows if row["capacity_per_s"]["median"] >= ENOUGH * most]
    return min(enough, key=lambda each: each[0])[1] if enough else None


def _scaling(analysis: Analysis, settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The law of each lane, from every trial of capacity; None where there are too few values for one."""
    measured: dict[str, dict[int, list[float]]] = {lane["key"]: {} for lane in settings["base"]}
    for point in settings["points"]:
        for key, base in point["lanes"].items():
            measured[base][int(point["value"])] = [
                trial.capacity_per_s
                for trial in analysis.trials
                if (trial.lane, trial.workload) == (key, point["workload"]) and trial.capacity_per_s
            ]
    laws = {lane: fit(found) for lane, found in measured.items()}
    return [{"lane": lane, "law": law and law.to_dict()} for lane, law in laws.items()]


def _pools(settings: Mapping[str, Any]) -> dict[str, str]:
    """The pool of each lane, by key."""
    return {lane["key"]: lane["pool"] for lane in settings["base"]}


def _crossover(points: Sequence[Mapping[str, Any]], pools: Mapping[str, str]) -> dict[str, Any]:
    """Return up to which CPU share threads are no worse, and from which on they are: by the verdicts on capacity."""
    judged = [
        (float(point["value"]), pools.get(verdict["word"], verdict["word"]))
        for point in points
        for verdict in point["verdicts"]
        if verdict["measure"] == "capacity" and {_is_parallel(pools[verdict[side]]) for side in "ab"} == {True, False}
    ]
    first = min((share for share, word in judged if _is_parallel(word)), default=None)
    kept = [
        share
        for share, word in judged
        if (word == NO_DIFFERENCE or _is_parallel(word) is False) and (first is None or share < first)
    ]
    return {"threads_hold_to": max(kept, default=None), "prefork_wins_from": first}


def _is_parallel(pool: str) -> bool | None:
    """Check whether Python of several jobs runs on several cores of a pool; None for a pool that is not known."""
    return POOLS[pool].has_parallel_python if pool in POOLS else None
