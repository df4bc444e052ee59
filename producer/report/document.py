"""What a report says, in which order, without saying how it looks: a summary becomes titles, sentences and tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePath
from typing import Any

from producer.analyse import FIRM_BEYOND, values_beyond
from producer.report.formats import NONE, count, gibibytes, instant, mebibytes, milliseconds, number, ratio, seconds

Summary = Mapping[str, Any]

UNSURE = "~"
PERCENTILES = ("p50", "p90", "p99", "p99_9")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """
    Rows under a title.

    Attributes:
        title: What the numbers are, with their unit.
        columns: Headings; the first column is text, the others are aligned to the right unless they hold words.
        rows: Cells, all text.
        note: How to read it; empty if there is nothing to say.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prose:
    """
    Sentences under a title.

    Attributes:
        title: What they are about; empty for none.
        lines: One sentence or item each.
        commands: Lines that are meant to be copied, and are never wrapped.
    """

    title: str
    lines: Sequence[str]
    commands: Sequence[str] = ()


def document(summary: Summary) -> Iterator[Table | Prose]:
    """The parts of a report, in order."""
    yield heading(summary)
    if summary["problems"]:
        yield Prose(title="This run is not valid", lines=summary["problems"])
    if summary["warnings"]:
        yield Prose(title="Mind", lines=summary["warnings"])
    if summary["load"]:
        yield from load_parts(summary)
    elif summary["workloads"]:
        yield capacity(summary)
        yield latency(summary)
        yield corrected(summary)
        yield cost(summary)
        yield per_job(summary)
        yield verdicts(summary)
        yield from given_up(summary)
        yield recommendations(summary)


def load_parts(summary: Summary) -> Iterator[Table | Prose]:
    """What a load has in place of capacity and verdicts."""
    if summary["aborted"]:
        yield aborted(summary)
    yield rates(summary)
    for key, one in (("phases", "phase"), ("workloads", "workload")):
        if any(len(lane[key]) > 1 for lane in summary["load"]):
            yield rates_by(summary, key, one)
    yield latency(summary)
    yield corrected(summary)
    yield cost(summary)
    yield per_job(summary)
    if any(lane["thresholds"] for lane in summary["load"]):
        yield thresholds(summary)


def heading(summary: Summary) -> Prose:
    """What was raced, on what."""
    settings, settled = summary["settings"], summary["settlement"]
    kind = settings.get("kind", "race")
    between = " against " if kind == "race" else ", then "
    lanes = between.join(_lane_name(lane) for lane in settings["lanes"])
    rest = ", ".join(f"{count:,} {name}" for name, count in settled.items() if count and name != "sent")
    what = f"{settings['pairs']} pairs of trials a workload" if kind == "race" else f"load {settings['profile']}"
    lines = [
        f"{lanes}, {what}, {settings['arrivals']} arrivals, seed {settings['seed']}.",
        _machine(summary),
        f"{settled['sent']:,} jobs sent: {rest or 'none settled'}.",
    ]
    if settings.get("quick"):
        lines.append("Quick: fewer workloads, 3 pairs and shorter trials. For a firm verdict run poolrace race.")
    return Prose(title=f"{kind.capitalize()} of {instant(summary['run']['began_at'])}", lines=lines)


def _lane_name(lane: Mapping[str, Any]) -> str:
    extras = [f"prefetch {lane['prefetch']}", f"acks {lane['acks']}"]
    extras += [PurePath(lane["python"]).name] if lane["python"] else []
    return f"{lane['key']} ({lane['slots']} slots, {', '.join(extras)})"


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
    lanes = _keys(summary)
    # More than one pair does not fit beside the rates; the verdicts further down name them all.
    pairs = list(combinations(lanes, 2)) if len(lanes) == 2 else []
    rows = []
    for workload in summary["workloads"]:
        found = _by_lane(workload)
        rates = [number(_get(found.get(lane), "capacity_per_s", "median")) for lane in lanes]
        rows.append([workload["workload"], *rates, *_verdict_cells(workload, "capacity", pairs)])
    return Table(
        title="Capacity: jobs per second over a backlog, median of the trials",
        columns=["workload", *lanes, *_verdict_columns(pairs)],
        rows=rows,
        note="Ratio with its 95 % interval, from paired trials." if pairs else "",
    )


