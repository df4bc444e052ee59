"""What a search for the limit found on each lane: its probes, the bracket and whether it was confirmed. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from producer.analysis.generator import lag_bound_s, missed_the_rate
from producer.analysis.load import probe_figures
from producer.analysis.search import Search
from producer.plan.thresholds import parse_threshold
from producer.rundir.trials import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from producer.rundir.run import Run
    from producer.rundir.trials import Trial

GENERATOR = ("offered_per_s", "generator_per_s")

PROBES = frozenset({Kind.PROBE, Kind.CONFIRMATION})


def limit_lanes(run: Run, fates: pl.DataFrame) -> list[dict[str, Any]]:
    """One entry a lane, in the order of their first probe; none for a run that is no search."""
    probes: dict[str, list[dict[str, Any]]] = {}
    for trial in run.trials:
        if trial.kind in PROBES:
            probes.setdefault(trial.lane, []).append(probe(run, trial, fates))
    return [_lane(lane, found, run.manifest["settings"]) for lane, found in probes.items()]


def probe(run: Run, trial: Trial, fates: pl.DataFrame) -> dict[str, Any]:
    """One probe: what was offered, what came of it, and whether it passed."""
    slo = [parse_threshold(text) for text in run.manifest["settings"]["slo"]]
    figures = probe_figures(run, trial, fates)
    judged = [threshold.judge(figures) for threshold in slo]
    growing = _growing(figures)
    kept = all(each.kept for each in judged) and trial.given_up_s is None and not growing
    return {
        "trial": trial.trial,
        "kind": trial.kind.value,
        "rate_per_s": trial.rate_per_s,
        "passed": kept,
        "growth_s": figures["growth_s"],
        "growing": growing,
        "late": _late(figures["latency"]) or missed_the_rate(**{name: figures[name] for name in GENERATOR}),
        "given_up_s": trial.given_up_s,
        **{name: figures[name] for name in (*GENERATOR, "sent_per_s", "finished_per_s", "settlement", "latency")},
        "thresholds": [asdict(each) for each in judged],
    }


def _growing(figures: Mapping[str, Any]) -> bool:
    """
    Whether jobs waited longer and longer: a lane that needs a longer probe to break does not hold the rate.

    By more than the median service time, which the chance of arrivals alone seldom makes of a lane that keeps up.
    """
    service, growth_s = figures["latency"]["service"], figures["growth_s"]
    return service is not None and growth_s is not None and growth_s > service["p50"]


def _late(latency: Mapping[str, Any]) -> bool:
    lag, sojourn = latency["publish_lag"], latency["sojourn"]
    return bool(lag and sojourn and lag["p99"] > lag_bound_s(sojourn["p50"]))


def _lane(lane: str, probes: Sequence[dict[str, Any]], settings: Mapping[str, Any]) -> dict[str, Any]:
    search = Search(probes[0]["rate_per_s"], precision=settings["precision"])
    for each in probes:
        search.tell(each["rate_per_s"], passed=each["passed"])
    broke = [each for each in probes if each["rate_per_s"] == search.broke_per_s and not each["passed"]]
    return {
        "lane": lane,
        "held_per_s": search.held_per_s,
        "broke_per_s": search.broke_per_s,
        "confirmed": search.confirmed,
        "broken_by": _broken_by(broke[0]) if broke else None,
        "generator_late": bool(broke) and broke[0]["late"],
        "probes": list(probes),
    }


def _broken_by(probe_: Mapping[str, Any]) -> str:
    broken = [each["threshold"] for each in probe_["thresholds"] if not each["kept"]]
    if probe_["growing"]:
        broken.append(f"queue wait grew by {probe_['growth_s'] * 1000:.0f} ms")
    return ", ".join(broken) or "more jobs beyond the limit than it allows"
