"""What a report of a load says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from producer.plan.mix import mix_text
from producer.report.formats import milliseconds, number
from producer.report.parts import Prose, Table
from producer.report.tables import Summary, corrected, cost, get, latency, per_job

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def load_parts(summary: Summary) -> Iterator[Table | Prose]:
    """What was offered, what came of it, and what became of the thresholds."""
    if summary["aborted"]:
        yield aborted(summary)
    if any(summary["changes"].values()):
        yield changed(summary)
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


def changed(summary: Summary) -> Prose:
    """What was changed while it ran."""
    lines = [f"{lane}: {_changes(changes)}." for lane, changes in summary["changes"].items() if changes]
    differ = len({str(changes) for changes in summary["changes"].values()}) > 1
    if differ:
        lines.append(
            "Lanes did not get the same jobs: it was changed again, or for the first time, after the first lane."
        )
    return Prose(title="Changed while it ran", lines=lines)


def _changes(changes: list[Mapping[str, Any]]) -> str:
    return "; ".join(f"at {change['at_s']:.1f} s {_change(change)}" for change in changes)


def _change(change: Mapping[str, Any]) -> str:
    if change["paused"]:
        return "paused"
    mix = change["mix"]
    rate = "the script's rate" if change["rate_per_s"] is None else f"{change['rate_per_s']:g}/s"
    return f"{rate}, " + ("the script's mix" if mix is None else mix_text(mix))


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
            *(milliseconds(get(part, "latency", "sojourn", name)) for name in ("p50", "p99", "max")),
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