def rates(summary: Summary) -> Table:
    """What was offered and what came of it, lane by lane."""
    rows = [
        [
            lane["lane"], *(number(lane[name]) for name in ("offered_per_s", "sent_per_s", "finished_per_s")),
            *(f"{lane['settlement'][name]:,}" for name in ("sent", "done", "failed", "lost", "refused")),
        ]
        for lane in summary["load"]
    ]  # fmt: skip
    return Table(
        title="Load: jobs per second, and what became of the jobs",
        columns=["lane", "offered/s", "sent/s", "finished/s", "jobs", "done", "failed", "lost", "refused"],
        rows=rows,
        note="Finished/s counts until the last job had ended: well below offered/s, the lane did not keep up.",
    )


def rates_by(summary: Summary, key: str, one: str) -> Table:
    """The same for each phase, or each workload."""
    rows = [
        [
            lane["lane"], part[one] + ("" if part.get("counts", True) else " (does not count)"),
            *(number(part[name]) for name in ("offered_per_s", "finished_per_s")),
            *(milliseconds(_get(part, "latency", "sojourn", name)) for name in ("p50", "p99", "max")),
            *(f"{part['settlement'][name]:,}" for name in ("sent", "done", "failed")),
        ]
        for lane in summary["load"]
        for part in lane[key]
        if part["settlement"]["sent"]
    ]  # fmt: skip
    return Table(
        title=f"By {one}: jobs per second; sojourn in ms, of the jobs due in it",
        columns=["lane", one, "offered/s", "finished/s", "p50", "p99", "max", "jobs", "done", "failed"],
        rows=rows,
    )


def aborted(summary: Summary) -> Prose:
    """Where and why a load ended early."""
    found = summary["aborted"]
    what = f"{found['lane']}: {found['why']} was broken after {found['at_s']:.0f} s"
    line = f"{what}; no more was sent from then on, and the lanes after it were not loaded."
    return Prose(title="Ended early", lines=[line])


def thresholds(summary: Summary) -> Prose:
    """Each threshold on each lane, kept or not, by how much and since when."""
    lines = [f"{lane['lane']}: {judged_sentence(judged)}" for lane in summary["load"] for judged in lane["thresholds"]]
    return Prose(title="Thresholds", lines=lines)


def judged_sentence(judged: Mapping[str, Any]) -> str:
    """What became of a threshold, by how much, and since when."""
    measured, limit = (
        f"{judged[name]:.4g}" if judged[name] is not None else "unknown" for name in ("measured", "limit")
    )
    found = (
        f"{judged['threshold']}: {'kept' if judged['kept'] else 'BROKEN'}, {measured} against {limit} {judged['unit']}"
    )
    since = f"; since second {judged['since_s']:.3g}" if judged["since_s"] is not None else ""
    return f"{found.rstrip()}{since}."


def latency(summary: Summary) -> Table:
    """Sojourn times at the held rate, a row a workload and lane."""
    rows = []
    for workload, result in _results(summary):
        sojourn = _get(result, "latency", "sojourn")
        cells = [_percentile(sojourn, name) for name in PERCENTILES]
        rows.append([
            workload["workload"], result["lane"], number(result["rate_per_s"]), *cells,
            milliseconds(_get(sojourn, "max")), count(_get(sojourn, "n")),
        ])  # fmt: skip
    return Table(
        title="Latency: from due to finished at a held arrival rate, in ms",
        columns=["workload", "lane", "rate/s", "p50", "p90", "p99", "p99.9", "max", "jobs"],
        rows=rows,
        note=f"{UNSURE} marks a percentile with fewer than {FIRM_BEYOND} jobs beyond it: take it as a hint.",
    )


def corrected(summary: Summary) -> Table:
    """Where the time went, and what a tool that forgets its own lateness would have said."""
    rows = []
    for workload, result in _results(summary):
        found = result["latency"] or {}
        stretches = ("sojourn", "sojourn_from_sent", "publish_lag", "broker_wait", "slot_wait", "service")
        rows.append([
            workload["workload"], result["lane"],
            *(milliseconds(_get(found, name, "p99")) for name in stretches),
        ])  # fmt: skip
    return Table(
        title="Where the p99 comes from, each stretch by itself, in ms",
        columns=["workload", "lane", "from due", "from sent", "publish lag", "in broker", "waits for slot", "runs"],
        rows=rows,
        note="From due counts the generator's own lateness, from sent hides it.",
    )


