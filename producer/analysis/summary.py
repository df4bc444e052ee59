"""
What a run found, as plain data: recomputed from the run directory alone, written as `summary.json`.

`docs/run-directory.md` describes every key. A change of meaning changes `SCHEMA`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from producer.analysis.analyse import Analysis, LaneResult, analyse
from producer.analysis.limit import limit_lanes
from producer.analysis.load import load_lanes
from producer.analysis.memory import _memory
from producer.analysis.pairs import pair
from producer.analysis.percentiles import percentiles
from producer.analysis.recommendation import NOT_VALID, answers, recommend
from producer.analysis.settle import Fate
from producer.analysis.sweep import sweep_of
from producer.analysis.validity import _problems_of_the_generator, _problems_of_the_run, _status, _warnings
from producer.analysis.verdict import Verdict, judge
from producer.plan.lanes import Lane

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.analysis.price import Price
    from producer.rundir.run import Run

SCHEMA = 1

UNSETTLED = (Fate.LOST, Fate.DUPLICATED, Fate.QUEUED, Fate.RETRIED, Fate.REFUSED)


def summarise(run: Run, price: Price | None = None) -> dict[str, Any]:
    """
    Recompute everything from a run as it was read.

    Args:
        run: The run.
        price: What the reader pays for a core; without it nothing is said of money.
    """
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
            "directory": run.path.name,
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
        "unknown_records": analysis.unknown_records,
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
