"""
From records to numbers.

Pure and vectorised. Percentiles always come from raw values: a lane's are those of all its jobs together, never an
average of its trials' percentiles. Times are seconds; instants are on the broker's clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from poolrace.cgroup import Throttling
from poolrace.contract import Outcome
from producer.analysis.disturbance import clock_jump, lateness, losses, with_crowds
from producer.analysis.latency import Latency, after_lead_in, first_successes, floats, latency
from producer.analysis.percentiles import Spread
from producer.analysis.results import Analysis, LaneResult, TrialResult
from producer.analysis.settle import Fate, Settlement, count_unknown_records, settle, tally
from producer.plan.stages import STAGES
from producer.rundir.schema import KEY
from producer.rundir.trials import AT_HELD_RATE, IN_ROUNDS, Kind, Trial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


def capacity_per_s(
    started_at: NDArray[np.float64],
    finished_at: NDArray[np.float64],
    slots: int,
    jobs: NDArray[np.int64] | None = None,
) -> float | None:
    """
    Return the steady rate at which a lane works off a backlog.

    The window runs from the 2w-th start, w = slots, when w jobs have ended and as many have taken their slots, to the
    last start: within it every slot has a next job. Each job counts by the part of its time that lies in the window, so
    that one which straddles an end is neither left out nor counted whole:

        sum over jobs of overlap([started, finished], window) / (finished - started), over the length of the window

    For equal jobs that is w / (duration + gap between two), however many jobs there are. A window from the w-th start
    would be longer, but there all slots begin a job at once, which favours short ones: with 8 jobs a slot of a mix of
    short and long ones it is 7 % too high, and this 1 % too low. One from the w-th finish has a gap too many
    (`python -m benchmarks.truth.capacity`).

    Args:
        started_at: When each stretch in which a job holds a slot began.
        finished_at: When each ended, in the same order.
        slots: Jobs that the lane runs at once.
        jobs: Which job each stretch belongs to: one that starts others has theirs, too. None if each is a job.

    Returns:
        Jobs per second; None if there are too few stretches (at most twice the slots) or the window has no length.
    """
    if slots < 1:
        raise ValueError(f"slots {slots!r}: must be 1 or more")
    if len(started_at) <= 2 * slots:
        return None
    starts = np.sort(started_at)
    begin_at, end_at = float(starts[2 * slots - 1]), float(starts[-1])
    if not end_at > begin_at:
        return None
    inside_s = np.clip(finished_at, begin_at, end_at) - np.clip(started_at, begin_at, end_at)
    # What took no time, by a clock that is not fine enough, is in the window or not.
    at_once = (begin_at <= started_at) & (started_at < end_at)
    of = np.arange(len(starts)) if jobs is None else np.unique(jobs, return_inverse=True)[1]
    within, held_s, in_all_s = (np.bincount(of, each) for each in (at_once, inside_s, finished_at - started_at))
    parts = np.divide(held_s, in_all_s, out=within / np.bincount(of), where=in_all_s > 0)
    return float(parts.sum()) / (end_at - begin_at)


def analyse(
    trials: Sequence[Trial], sent: pl.DataFrame, records: pl.DataFrame, children: pl.DataFrame | None = None
) -> Analysis:
    """
    Compute all numbers of a run from what was sent and what came back.

    Args:
        trials: What was measured when, on which lane.
        sent: Columns trial, seq, due_at, sent_at, accepted_at (null: the broker did not take it).
        records: One row a delivery; columns as in the run directory's records.
        children: The same of jobs that others started, under the number of the one that was sent.
    """
    fates = settle(sent, records, trials)
    measured = _measure(trials, sent, records, fates, children)
    results = with_crowds(list(map(_trial_result, measured)), trials)
    return Analysis(
        trials=tuple(results),
        lanes=tuple(map(_lane_result, _by_lane(_of_one_lane(_undisturbed(measured, results))))),
        settlement=tally(fates),
        unknown_records=count_unknown_records(sent, records),
        fates=fates,
    )


def _of_one_lane(measured: Sequence[_Measured]) -> list[_Measured]:
    """Leave out trials whose jobs were not all the lane's own, and those in which its nodes were pinged."""
    return [part for part in measured if part.trial.kind not in {Kind.APART, Kind.PING}]