def cost(summary: Summary) -> Table:
    """What a lane takes, whatever it does."""
    rows = [
        [
            lane["key"], mebibytes(lane["memory_per_slot_bytes"]), seconds(lane["ready_s"]),
            lane["gil_in_slots"] or NONE, *_pings(summary, lane["key"]),
        ]
        for lane in summary["lanes"]
    ]  # fmt: skip
    return Table(
        title="What a lane costs",
        columns=[
            "lane",
            "memory per slot (PSS)",
            "start to ready",
            "GIL in slots",
            "ping p50",
            "ping max",
            "no answer",
        ],
        rows=rows,
        note="Control pings while a backlog is worked off, in ms; the worst workload.",
    )


def _pings(summary: Summary, lane: str) -> list[str]:
    pings = [result["ping"] for _, result in _results(summary) if result["lane"] == lane and result["ping"]]
    if not pings:
        return [NONE] * 3
    unanswered = sum(ping["sent"] - ping["answered"] for ping in pings)
    return [
        milliseconds(max((ping["p50_s"] for ping in pings if ping["p50_s"] is not None), default=None)),
        milliseconds(max((ping["max_s"] for ping in pings if ping["max_s"] is not None), default=None)),
        str(unanswered),
    ]


def per_job(summary: Summary) -> Table:
    """CPU per job: what the job's own thread used, and what the whole node used for it."""
    rows = [
        [
            workload["workload"], result["lane"], milliseconds(_get(result, "backlog", "cpu", "mean")),
            milliseconds(result["backlog_cpu_s_per_job"]), milliseconds(result["latency_cpu_s_per_job"]),
        ]
        for workload, result in _results(summary)
    ]  # fmt: skip
    return Table(
        title="CPU per job, in ms",
        columns=["workload", "lane", "the job itself", "whole node, backlog", "whole node, held rate"],
        rows=rows,
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
            lines.append(
                f"{workload['workload']}: {chosen['pool']} with {chosen['concurrency']} slots; {chosen['why']}."
            )
            commands.append(chosen["command"])
    return Prose(title="What to run", lines=lines, commands=list(dict.fromkeys(commands)))


def given_up(summary: Summary) -> Iterator[Prose]:
    """What each recommended pool cannot do."""
    chosen = [workload["recommendation"] for workload in summary["workloads"]]
    for pool, lines in {each["pool"]: each["gives_up"] for each in chosen if each["lane"]}.items():
        yield Prose(title=f"What you give up with {pool}", lines=lines)


def _keys(summary: Summary) -> list[str]:
    return [lane["key"] for lane in summary["lanes"]]


def _results(summary: Summary) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for workload in summary["workloads"]:
        for result in workload["lanes"]:
            yield workload, result


def _by_lane(workload: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {result["lane"]: result for result in workload["lanes"]}


def _get(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if value is not None else None
    return value


def _percentile(found: Mapping[str, Any] | None, name: str) -> str:
    if found is None:
        return NONE
    unsure = values_beyond(found["n"], name) < FIRM_BEYOND
    return milliseconds(found[name]) + (UNSURE if unsure else "")


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


def comparison(found: Summary) -> Iterator[Table | Prose]:
    """The parts of a comparison of two runs."""
    differs = [
        f"{name}: {values['first']} before, {values['second']} after" for name, values in found["differs_in"].items()
    ]
    yield Prose(
        title=f"{found['second']} against {found['first']}",
        lines=differs or ["The two runs were asked for the same, on the same machine and software."],
    )
    yield Table(
        title="Second run over first",
        columns=["workload", "lane", "measure", "ratio", "verdict"],
        rows=[
            [
                each["workload"],
                each["lane"],
                each["measure"],
                ratio(each["ratio"], each["low"], each["high"]),
                each["word"],
            ]
            for each in found["changes"]
        ],
        note="Ratio with its 95 % interval (Welch). Not interleaved: a machine that changed shows here too.",
    )
