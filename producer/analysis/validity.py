"""Judges whether a run's figures may be used, and what to warn of."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import polars as pl

from producer.analysis.generator import lag_bound_s, was_late
from producer.analysis.memory import recycling_warnings
from producer.analysis.pairs import pair
from producer.analysis.quota import quota_problems, quota_warnings
from producer.analysis.sequential import LEAST_PAIRS
from producer.analysis.settle import Fate, Settlement
from producer.analysis.starts import start_warnings
from producer.rundir.schema import COMPLETE, INCOMPLETE, RUNNING
from producer.rundir.trials import PAIRED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from producer.analysis.results import Analysis, LaneResult
    from producer.analysis.settle import Unsettled
    from producer.rundir.manifest import OthersOnHost
    from producer.rundir.run import Run


NAMED_TRIALS, NAMED = 3, 12
"""Of so many trials a report names so many jobs one by one; the summary names them all."""

CROWDED_SHARE = 0.1
"""Other programs that use more of the cores than this are worth a warning."""

CROWDED_HOST_SHARE = 0.25
"""The same of a machine of nodes that ran already, where Flower and what jobs ask are at work, too."""

SHORT_JOB_S = 0.005

CLOCK_STEP_S = 0.005


def status_of(run: Run) -> str:
    """Return how a run ended; one that still says that it is running was cut short."""
    return INCOMPLETE if run.manifest.status == RUNNING else run.manifest.status


def problems_of(run: Run, analysis: Analysis, stray: Sequence[Unsettled]) -> Iterator[str]:
    """Yield why the figures of a run may not be used, whatever its kind."""
    if status_of(run) != COMPLETE:
        reason = run.manifest.reason or "it was cut short before it could say why."
        yield f"The run is {status_of(run)}: {reason}"
    counted = Settlement.sum(trial.settlement for trial in analysis.trials if not trial.disturbed)
    if counted.missing or counted.duplicated:
        counts = {name: count for name, count in counted.counts.items() if count and name != Fate.DONE}
        yield f"Of {counted.sent} jobs not all came to one end: {_words(counts)}."
    aside = {trial.trial for trial in analysis.trials if trial.disturbed}
    yield from map(_named, [group for group in stray if group.trial not in aside][:NAMED_TRIALS])
    yield from quota_problems(run)
    if run.manifest.settings.race:
        yield from _too_often_disturbed(analysis, min(LEAST_PAIRS, run.manifest.settings.race.pairs or LEAST_PAIRS))
    else:
        yield from filter(None, map(_late_generator, analysis.lanes))


def _too_often_disturbed(analysis: Analysis, least: int) -> Iterator[str]:
    """Yield what has too few good rounds because others were disturbed; more time might have brought them."""
    for (kind, workload), rounds in _rounds(analysis).items():
        good = [turn for turn, reasons in rounds.items() if not reasons]
        reasons = Counter(reason for found in rounds.values() for reason in found)
        if reasons and len(good) < least:
            yield (
                f"{workload}, {kind}: {len(good)} good rounds of {len(rounds)}, at least {least} are needed: "
                f"{_counted(reasons)}. Use a quieter machine, fewer slots or more --publishers, or give it more time: "
                "poolrace race --continue RUN."
            )


def _rounds(analysis: Analysis) -> dict[tuple[str, str], dict[int, set[str]]]:
    """Return why the rounds of each kind and workload do not count, by round; nothing for one that does."""
    found: dict[tuple[str, str], dict[int, set[str]]] = {}
    for trial in analysis.trials:
        if trial.kind in PAIRED:
            reasons = found.setdefault((trial.kind, trial.workload), {}).setdefault(trial.round, set())
            reasons.update(filter(None, [trial.disturbed]))
    return found


def _counted(reasons: Mapping[str, int]) -> str:
    """Return reasons by how often they were one."""
    most_first = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{reason} ({count})" for reason, count in most_first)


def _repeated(analysis: Analysis) -> list[str]:
    """Return how many rounds do not count, and why."""
    rounds = [reasons for found in _rounds(analysis).values() for reasons in found.values()]
    reasons = Counter(reason for found in rounds for reason in found)
    aside = sum(map(bool, rounds))
    return [f"{aside} of {len(rounds)} rounds were disturbed and do not count: {_counted(reasons)}."] if aside else []


def _named(group: Unsettled) -> str:
    jobs = ", ".join(map(str, group.jobs[:NAMED])) + (", …" if len(group.jobs) > NAMED else "")
    what = f"{len(group.jobs)} {group.fate} with {group.workload} on {group.lane}, trial {group.trial}"
    return f"{what}: jobs {jobs}. All of them are in summary.json, under unsettled."


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _late_generator(lane: LaneResult) -> str | None:
    latency = lane.latency
    if latency is None or latency.publish_lag is None or latency.sojourn is None or not was_late(latency):
        return None
    bound_s = lag_bound_s(latency.sojourn.p50)
    return (
        f"The generator was late: publish lag p99 {latency.publish_lag.p99 * 1000:.1f} ms with {lane.workload} on "
        f"{lane.lane}, more than {bound_s * 1000:.1f} ms. Use a quieter machine, fewer slots, a lower rate or more "
        "--publishers."
    )


def warnings_of(run: Run, analysis: Analysis) -> list[str]:
    """Return what to bear in mind about the figures of a run."""
    # What holds for the whole run first: a first screen may show no more than one.
    warnings = [*_crowded(run), *_repeated(analysis), *start_warnings(pair(analysis.trials)), *recycling_warnings(run)]
    short = sorted({lane.workload for lane in analysis.lanes if _short(lane)})
    if short:
        warnings.append(f"Jobs shorter than 5 ms measure Celery, not the pool: {', '.join(short)}.")
    negative = sum(trial.negative for trial in analysis.trials)
    if negative:
        warnings.append(
            f"{negative} jobs have a wait below zero: clocks disagree by more than it took ({_bounds(run)})."
        )
    warnings += quota_warnings(analysis)
    if _clock_stepped(run.samples):
        warnings.append("A node's clock was set while it ran: instants before and after do not compare.")
    return warnings + _failures(analysis)


def _crowded(run: Run) -> list[str]:
    others, machine = run.manifest.others_cores, run.manifest.machine
    if run.manifest.hosts:
        return list(_crowded_hosts(run.manifest.hosts))
    if others is None or machine is None or others <= CROWDED_SHARE * machine.cores_available:
        return []
    used = f"Other programs used {others:.1f} of {machine.cores_available} cores while it ran"
    return [f"{used}: its figures are those of a busy machine. Close them and run it again."]


def _crowded_hosts(hosts: Sequence[OthersOnHost]) -> Iterator[str]:
    """Yield the machines on which nodes ran already of which others used much."""
    for host in hosts:
        if host.others_share > CROWDED_HOST_SHARE:
            yield (
                f"Others than the nodes, their broker and this command used {host.others_cores:.1f} of {host.cores} "
                f"cores of the machine of {', '.join(host.nodes)} while it ran: the figures are those of a busy one."
            )


def _short(lane: LaneResult) -> bool:
    timed = lane.latency or lane.backlog
    return timed is not None and timed.service is not None and timed.service.p50 < SHORT_JOB_S


def _bounds(run: Run) -> str:
    bounds = [clock.bound_s for clock in run.manifest.clocks.values() if clock.bound_s is not None]
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