def _undisturbed(measured: Sequence[_Measured], results: Sequence[TrialResult]) -> list[_Measured]:
    """Leave out disturbed rounds; where there is no other of a kind and workload, they are all that can be shown."""
    aside = {(each.kind, each.workload, each.round) for each in results if each.disturbed}
    kept = [part for part in measured if (part.trial.kind, part.trial.workload, part.trial.round) not in aside]
    known = {(part.trial.kind, part.trial.workload) for part in kept}
    return [part for part in measured if part in kept or (part.trial.kind, part.trial.workload) not in known]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Measured:
    """
    A trial with what is known of its jobs.

    Attributes:
        trial: What was measured.
        settlement: What became of its jobs.
        sent: What the publisher sent.
        successes: One record for each job that succeeded, in the order in which they finished.
        failures: One row for each failed job, with the class of its exception.
        children: Records of the jobs that its jobs started, under their numbers.
    """

    trial: Trial
    settlement: Settlement
    sent: pl.DataFrame
    successes: pl.DataFrame
    failures: pl.DataFrame
    children: pl.DataFrame


def _measure(
    trials: Sequence[Trial],
    sent: pl.DataFrame,
    records: pl.DataFrame,
    fates: pl.DataFrame,
    children: pl.DataFrame | None,
) -> list[_Measured]:
    """Hand each trial its part of every table."""
    sent_of = _by_trial(sent)
    successes_of = _by_trial(
        first_successes(records, children).join(sent.select(KEY), on=KEY, how="semi", maintain_order="left")
    )
    failures_of = _by_trial(_failures(records, fates))
    children_of = _by_trial(records.clear() if children is None else children)
    return [
        _Measured(
            trial=trial,
            settlement=tally(fates, trial.trial),
            sent=sent_of(trial.trial),
            successes=successes_of(trial.trial),
            failures=failures_of(trial.trial),
            children=children_of(trial.trial),
        )
        for trial in trials
    ]


def _by_trial(table: pl.DataFrame) -> Callable[[int], pl.DataFrame]:
    """Look up a trial's rows, in their order; a trial without any has an empty table."""
    parts = {key: part for (key,), part in table.partition_by("trial", as_dict=True).items()}
    return lambda trial: parts.get(trial, table.clear())


