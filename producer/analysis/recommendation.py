"""The recommendation for a workload: which lane to use, why, and what it gives up. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from poolrace.pools import FORKING, FORKING_WHATEVER_IS_SET, POOLS, gives_up
from producer.analysis.held_back import held_back
from producer.analysis.memory import lane_memory_per_slot_bytes
from producer.analysis.sequential import half_width
from producer.analysis.verdict import MARGIN, Sureness
from producer.analysis.verdict_words import NO_DIFFERENCE, percent, times_text
from producer.plan.lane_settings import environment_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from producer.analysis.results import LaneResult
    from producer.analysis.verdict import Verdict
    from producer.plan.lanes import Lane
    from producer.rundir.run import Run


WORST_OUTSIDE = 0.03
"""
How often the truth lies outside of the interval that a worst case is the end of, at any look. That interval is wider
than a verdict's own, so that of the lanes that are recommended at most 2 in 1,000 are worse than was said
(docs/truth.md).
"""

WORST_SHARE = 0.75
"""The most by which a recommended lane may be slower in its worst case: beyond it either may be four times as fast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """
    The lane to use for a workload; what follows from a lane is None or empty without one.

    Attributes:
        lane: The lane's key; None if none is recommended.
        why: Why it is this lane, or none, in a few words.
        sure: How sure it is that no other lane is faster by more than the margin: settled, likely or open.
        worst_share: What part of its jobs it may do less than the fastest other lane, by the intervals, from 0 to 1.
        memory_ratio: Its memory per slot over that of the other lanes, the least of them; None if unknown.
        advice: What to do where there is none; None if there is nothing to do.
        pool: Its pool.
        concurrency: Slots of each of its nodes.
        nodes: How many nodes it had.
        transport: What carries messages to them.
        command: The command that starts such a node.
        gives_up: What its pool cannot do, a sentence each.
    """

    lane: str | None
    why: str
    sure: Sureness = "open"
    worst_share: float | None = None
    memory_ratio: float | None = None
    advice: str | None = None
    pool: str | None = None
    concurrency: int | None = None
    nodes: int | None = None
    transport: str | None = None
    command: str | None = None
    gives_up: tuple[str, ...] = ()


NOT_VALID = Recommendation(lane=None, why="the run is not valid")
"""Instead of a recommendation: the figures may be looked at, but not acted on."""


def no_recommendation(kind: str) -> Recommendation:
    """Return what stands in place of a recommendation for a kind of run that has none."""
    return Recommendation(lane=None, why=f"a {kind} recommends no lane", advice="Race them: poolrace race")


def recommend(run: Run, lanes: Sequence[Lane], verdicts: Sequence[Verdict], margin: float = MARGIN) -> Recommendation:
    """
    Return the lane to use for a workload, why, and what it gives up.

    It rests on the intervals of capacity: a lane may be taken if no other is faster by more than the margin, even where
    it is not proven to be faster itself. If several may be taken, latency decides where it is settled, and else the
    memory per slot. If none may, the one whose worst case is smaller is taken, with that worst case said. Only if that
    exceeds `WORST_SHARE` there is none. Where others used cores that only some lanes could have used, the worst case of
    the rest includes what those would gain by them.

    Args:
        run: The run, for the memory and the app's name.
        lanes: Its lanes.
        verdicts: The verdicts on one workload.
        margin: Lanes that differ by less than this share are equal.
    """
    worst = worst_shares([each for each in verdicts if each.measure == "capacity"])
    if not worst:
        return Recommendation(lane=None, why="too few good pairs to judge by", advice=_first_advice(verdicts))
    held = _held_back(run, [lane for lane in lanes if lane.key in worst], verdicts)
    worst = {key: max(share, held.get(key, 0.0)) for key, share in worst.items()}
    memory = {lane.key: lane_memory_per_slot_bytes(run, lane) for lane in lanes}
    allowed = margin / (1 + margin)
    may = [key for key, share in worst.items() if share <= allowed]
    if may:
        unbeaten = _unbeaten(may, [each for each in verdicts if each.measure == "latency"])
        best = min(unbeaten, key=lambda key: (memory[key] or float("inf"), worst[key]))
    else:
        best = min(worst, key=lambda key: (worst[key], memory[key] or float("inf")))
        if worst[best] > WORST_SHARE:
            why = f"any lane may do {percent(worst[best])} less than the other"
            return Recommendation(
                lane=None, why=why, worst_share=worst[best], advice="Take the race on, or use a quieter machine"
            )
    found = _choice(run, lanes, best)
    others = [memory[key] for key in worst if key != best]
    lightest = min((each for each in others if each), default=None)
    own = memory[best]
    found = replace(
        found,
        sure="settled" if may else _likely_enough(best, verdicts),
        worst_share=worst[best],
        memory_ratio=own / lightest if own and lightest else None,
    )
    return replace(found, why=", ".join([_why(found, verdicts), *_held_words(best, held)]))


def only_lane_that_runs(run: Run, lanes: Sequence[Lane], results: Sequence[LaneResult]) -> Recommendation | None:
    """
    Return the one lane on which the jobs of a workload run, if on all others each of them failed; None otherwise.

    Args:
        run: The run.
        lanes: Its lanes.
        results: The figures of one workload on each lane.
    """
    runs = [each for each in results if each.settlement.done and not each.settlement.failed]
    fails = [each for each in results if 0 < each.settlement.failed == each.settlement.sent]
    if len(runs) != 1 or len(runs) + len(fails) != len(results):
        return None
    cannot = "; ".join(
        f"{each.lane} cannot run it, all {each.settlement.sent} jobs raised {' and '.join(each.failures)}"
        for each in fails
    )
    return replace(_choice(run, lanes, runs[0].lane), sure="settled", why=cannot)


