"""What a report says, in which order, without saying how it looks: a summary becomes titles, sentences and tables."""

from __future__ import annotations

from itertools import combinations
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from poolrace.transport_setting import ATOMIC
from producer.plan.mix import mix_text
from producer.report.answer import answer_parts, app_parts
from producer.report.formats import NONE, gibibytes, instant, number, ratio
from producer.report.limit import limit_parts
from producer.report.load import load_parts
from producer.report.parts import Prose, Table
from producer.report.sweep import sweep_parts
from producer.report.tables import Summary, by_lane, corrected, cost, get, lane_keys, latency, per_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def document(summary: Summary) -> Iterator[Table | Prose]:
    """The parts of a report, in order."""
    yield heading(summary)
    if summary["problems"]:
        yield Prose(title="This run is not valid", lines=summary["problems"])
    if summary["warnings"]:
        yield Prose(title="Mind", lines=summary["warnings"])
    yield from app_parts(summary)
    kind = summary["settings"].get("kind", "race")
    if summary["workloads"]:
        yield from PARTS[kind](summary)


def race_parts(summary: Summary) -> Iterator[Table | Prose]:
    """What a race found."""
    yield capacity(summary)
    yield latency(summary)
    yield corrected(summary)
    yield cost(summary)
    yield per_job(summary)
    yield verdicts(summary)
    yield from given_up(summary)
    yield recommendations(summary)
    yield from answer_parts(summary)


def heading(summary: Summary) -> Prose:
    """What was raced, on what."""
    settings, settled = summary["settings"], summary["settlement"]
    kind = settings.get("kind", "race")
    between = ", then " if kind == "load" else " against "
    lanes = between.join(_lane_name(lane) for lane in settings.get("base", settings["lanes"]))
    rest = ", ".join(f"{count:,} {name}" for name, count in settled.items() if count and name != "sent")
    lines = [
        f"{lanes}, {_what(settings)}, {settings['arrivals']} arrivals, seed {settings['seed']}.",
        _machine(summary),
        f"{settled['sent']:,} jobs sent: {rest or 'none settled'}.",
    ]
    if settings.get("quick"):
        lines.append("Quick: fewer workloads, 3 pairs and shorter trials. For a firm verdict run poolrace race.")
    return Prose(title=f"{kind.capitalize()} of {instant(summary['run']['began_at'])}", lines=lines)


def _what(settings: Mapping[str, Any]) -> str:
    """What was done, in a few words."""
    kind = settings.get("kind", "race")
    if kind == "load":
        return f"load {settings['scenario'] or settings['profile']}"
    if kind == "limit":
        return f"probes of {settings['probe_s']:g} s of {mix_text(settings['mix'])}, {', '.join(settings['slo'])}"
    if kind == "sweep":
        values = ", ".join(point["value"] for point in settings["points"])
        return f"{settings['workloads'][0]} jobs over {settings['axis']} {values}, {settings['pairs']} pairs at each"
    return f"{settings['pairs']} pairs of trials a workload"


def _lane_name(lane: Mapping[str, Any]) -> str:
    extras = [f"prefetch {lane['prefetch']}", f"acks {lane['acks']}"]
    extras += [PurePath(lane["python"]).name] if lane["python"] else []
    extras += ["atomic transport"] if lane.get("transport") == ATOMIC else []
    nodes = f"{lane['nodes']} nodes, " if lane.get("nodes", 1) > 1 else ""
    return f"{lane['key']} ({nodes}{lane['slots']} slots, {', '.join(extras)})"


def _machine(summary: Summary) -> str:
    machine = summary["machine"] or {}
    versions = machine.get("versions", {})
    parts = [
        f"{machine.get('cores_available', '?')} cores",
        gibibytes(machine.get("memory_total_bytes")),
        f"{machine.get('implementation', 'Python')} {machine.get('python', '?')}",
        *(f"{name} {versions[name]}" for name in ("celery", "kombu", "redis") if versions.get(name)),
    ]
    return ", ".join(parts) + "."


def capacity(summary: Summary) -> Table:
    """Completion rates over a backlog, side by side."""
    lanes = lane_keys(summary)
    # More than one pair does not fit beside the rates; the verdicts further down name them all.
    pairs = list(combinations(lanes, 2)) if len(lanes) == 2 else []
    rows = []
    for workload in summary["workloads"]:
        found = by_lane(workload)
        rates = [number(get(found.get(lane), "capacity_per_s", "median")) for lane in lanes]
        rows.append([workload["workload"], *rates, *_verdict_cells(workload, "capacity", pairs)])
    return Table(
        title="Capacity: jobs per second over a backlog, median of the trials",
        columns=["workload", *lanes, *_verdict_columns(pairs)],
        rows=rows,
        note="Ratio with its 95 % interval, from paired trials." if pairs else "",
    )


def verdicts(summary: Summary) -> Prose:
    """Every verdict as a sentence."""
    lines = [
        f"{_measured(verdict)}: {_sentences(verdict['word'], verdict['reason'], verdict['advice'])}"
        for workload in summary["workloads"]
        for verdict in workload["verdicts"]
    ]
    return Prose(title="Verdict", lines=lines)


def _measured(verdict: Mapping[str, Any]) -> str:
    percentile = f" {verdict['percentile'].replace('_', '.')}" if verdict["percentile"] else ""
    return f"{verdict['workload']}, {verdict['measure']}{percentile}"


def _sentences(*clauses: str | None) -> str:
    """Clauses as sentences: a capital only where the lane's name does not come first, a full stop behind each."""
    return " ".join(f"{clause}." for clause in clauses if clause)


def recommendations(summary: Summary) -> Prose:
    """What to run, workload by workload."""
    lines, commands = [], []
    for workload in summary["workloads"]:
        chosen = workload["recommendation"]
        if chosen["lane"] is None:
            why = _sentences(f"no recommendation: {chosen['why']}", chosen["advice"])
            lines.append(f"{workload['workload']}: {why}")
        else:
            lines.append(f"{workload['workload']}: {_chosen(chosen)}; {chosen['why']}.")
            commands.append(chosen["command"])
    return Prose(title="What to run", lines=lines, commands=list(dict.fromkeys(commands)))


def _chosen(chosen: Mapping[str, Any]) -> str:
    nodes = f"{chosen['nodes']} nodes of " if chosen["nodes"] > 1 else ""
    transport = " and the atomic transport" if chosen["transport"] == ATOMIC else ""
    return f"{chosen['pool']} with {nodes}{chosen['concurrency']} slots{transport}"


def given_up(summary: Summary) -> Iterator[Prose]:
    """What each recommended pool cannot do."""
    chosen = [workload["recommendation"] for workload in summary["workloads"]]
    for pool, lines in {each["pool"]: each["gives_up"] for each in chosen if each["lane"]}.items():
        yield Prose(title=f"What you give up with {pool}", lines=lines)


def _verdict_columns(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [column for a, b in pairs for column in (f"{a} / {b}", "verdict")]


def _verdict_cells(workload: Mapping[str, Any], measure: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    found = {(v["a"], v["b"]): v for v in workload["verdicts"] if v["measure"] == measure}
    cells = []
    for pair in pairs:
        verdict = found.get(pair)
        cells += (
            [ratio(verdict["ratio"], verdict["low"], verdict["high"]), verdict["word"]] if verdict else [NONE, NONE]
        )
    return cells


PARTS = {"race": race_parts, "load": load_parts, "limit": limit_parts, "sweep": sweep_parts}
"""What follows the heading, by the kind of run."""