def _failures(records: pl.DataFrame, fates: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each failed job, named by the exception or, without one, by the outcome."""
    failed = fates.filter(pl.col("fate") == Fate.FAILED.value).select(KEY)
    return (
        records.filter(pl.col("outcome").is_in([Outcome.FAILED.label, Outcome.REJECTED.label]))
        .join(failed, on=KEY, how="semi")
        # A job may have been handed back before it failed; "failed" sorts first, and names the cause.
        .sort(*KEY, "outcome")
        .unique(KEY, keep="first", maintain_order=True)
        .select(*KEY, pl.coalesce("exception", "outcome").alias("exception"))
    )


def _by_lane(measured: Sequence[_Measured]) -> list[list[_Measured]]:
    """Group trials by workload and lane, in the order of the first of each; the warm-up is left out."""
    groups: dict[tuple[str, str], list[_Measured]] = {}
    for part in measured:
        if part.trial.kind is not Kind.WARM_UP:
            groups.setdefault((part.trial.workload, part.trial.lane), []).append(part)
    return list(groups.values())


def _trial_result(part: _Measured) -> TrialResult:
    """Return the numbers of one trial."""
    trial, times = part.trial, _latency([part])
    return TrialResult(
        trial=trial.trial,
        kind=trial.kind,
        workload=trial.workload,
        lane=trial.lane,
        round=trial.round,
        settlement=part.settlement,
        rate_per_s=trial.rate_per_s,
        capacity_per_s=_trial_capacity_per_s(part),
        achieved_per_s=_achieved_per_s(part),
        sojourn=times.sojourn,
        publish_lag=times.publish_lag,
        cpu_s_per_job=_cpu_s_per_job([part]),
        negative=times.negative,
        start=trial.start,
        disturbed=_disturbance(part, times),
        sojourns_s=_sojourns_s(part),
    )


def _disturbance(part: _Measured, times: Latency) -> str:
    """Return why a trial of a race does not count, as far as it shows by itself; empty if nothing disturbed it."""
    if part.trial.kind not in IN_ROUNDS:
        return ""
    late = lateness(times) if part.trial.kind in AT_HELD_RATE else ""
    return losses(part.settlement) or clock_jump(part.trial) or late


def _sojourns_s(part: _Measured) -> NDArray[np.float64]:
    """Return the sojourn of each job by its number; NaN of one that did not succeed, or was due in the lead-in."""
    jobs = after_lead_in(part.successes, [part.trial])
    seqs: NDArray[np.uint32] = part.sent["seq"].to_numpy()
    took_s = np.full(int(seqs.max()) + 1 if len(seqs) else 0, np.nan)
    took_s[jobs["seq"].to_numpy()] = STAGES["sojourn"].durations_s(jobs)
    return took_s


def _trial_capacity_per_s(part: _Measured) -> float | None:
    """
    Return the capacity, which only a backlog shows: at a held rate completions follow the arrivals.

    A job holds a slot from the start of the delivery that succeeded until it returned, and those that it started hold
    slots of the same lane.
    """
    if part.trial.kind is not Kind.CAPACITY:
        return None
    held = pl.concat([
        part.successes.select("seq", "started_at", ended_at="returned_at"),
        part.children.join(part.successes, on="seq", how="semi")
        .drop_nulls(["started_at", "finished_at"])
        .select("seq", "started_at", ended_at="finished_at"),
    ])  # fmt: skip
    started_at, ended_at = floats(held, "started_at"), floats(held, "ended_at")
    return capacity_per_s(started_at, ended_at, part.trial.slots, held["seq"].to_numpy())


def _achieved_per_s(part: _Measured) -> float | None:
    """Return jobs that succeeded, over the time from the first one due to the last one finished."""
    if not part.successes.height:
        return None
    first_due_at, last_finished_at = floats(part.sent, "due_at").min(), floats(part.successes, "finished_at")[-1]
    span_s = float(last_finished_at - first_due_at)
    return part.successes.height / span_s if span_s > 0 else None


def _cpu_s_per_job(parts: Sequence[_Measured]) -> float | None:
    """Return CPU seconds of the nodes over jobs done, of all trials together; None if a trial's are unknown."""
    known = [part.trial.cpu_s for part in parts if part.trial.cpu_s is not None]
    done = sum(part.settlement.done for part in parts)
    return sum(known) / done if done and len(known) == len(parts) else None


def _throttled(parts: Sequence[_Measured]) -> float | None:
    """Return the part of the periods in which the nodes were stopped, of all trials together."""
    counts = Throttling.sum(part.trial.throttling for part in parts if part.trial.throttling)
    return counts.share if counts else None


def _lane_result(parts: Sequence[_Measured]) -> LaneResult:
    """Return the numbers of one workload on one lane."""
    first = parts[0].trial
    backlogs = [part for part in parts if part.trial.kind is Kind.CAPACITY]
    held = [part for part in parts if part.trial.kind in {Kind.LATENCY, Kind.LOAD}]
    rate_per_s = Spread.of(part.trial.rate_per_s for part in held)
    return LaneResult(
        workload=first.workload,
        lane=first.lane,
        slots=first.slots,
        settlement=Settlement.sum(part.settlement for part in parts),
        failures=_count_failures(parts),
        capacity_per_s=Spread.of(map(_trial_capacity_per_s, backlogs)),
        rate_per_s=rate_per_s.median if rate_per_s else None,
        backlog=_latency(backlogs) if backlogs else None,
        latency=_latency(held) if held else None,
        backlog_cpu_s_per_job=_cpu_s_per_job(backlogs),
        latency_cpu_s_per_job=_cpu_s_per_job(held),
        backlog_throttled=_throttled(backlogs),
        latency_throttled=_throttled(held),
    )


def _count_failures(parts: Sequence[_Measured]) -> dict[str, int]:
    """Count failed jobs by class of the exception, most frequent first."""
    counts = Counter(name for part in parts for name in part.failures["exception"])
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _latency(parts: Sequence[_Measured]) -> Latency:
    """Return percentiles over the raw records of some trials together, at least one; lead-ins are left out."""
    trials = [part.trial for part in parts]
    successes, sent = (pl.concat(tables) for tables in zip(*((p.successes, p.sent) for p in parts), strict=True))
    return latency(after_lead_in(successes, trials), after_lead_in(sent, trials))
