"""
What a run found, as plain data: recomputed from the run directory alone, written as `summary.json`.

`docs/run-directory.md` describes every key. A change of meaning changes `SCHEMA`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from poolrace.pools import gives_up
from producer.adoption.answer import answers
from producer.analyse import Analysis, LaneResult, analyse, memory_per_slot_bytes, percentiles
from producer.lanes import Lane
from producer.lateness import fell_short, lag_bound_s
from producer.limit.figures import GENERATOR, limit_lanes
from producer.load.figures import load_lanes
from producer.rundir import COMPLETE, INCOMPLETE, RUNNING, Run, RunWriter, as_json, read_run
from producer.settle import Fate
from producer.sweep.figures import sweep_of
from producer.trials import Kind
from producer.verdict import NO_VERDICT, Verdict, judge, pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from producer.price import Price

SCHEMA = 1

UNSETTLED = (Fate.LOST, Fate.DUPLICATED, Fate.QUEUED, Fate.RETRIED, Fate.REFUSED)
NAMED_TRIALS, NAMED = 3, 12
"""Of so many trials a report names so many jobs one by one; the summary names them all."""

CROWDED_SHARE = 0.1
"""Other programs that use more of the cores than this are worth a warning."""

SHORT_JOB_S = 0.005
CLOCK_STEP_S = 0.005

NOT_VALID = {"lane": None, "why": "the run is not valid", "advice": None}
"""Instead of a recommendation: its figures may be looked at, but not acted on."""


def summarise(path: Path, price: Price | None = None) -> dict[str, Any]:
    """
    Recompute everything from a run directory.

    Args:
        path: Of the run.
        price: What the reader pays for a core; without it nothing is said of money.

    Raises:
        UsageError: If it is no run directory, or damaged.
    """
    run = read_run(path)
    analysis = analyse(run.trials, run.sent, run.records, run.children)
    lanes = [Lane.from_dict(lane) for lane in run.manifest["settings"]["lanes"]]
    margin = run.manifest["settings"].get("margin")  # a load has none, and compares nothing
    verdicts = judge(pair(analysis.trials), margin) if margin else []
    load, limit = load_lanes(run, analysis.fates), limit_lanes(run, analysis.fates)
    stray = unsettled(run, analysis)
    problems = [*_problems_of_the_run(run, analysis, stray), *_problems_of_the_generator(analysis, load, limit)]
    found_lanes = [_lane(run, lane) for lane in lanes]
    workloads = [_workload(name, run, analysis, lanes, verdicts, problems, price) for name in _workloads(analysis)]
    return {
        "schema": SCHEMA,
        "run": {
            "id": run.manifest["run_id"],
            "directory": path.name,
            "began_at": run.manifest.get("began_at"),
            "ended_at": run.manifest.get("ended_at"),
        },
        "status": _status(run),
        "valid": not problems,
        "problems": problems,
        "warnings": _warnings(run, analysis),
        "settings": run.manifest["settings"],
        "machine": run.manifest.get("machine"),
        "noise": run.manifest.get("noise"),
        "others_cores": run.manifest.get("others_cores"),
        "price": price and price.to_dict(),
        "settlement": analysis.settlement.to_dict(),
        "strangers": analysis.strangers,
        "unsettled": stray,
        "lanes": found_lanes,
        "load": load,
        "limit": limit,
        "sweep": sweep_of(run, analysis, verdicts),
        "aborted": run.manifest.get("aborted"),
        "changes": run.manifest.get("changes", {}),
        "workloads": workloads,
        "answers": answers(run, workloads, found_lanes),
    }


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write `summary.json` and `report.md` into the run directory."""
    from producer.report.markdown import as_markdown

    writer = RunWriter(path, {})
    writer.write_text("summary.json", as_json(summary))
    writer.write_text("report.md", as_markdown(summary))


def _workloads(analysis: Analysis) -> list[str]:
    return list(dict.fromkeys(lane.workload for lane in analysis.lanes))


def _workload(
    name: str,
    run: Run,
    analysis: Analysis,
    lanes: Sequence[Lane],
    verdicts: Sequence[Verdict],
    problems: Sequence[str],
    price: Price | None,
) -> dict[str, Any]:
    ours = [verdict for verdict in verdicts if verdict.workload == name]
    results = [result for result in analysis.lanes if result.workload == name]
    return {
        "workload": name,
        "size": run.manifest.get("sizes", {}).get(name),
        "lanes": [
            {
                **result.to_dict(),
                "ping": _ping(run, name, result.lane),
                "money_per_million_jobs": price and price.of_jobs(busiest_cpu_s_per_job(result)),
            }
            for result in results
        ],
        "verdicts": [verdict.to_dict() for verdict in ours],
        "recommendation": NOT_VALID if problems else recommend(run, lanes, ours),
    }


def busiest_cpu_s_per_job(result: LaneResult) -> float | None:
    """Over a backlog, where nothing idles; a load has none, and is taken at the rate it held."""
    return result.backlog_cpu_s_per_job or result.latency_cpu_s_per_job