def worst_shares(verdicts: Sequence[Verdict]) -> dict[str, float]:
    """
    Return by what part each lane may be slower than another, by intervals of `WORST_OUTSIDE`, from 0 to 1.

    Lanes that cannot be ranked, and those without an interval, are left out.

    Args:
        verdicts: The verdicts on the capacity of one workload.
    """
    log_worst: dict[str, float] = {}
    for each in verdicts:
        if each.ratio and each.low and each.high and not each.advice:
            middle, stretch = math.log(each.ratio), _stretch(each)
            low, high = (middle + stretch * (math.log(end) - middle) for end in (each.low, each.high))
            for key, ahead in ((each.a, -low), (each.b, high)):
                log_worst[key] = max(log_worst.get(key, 0.0), ahead)
    return {key: -math.expm1(-ahead) for key, ahead in log_worst.items()}


def _stretch(verdict: Verdict) -> float:
    """Return how many times as wide as a verdict's interval the one of its worst case is; never narrower."""
    outside = 1 - verdict.confidence if verdict.confidence else WORST_OUTSIDE
    if outside <= WORST_OUTSIDE:
        return 1.0
    return half_width(WORST_OUTSIDE, verdict.pairs, 1.0) / half_width(outside, verdict.pairs, 1.0)


def _held_back(run: Run, lanes: Sequence[Lane], verdicts: Sequence[Verdict]) -> dict[str, float]:
    """Return what `held_back` says of lanes that are not settled to be the better ones as it is."""
    winners = {each.winner for each in verdicts if each.measure == "capacity"}
    found = held_back(run, lanes, verdicts[0].workload)
    return {key: share for key, share in found.items() if key not in winners}


def _held_words(best: str, held: Mapping[str, float]) -> list[str]:
    """Return what the cores of others keep from being seen, if that may have decided."""
    others = {key: share for key, share in held.items() if key != best and best not in held}
    return [f"with all cores {key} may do {percent(share)} less" for key, share in others.items()]


def _unbeaten(keys: Sequence[str], verdicts: Sequence[Verdict]) -> list[str]:
    beaten = {each.b if each.winner == each.a else each.a for each in verdicts if each.winner in keys}
    return [key for key in keys if key not in beaten] or list(keys)


def _likely_enough(key: str, verdicts: Sequence[Verdict]) -> Sureness:
    """Return likely if every comparison of capacity says that the lane is likely the better one, or no worse."""
    ours = [each for each in verdicts if each.measure == "capacity" and key in (each.a, each.b)]
    return "likely" if all(each.word in (key, NO_DIFFERENCE) for each in ours) else "open"


def _why(found: Recommendation, verdicts: Sequence[Verdict]) -> str:
    """Return what speaks for a lane: that it is faster, or else its worst case; and its memory where it is less."""
    ours = [each for each in verdicts if each.measure == "capacity" and found.lane in (each.a, each.b)]
    if ours and not found.worst_share and all(each.word == found.lane for each in ours):
        words = [gain_text(each, found.lane) for each in ours]
    else:
        words = [f"at worst {percent(found.worst_share)} slower" if found.worst_share else "not slower"]
    if found.memory_ratio is not None and found.memory_ratio < LESS_MEMORY:
        words.append(f"{memory_text(found.memory_ratio)} of the memory")
    return ", ".join(words)


def gain_text(verdict: Verdict, better: str | None) -> str:
    """Return by how much a lane has the greater capacity, e.g. "1.3 to 2.6 times as many as threads"."""
    assert verdict.low
    assert verdict.high
    first = better == verdict.a
    low, high = (verdict.low, verdict.high) if first else (1 / verdict.high, 1 / verdict.low)
    return f"{times_text(low)} to {times_text(high)} times as many as {verdict.b if first else verdict.a}"


LESS_MEMORY = 0.95
FRACTIONS = {"half": 1 / 2, "a third": 1 / 3, "a quarter": 1 / 4, "a fifth": 1 / 5, "a tenth": 1 / 10}


def memory_text(ratio: float) -> str:
    """Return a part of the memory as a reader says it: a fifth, a quarter, half, or else in per cent."""
    name, near = min(FRACTIONS.items(), key=lambda item: abs(math.log(item[1] / ratio)))
    return name if abs(near - ratio) <= near * 0.1 else percent(ratio)


def _first_advice(verdicts: Sequence[Verdict]) -> str | None:
    return next((each.advice for each in verdicts if each.measure == "capacity" and each.advice), None)


def _choice(run: Run, lanes: Sequence[Lane], key: str) -> Recommendation:
    lane = next(lane for lane in lanes if lane.key == key)
    app = run.manifest.settings.app
    flags = " ".join(lane.worker_flags())
    if app and lane.pool == FORKING and app.facts.get("worker_pool", FORKING) not in ("", FORKING):
        flags = flags.replace(f"-P {FORKING}", f"-P {FORKING_WHATEVER_IS_SET}")
    # What was raced in an interpreter of its own holds for that interpreter alone.
    variables = "".join(f"{name}={value} " for name, value in environment_of(dict(lane.settings)).items())
    celery = variables + (f"{lane.python} -m celery" if lane.python else "celery")
    return Recommendation(
        lane=key,
        why="",
        pool=lane.pool,
        concurrency=lane.concurrency,
        nodes=lane.nodes,
        transport=lane.transport,
        command=f"{celery} -A {app.app if app else 'YOUR_APP'} worker {flags} -n {lane.pool}@%h",
        gives_up=gives_up(lane.pool) if lane.pool in POOLS else (),  # nodes that ran already may have any
    )
