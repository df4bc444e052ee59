"""The nouns of a summary, with defaults for what a test does not care for."""

import math
from dataclasses import asdict, fields, replace

import numpy as np
from recorded import LANES

from producer.analysis.lane_facts import LaneFacts
from producer.analysis.latency import Latency
from producer.analysis.limit import LimitLane
from producer.analysis.load import LaneFigures, LoadLane
from producer.analysis.pairs import PairedValues
from producer.analysis.percentiles import Percentiles, Spread
from producer.analysis.recommendation import Recommendation
from producer.analysis.results import LaneResult, TrialResult
from producer.analysis.settle import Settlement
from producer.analysis.sweep import SweepLane, SweepPoint
from producer.analysis.verdict import Verdict
from producer.plan.stages import STAGES
from producer.rundir.trials import Kind


def spread(median, n=3):
    """The same number from each trial."""
    return Spread(n=n, median=median, min=median, max=median)


def percentiles_of(value, n=1000, **others):
    """Percentiles that are all the same but those that are given."""
    names = ("p50", "p90", "p99", "p99_9", "max", "mean")
    return Percentiles(n=n, **{**dict.fromkeys(names, value), **others})


def latency_of(negative=0, **stages):
    """The stages that are given; no job has the others."""
    return Latency(**{**dict.fromkeys((*STAGES, "cpu")), **stages}, negative=negative)


def trial_result(lane="threads", turn=0, kind=Kind.CAPACITY, workload="sleep", *, n=100, capacity_per_s=None,
                 sojourns_s=(), fates=(), **others):  # fmt: skip
    """A trial of a round, of n jobs, all done unless `fates` says otherwise."""
    fates = dict(fates)
    default = {
        "trial": 0, "rate_per_s": None, "achieved_per_s": None, "sojourn": None, "publish_lag": None,
        "cpu_s_per_job": None, "negative": 0,
    }  # fmt: skip
    return TrialResult(
        lane=lane,
        round=turn,
        kind=kind,
        workload=workload,
        settlement=Settlement(sent=n, done=n - sum(fates.values()), **fates),
        capacity_per_s=capacity_per_s,
        sojourns_s=np.array(sojourns_s, dtype=float),
        **{**default, **others},
    )


def paired(ratios, a="prefork", b="threads", **others):
    """The ratios of two lanes, round by round."""
    return PairedValues(**{"measure": "capacity", "workload": "sleep", "a": a, "b": b, "ratios": ratios, **others})


def from_logs(*logs, **others):
    """Two lanes whose ratios have the given natural logarithms."""
    return paired([math.exp(log) for log in logs], **others)


def verdict(word="no difference", a="prefork", b="threads", measure="capacity", **others):
    """A verdict on two lanes, settled unless it is open."""
    default = {
        "workload": "sleep", "ratio": 1.0, "low": 0.99, "high": 1.01, "confidence": 0.95, "pairs": 5, "left_out": 0,
        "p_adjusted": 0.5, "sure": "open" if word == "open" else "settled", "probability": None, "reason": "",
        "advice": None,
    }  # fmt: skip
    return Verdict(measure=measure, a=a, b=b, word=word, **{**default, **others})


def recommendation(lane="threads", **others):
    """A recommendation of a lane, or of none, of which nothing is known but what is given."""
    return Recommendation(lane=lane, **{"why": "", **others})


def lane_result(lane="threads", workload="sleep", **others):
    """A workload on a lane, of which nothing is known but what is given."""
    default = {
        "slots": 2, "settlement": Settlement(sent=0), "failures": {}, "capacity_per_s": None, "rate_per_s": None,
        "backlog": None, "latency": None, "backlog_cpu_s_per_job": None, "latency_cpu_s_per_job": None,
    }  # fmt: skip
    return LaneResult(lane=lane, workload=workload, **{**default, **others})


def facts_of(lane=LANES[1], **others):
    """A lane as it ran, of which nothing is known but what is given."""
    names = ("node", "ready_s", "hello", "gil_in_slots", "memory_per_slot_bytes", "private_per_slot_bytes")
    return LaneFacts(**asdict(lane), **{**dict.fromkeys(names), **others})


def sweep_lane(lane, slots, capacity_per_s=None, memory_bytes=None, **others):
    """A lane at a value of a sweep."""
    default = {"rate_per_s": None, "sojourn": None, "memory_per_slot_bytes": None, "cpu_s_per_job": None}
    return SweepLane(
        lane=lane,
        slots=slots,
        capacity_per_s=capacity_per_s and spread(capacity_per_s),
        memory_bytes=memory_bytes,
        settlement=Settlement(sent=0),
        **{**default, **others},
    )


def sweep_point(value, lanes=(), verdicts=(), workload="sleep"):
    """A value of a sweep."""
    return SweepPoint(value=value, workload=workload, lanes=tuple(lanes), verdicts=tuple(verdicts))


def figures_of(settlement=None, memory_per_slot_bytes=None, *, offered_per_s=1.0, sent_per_s=1.0, finished_per_s=1.0,
               **stages):  # fmt: skip
    """The figures of a lane: the stages that are given, and rates of 1 a second."""
    return LaneFigures(
        duration_s=1.0,
        offered_per_s=offered_per_s,
        generator_per_s=offered_per_s,
        sent_per_s=sent_per_s,
        finished_per_s=finished_per_s,
        settlement=settlement or Settlement(sent=0),
        latency=latency_of(**stages),
        memory_per_slot_bytes=memory_per_slot_bytes,
    )


def load_lane(lane, **others):
    """What a load found on a lane: rates of 1 a second, and what is given."""
    default = {"phases": (), "workloads": (), "thresholds": (), "given_up_s": None}
    return LoadLane(lane=lane, **{**shallow(figures_of()), **default, **others})


def limit_lane(lane, limit_per_s, low_per_s, high_per_s, probes=(), **others):
    """What a search found on a lane."""
    default = {"broken_by": None, "generator_late": False}
    return LimitLane(
        lane=lane, limit_per_s=limit_per_s, low_per_s=low_per_s, high_per_s=high_per_s, probes=tuple(probes),
        **{**default, **others},
    )  # fmt: skip


def shallow(noun):
    """The fields of a noun by name."""
    return {field.name: getattr(noun, field.name) for field in fields(noun)}


def with_results(summary, change):
    """A summary with each workload's figures on each lane changed."""
    workloads = [replace(each, lanes=tuple(map(change, each.lanes))) for each in summary.workloads]
    return replace(summary, workloads=tuple(workloads))