def _ping(run: Run, workload: str, lane: str) -> dict[str, Any] | None:
    trials = {t.trial for t in run.trials if t.workload == workload and t.lane == lane}
    pings = [ping["rtt_s"] for ping in run.pings if ping["trial"] in trials]
    answered = percentiles(np.array([rtt_s for rtt_s in pings if rtt_s is not None], dtype=np.float64))
    if not pings:
        return None
    return {
        "sent": len(pings),
        "answered": answered.n if answered else 0,
        "p50_s": answered.p50 if answered else None,
        "max_s": answered.max if answered else None,
    }


def _lane(run: Run, lane: Lane) -> dict[str, Any]:
    node: Mapping[str, Any] = next((node for node in run.manifest.get("nodes", []) if node["lane"] == lane.key), {})
    return {
        **lane.to_dict(),
        "node": node.get("node"),
        "ready_s": node.get("ready_s"),
        "hello": node.get("hello"),
        "gil_in_slots": _gil(run.records, lane),
        "memory_per_slot_bytes": _memory(run, lane),
        "private_per_slot_bytes": _memory(run, lane, "private_bytes"),
    }


def _gil(records: pl.DataFrame, lane: Lane) -> str | None:
    seen = records.filter(pl.col("lane") == lane.key)["gil"].unique().to_list()
    if not seen:
        return None
    return "mixed" if len(seen) > 1 else ("on" if seen[0] else "off")


def _memory(run: Run, lane: Lane, column: Literal["pss_bytes", "private_bytes"] = "pss_bytes") -> float | None:
    windows = [(t.began_at, t.ended_at) for t in run.trials if t.lane == lane.key and t.kind is not Kind.WARM_UP]
    return memory_per_slot_bytes(run.samples, lane=lane.key, windows=windows, slots=lane.slots, column=column)


def recommend(run: Run, lanes: Sequence[Lane], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """
    The lane to use for a workload, why, and what it gives up.

    Capacity decides. Where it shows no difference, latency does, and where that names no lane, memory per slot.
    Without a verdict on capacity there is no recommendation.
    """
    kind = run.manifest["settings"].get("kind", "race")
    if kind != "race":
        return {"lane": None, "why": f"a {kind} recommends no lane", "advice": "Race them: poolrace race"}
    capacity = [verdict for verdict in verdicts if verdict.measure == "capacity"]
    latency = [verdict for verdict in verdicts if verdict.measure == "latency"]
    undecided = [verdict for verdict in capacity if verdict.word == NO_VERDICT]
    if undecided or not capacity:
        advice = undecided[0].advice if undecided else None
        return {"lane": None, "why": "no verdict on capacity", "advice": advice}
    keys = _unbeaten([lane.key for lane in lanes], capacity)
    if len(keys) == 1:
        return _choice(run, lanes, keys[0], "capacity decides")
    keys = _unbeaten(keys, latency)
    if len(keys) == 1:
        return _choice(run, lanes, keys[0], "no difference in capacity, and latency decides")
    decided = latency and all(verdict.word != NO_VERDICT for verdict in latency)
    return _by_memory(run, lanes, keys, "shows none either" if decided else "has no verdict")


def _unbeaten(keys: Sequence[str], verdicts: Sequence[Verdict]) -> list[str]:
    beaten = {verdict.b if verdict.winner == verdict.a else verdict.a for verdict in verdicts if verdict.winner}
    return [key for key in keys if key not in beaten]


def _by_memory(run: Run, lanes: Sequence[Lane], keys: Sequence[str], latency: str) -> dict[str, Any]:
    known = {lane.key: _memory(run, lane) for lane in lanes if lane.key in keys}
    if any(value is None for value in known.values()):
        advice = "Memory could not be measured here, so take the pool whose limits suit you"
        return {"lane": None, "why": f"no difference in capacity, and latency {latency}", "advice": advice}
    best = min(known, key=lambda key: known[key] or 0.0)
    why = f"no difference in capacity, latency {latency}, and it needs the least memory per slot"
    return _choice(run, lanes, best, why)


def _choice(run: Run, lanes: Sequence[Lane], key: str, why: str) -> dict[str, Any]:
    lane = next(lane for lane in lanes if lane.key == key)
    flags = " ".join(lane.worker_flags())
    app = (run.manifest["settings"].get("app") or {}).get("app", "YOUR_APP")
    return {
        "lane": key,
        "why": why,
        "pool": lane.pool,
        "concurrency": lane.concurrency,
        "nodes": lane.nodes,
        "transport": lane.transport,
        "command": f"celery -A {app} worker {flags} -n {lane.pool}@%h",
        "gives_up": list(gives_up(lane.pool)),
    }


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
        if fell_short(**{name: lane[name] for name in GENERATOR}):
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


def unsettled(run: Run, analysis: Analysis) -> list[dict[str, Any]]:
    """The jobs that did not come to one end, by name: each trial's, by what became of them."""
    bad = analysis.fates.filter(pl.col("fate").is_in([fate.value for fate in UNSETTLED]))
    of = {trial.trial: trial for trial in run.trials}
    return [
        {"trial": trial, "lane": of[trial].lane, "workload": of[trial].workload, "fate": fate, "jobs": jobs}
        for trial, fate, jobs in bad.group_by("trial", "fate")
        .agg(pl.col("seq").sort())
        .sort("trial", "fate")
        .iter_rows()
        if trial in of
    ]


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
